//! An issuer of tokens: keys of its own, and an https server that publishes them.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, PKCS_ED25519};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::jwt::{base64url, claims, sign};

/// A key that signs tokens.
pub struct Signer {
    alg: Algorithm,
    key: EncodingKey,
    jwk: Value,
}

impl Signer {
    pub fn p256(kid: &str) -> Self {
        let pem = KeyPair::generate().unwrap().serialize_pem();
        let key = EncodingKey::from_ec_pem(pem.as_bytes()).unwrap();
        Self::published(kid, Algorithm::ES256, key)
    }

    pub fn rsa(kid: &str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            STANDARD.encode(der.as_ref())
        );
        let key = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
        Self::published(kid, Algorithm::RS256, key)
    }

    pub fn ed25519(kid: &str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let x = base64url(pair.public_key_raw());
        Self {
            alg: Algorithm::EdDSA,
            key: EncodingKey::from_ed_pem(pair.serialize_pem().as_bytes()).unwrap(),
            jwk: json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "use": "sig"}),
        }
    }

    fn published(kid: &str, alg: Algorithm, key: EncodingKey) -> Self {
        let jwk = Jwk::from_encoding_key(&key, alg).unwrap();
        let mut jwk = serde_json::to_value(jwk).unwrap();
        jwk["kid"] = kid.into();
        jwk["use"] = "sig".into();
        Self { alg, key, jwk }
    }

    /// The public half.
    pub fn jwk(&self) -> Value {
        self.jwk.clone()
    }

    /// A token that lets a client in for an hour.
    pub fn token(&self) -> String {
        self.token_with(self.alg, &claims())
    }

    pub fn token_with(&self, alg: Algorithm, claims: &Value) -> String {
        let header = json!({"alg": alg, "kid": self.jwk["kid"]});
        sign(&header.to_string(), &claims.to_string(), alg, &self.key)
    }
}

/// What a request gets.
#[derive(Clone, Debug)]
pub enum Answer {
    /// These bytes.
    Bytes(String),
    /// Nothing, until there is another answer.
    Silence,
}

impl Answer {
    pub fn keys(signers: &[&Signer]) -> Self {
        let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
        Self::ok(&json!({ "keys": keys }).to_string())
    }

    pub fn ok(body: &str) -> Self {
        Self::raw(&format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    pub fn redirect(to: &str) -> Self {
        Self::raw(&format!(
            "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"
        ))
    }

    pub fn raw(bytes: &str) -> Self {
        Self::Bytes(bytes.to_owned())
    }
}

/// An https server of the test's own, on a free port.
pub struct Issuer {
    address: SocketAddr,
    tls: Arc<ServerConfig>,
    folder: TempDir,
    desk: Arc<Desk>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Desk {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Debug)]
struct State {
    answer: Answer,
    requests: usize,
    open: bool,
}

impl Issuer {
    pub fn start(answer: Answer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (tls, authority) = certificate();
        std::fs::write(folder.path().join("ca.pem"), authority).unwrap();
        let mut issuer = Self {
            address: listener.local_addr().unwrap(),
            tls,
            folder,
            desk: Arc::new(Desk {
                state: Mutex::new(State {
                    answer,
                    requests: 0,
                    open: true,
                }),
                news: Condvar::new(),
            }),
            accepting: None,
        };
        issuer.accept(listener);
        issuer
    }

    /// Nobody answers at its address any more.
    pub fn stop(&mut self) {
        self.desk.change(|state| state.open = false);
        // Wakes the thread, which then looks whether it is to go on.
        TcpStream::connect(self.address).ok();
        self.accepting.take().unwrap().join().unwrap();
    }

    /// Answers again, at the same address.
    pub fn restart(&mut self) {
        self.desk.change(|state| state.open = true);
        self.accept(TcpListener::bind(self.address).unwrap());
    }

    pub fn now_answers(&self, answer: Answer) {
        self.desk.change(|state| state.answer = answer);
    }

    pub fn url(&self) -> String {
        self.url_of("/jwks.json")
    }

    pub fn url_of(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its certificate authority, PEM.
    pub fn authority(&self) -> String {
        std::fs::read_to_string(self.authority_file()).unwrap()
    }

    fn authority_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The command trusts this issuer's authority and no other, and goes straight to it.
    pub fn make_trusted(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            if name
                .to_string_lossy()
                .to_ascii_lowercase()
                .ends_with("_proxy")
            {
                command.env_remove(name);
            }
        }
        command.env_remove("SSL_CERT_DIR");
        command.env("SSL_CERT_FILE", self.authority_file());
    }

    /// Requests so far.
    pub fn requests(&self) -> usize {
        self.desk.state.lock().unwrap().requests
    }

    /// Waits until it was asked so often.
    pub async fn asked(&self, times: usize) {
        let mut pause = tokio::time::interval(Duration::from_millis(5));
        while self.requests() < times {
            pause.tick().await;
        }
    }

    fn accept(&mut self, listener: TcpListener) {
        let (desk, tls) = (Arc::clone(&self.desk), Arc::clone(&self.tls));
        self.accepting = Some(thread::spawn(move || {
            for stream in listener.incoming() {
                if !desk.state.lock().unwrap().open {
                    return;
                }
                let (desk, tls) = (Arc::clone(&desk), Arc::clone(&tls));
                // One that the client breaks off is none of the test's business.
                thread::spawn(move || desk.serve(stream.unwrap(), tls).ok());
            }
        }));
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        if self.accepting.is_some() {
            self.stop();
        }
    }
}

impl Desk {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.news.notify_all();
    }

    fn serve(&self, stream: TcpStream, tls: Arc<ServerConfig>) -> io::Result<()> {
        let connection = ServerConnection::new(tls).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        read_head(&mut stream)?;
        let bytes = self.answer();
        stream.write_all(bytes.as_bytes())?;
        stream.conn.send_close_notify();
        stream.flush()
    }

    /// Counts the request, and waits while there is nothing to say.
    fn answer(&self) -> String {
        let mut state = self.state.lock().unwrap();
        state.requests += 1;
        loop {
            match &state.answer {
                Answer::Bytes(bytes) => return bytes.clone(),
                Answer::Silence if state.open => state = self.news.wait(state).unwrap(),
                Answer::Silence => return String::new(),
            }
        }
    }
}

/// A certificate for localhost, and the authority that it is checked with, PEM.
fn certificate() -> (Arc<ServerConfig>, String) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = ca.self_signed(&ca_key).unwrap().pem();
    let ca = rcgen::Issuer::from_params(&ca, &ca_key);
    let key = KeyPair::generate().unwrap();
    let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(hosts)
        .unwrap()
        .signed_by(&key, &ca)
        .unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (Arc::new(config), authority)
}

/// A proxy for one connection (RFC 9110, section 9.3.6).
pub struct Proxy {
    address: SocketAddr,
    serving: JoinHandle<String>,
}

impl Proxy {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serving = thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let request = read_head(&mut client).unwrap();
            let target = request.split(' ').nth(1).unwrap();
            let mut server = TcpStream::connect(target).unwrap();
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let (mut up, mut down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let sending = thread::spawn(move || io::copy(&mut up, &mut down).ok());
            io::copy(&mut server, &mut client).ok();
            client.shutdown(Shutdown::Both).ok();
            sending.join().unwrap();
            request
        });
        Self { address, serving }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits for the end of the connection, and returns what it was asked for.
    pub fn end(self) -> String {
        self.serving.join().unwrap()
    }
}

fn read_head(stream: &mut impl Read) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(String::from_utf8(head).unwrap())
}
