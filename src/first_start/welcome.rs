//! What a user is told when the server is ready.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Prepared;
use crate::auth::{self, NewClaims, Scope, Token};
use crate::certs::Identity;
use crate::config::{Config, Transport};
use crate::key_file::Made;
use crate::listen;

/// Whether somebody watches stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A terminal.
    Person,
    /// A file, a pipe.
    Program,
}

/// What stdout gets when the server is ready.
#[derive(Clone, Copy, Debug)]
pub struct Announcement<'a> {
    /// The settings.
    pub config: &'a Config,
    /// What was made and loaded.
    pub prepared: &'a Prepared,
    /// The addresses that were really bound.
    pub bound: &'a [SocketAddr],
    /// Who reads it.
    pub reader: Reader,
    /// How this program was called, to be called again.
    pub program: &'a str,
    /// When.
    pub now: SystemTime,
}

impl Announcement<'_> {
    /// Says where the server listens, a line for each address, and, when the keys are new or a
    /// person reads, what to do next.
    ///
    /// # Errors
    /// `out` fails.
    pub fn write(&self, out: &mut impl io::Write) -> io::Result<()> {
        for address in self.bound {
            writeln!(out, "listening {}", url(self.config, *address))?;
        }
        if let Some(address) = self.bound.first()
            && (self.prepared.made == Made::New || self.reader == Reader::Person)
        {
            let url = self.url(*address);
            let token = token_for_a_day(self.config, self.prepared, self.now);
            out.write_all(self.welcome(&url, token.as_ref()).as_bytes())?;
        }
        out.flush()
    }

    /// Where clients on this machine find it: under its address, or if the certificate names
    /// others only, under the first of these.
    fn url(&self, address: SocketAddr) -> String {
        let address = reachable(address);
        let hosts = self.prepared.identity.as_ref().map(Identity::hosts);
        let hosts = hosts.unwrap_or_default();
        let named = hosts.iter().any(|host| *host == address.ip().to_string());
        let other = hosts.iter().find(|host| !host.contains(['*', ':']));
        match other {
            Some(host) if !named => format!("wss://{host}:{}", address.port()),
            _ => url(self.config, address),
        }
    }

    fn welcome(&self, url: &str, token: Option<&Token>) -> String {
        let ca = ca(self.config, self.prepared);
        let (shown, about) = match token {
            Some(token) => (token.reveal(), "The token is good for a day"),
            None => (
                "TOKEN",
                "Put a token of yours in the place of TOKEN: the keys here are public ones and sign none",
            ),
        };
        let sslopt = ca.as_ref().map_or_else(String::new, |ca| {
            format!("sslopt={{\"ca_certs\": {}}}", python(&ca.to_string_lossy()))
        });
        let python = format!(
            "import websocket; websocket.WebSocketApp({}, header=[{}], on_open=lambda ws: ws.send(\"test\"), \
         on_message=lambda ws, frame: print(frame, flush=True), \
         on_error=lambda ws, error: print(error, flush=True)).run_forever({sslopt})",
            python(&format!("{url}/")),
            python(&format!("Authorization: Bearer {shown}")),
        );
        // The usual one `listen` finds itself.
        let ca = ca.filter(|ca| ca != Path::new(listen::USUAL_CA));
        let ca = ca.map_or_else(String::new, |ca| {
            format!(" --ca {}", shell(&ca.to_string_lossy()))
        });
        let program = shell(self.program);
        format!(
            "
Get signals in Python (pip install websocket-client):

  python3 -c {}

or with this program:

  {program} listen {url} --token {shown}{ca}

{about}. One for a bot: {program} token issue --sub bot-1
",
            shell(&python)
        )
    }
}

/// A token that reads and tests; none if no key can sign.
fn token_for_a_day(config: &Config, prepared: &Prepared, now: SystemTime) -> Option<Token> {
    let claims = NewClaims {
        subject: "first-steps".to_owned(),
        scopes: [Scope::SignalsRead, Scope::SignalsTest]
            .into_iter()
            .collect(),
        symbols: None,
        ttl: DAY,
        issuer: config.auth.issuer.clone(),
        audience: config.auth.audience.clone(),
        now,
        token_id: None,
    };
    auth::issue(&prepared.keys, claims).ok()
}

fn url(config: &Config, address: SocketAddr) -> String {
    match config.server.transport {
        Transport::Tls => format!("wss://{address}"),
        Transport::Plaintext => format!("ws://{address}"),
    }
}

/// Where this machine reaches a server that listens on all addresses.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The authority that a client must be told of: our own. Others are known to it.
fn ca(config: &Config, prepared: &Prepared) -> Option<PathBuf> {
    let identity = prepared.identity.as_ref()?;
    let ca = config.server.tls_cert.with_file_name("ca.pem");
    (identity.needs_ca() && ca.exists()).then_some(ca)
}

/// A Python literal: JSON's are, as long as they are ASCII, which addresses and tokens are.
fn python(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// One word for a shell.
fn shell(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

const DAY: Duration = Duration::from_secs(86_400);
