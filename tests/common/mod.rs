//! The words that the tests are written in: a server of their own, and clients on real sockets.
//!
//! Every wait has a deadline, and a server that is dropped is killed: nothing outlives its test.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses the words it needs")]
#![allow(unreachable_pub, reason = "pub is what the test files see")]

pub mod issuer;
pub mod jwt;

use std::fs::{self, OpenOptions};
use std::future::Future;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response};
use tokio_tungstenite::tungstenite::{Error, Message, http};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use schema::{Door, Spoken};

pub mod disk;
pub mod events;
pub mod frames;
pub mod judge;
pub mod schema;

/// Longest wait for anything. Long, because the machine may be busy: it is only reached when a
/// test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for a future, and fails the test if it takes too long.
pub async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("{what}: nothing after {PATIENCE:?}"))
}

/// Waits, outside of a runtime, until this is so, and fails the test if that takes too long.
pub fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not after {PATIENCE:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A folder of its own, in which servers and commands run.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    /// Appends to a file in one write; makes it and its folder.
    pub fn append(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// Makes a named pipe; returns where it is.
    pub fn fifo(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        let mode = Mode::RUSR | Mode::WUSR;
        mknodat(CWD, &path, FileType::Fifo, mode, 0).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// The command with these arguments, separated by blanks, not yet started. It sees no
    /// settings from the environment of the tests.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_signalcast"));
        command
            .current_dir(self.0.path())
            .args(arguments.split_whitespace());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SIGNALCAST_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &str) -> Output {
        self.command(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// A token of these options, such as `--sub bot-1`.
    pub fn token(&self, options: &str) -> String {
        let output = self.run(&format!("token issue {options}"));
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .unwrap()
            .trim_end()
            .to_owned()
    }
}

/// Who reads what a server writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Somebody who reads it all.
    Attentive,
    /// Somebody who closes standard output after its first line, as `head -1` does.
    OfOneLine,
    /// The same, and standard error is not read, so that it fills up.
    OfOneLineAndNoLog,
}

/// A running server. Its feed is standard input unless the arguments name other sources.
pub struct TestServer {
    pub folder: Arc<Folder>,
    pub address: SocketAddr,
    pub scheme: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stderr: Option<ChildStderr>,
    output: Arc<Mutex<String>>,
    log: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl TestServer {
    /// `serve --listen 127.0.0.1:0` with more arguments, ready for clients, in a new folder.
    pub fn start(arguments: &str) -> Self {
        Self::start_in(Arc::new(Folder::new()), arguments)
    }

    /// The same in a folder that is there already.
    pub fn start_in(folder: Arc<Folder>, arguments: &str) -> Self {
        let mut command = folder.command("serve");
        if !arguments.contains("--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        if !arguments.contains("--source") {
            command.args(["--source", "stdin"]);
        }
        command.args(arguments.split_whitespace());
        Self::start_command(folder, command)
    }

    /// Starts a `serve` command that was put together by the test.
    pub fn start_command(folder: Arc<Folder>, command: Command) -> Self {
        Self::start_read(folder, command, Stdio::piped(), Reader::Attentive)
    }

    /// The same with another standard input, and with somebody who reads less of its output.
    pub fn start_read(
        folder: Arc<Folder>,
        mut command: Command,
        stdin: Stdio,
        reader: Reader,
    ) -> Self {
        command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (ready, listening) = mpsc::sync_channel(1);
        let (output, mut readers) = (Arc::new(Mutex::new(String::new())), Vec::new());
        let (stdout, into) = (
            BufReader::new(child.stdout.take().unwrap()),
            Arc::clone(&output),
        );
        readers.push(thread::spawn(move || {
            let most = if reader == Reader::Attentive {
                usize::MAX
            } else {
                1
            };
            for line in stdout.lines().take(most) {
                let line = line.unwrap();
                into.lock().unwrap().push_str(&format!("{line}\n"));
                if let Some(url) = line.strip_prefix("listening ") {
                    // Only the first is waited for.
                    ready.try_send(url.to_owned()).ok();
                }
            }
        }));
        let (log, mut stderr) = (Arc::new(Mutex::new(String::new())), child.stderr.take());
        if reader != Reader::OfOneLineAndNoLog {
            let (stderr, into) = (BufReader::new(stderr.take().unwrap()), Arc::clone(&log));
            readers.push(thread::spawn(move || {
                for line in stderr.lines() {
                    into.lock()
                        .unwrap()
                        .push_str(&format!("{}\n", line.unwrap()));
                }
            }));
        }
        let stdin = child.stdin.take();
        let Ok(url) = listening.recv_timeout(PATIENCE) else {
            child.kill().ok();
            child.wait().ok();
            panic!("the server does not listen:\n{}", log.lock().unwrap());
        };
        let (scheme, address) = url.split_once("://").unwrap();
        let address = address.trim_end_matches('/').parse().unwrap();
        let scheme = scheme.to_owned();
        Self {
            folder,
            address,
            scheme,
            child,
            stdin,
            stderr,
            output,
            log,
            readers,
        }
    }

    /// Writes to standard input, the feed.
    pub fn feed(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("the feed is still open");
        stdin.write_all(text.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// Takes the feed, to be written to from elsewhere or dropped, which ends it.
    pub fn take_feed(&mut self) -> ChildStdin {
        self.stdin.take().expect("the feed is still open")
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Its standard error, if nobody reads that yet.
    pub fn take_stderr(&mut self) -> ChildStderr {
        self.stderr
            .take()
            .expect("it was started with a reader of no log")
    }

    /// What it has written to standard output so far.
    pub fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// What it has written to standard error so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until it has printed something that contains this.
    pub async fn printed(&self, text: &str) {
        self.wrote(text, || self.output()).await;
    }

    /// Waits until it has logged something that contains this.
    pub async fn logged(&self, text: &str) {
        self.wrote(text, || self.log()).await;
    }

    async fn wrote(&self, text: &str, all: impl Fn() -> String) {
        let mut pause = tokio::time::interval(Duration::from_millis(5));
        let found = async {
            while !all().contains(text) {
                pause.tick().await;
            }
        };
        if timeout(PATIENCE, found).await.is_err() {
            panic!(
                "the server never wrote {text:?}:\n{}{}",
                self.output(),
                self.log()
            );
        }
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> u64 {
        resident_bytes(self.child.id())
    }

    /// Tells it to stop and waits until it has. Returns everything it logged.
    ///
    /// # Panics
    /// It does not end well.
    pub fn stop(self) -> String {
        self.signal(Signal::TERM);
        let (status, log) = self.wait();
        assert!(status.success(), "{status}:\n{log}");
        log
    }

    /// Waits until it has ended by itself.
    pub fn wait(mut self) -> (ExitStatus, String) {
        drop(self.stdin.take());
        let (done, ended) = mpsc::sync_channel(1);
        let pid = self.pid();
        let watch = thread::spawn(move || {
            if ended.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                kill_process(pid, Signal::KILL).ok();
            }
        });
        let status = self.child.wait().unwrap();
        done.send(()).ok();
        watch.join().unwrap();
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        let log = self.log();
        (status, log)
    }

    /// A token that may read and test.
    pub fn token(&self) -> String {
        self.folder.token("--sub tester")
    }

    /// A token with these claims, signed with the key that the server made.
    pub fn mint(&self, claims: &serde_json::Value) -> String {
        jwt::token(claims, self.folder.read("certs/jwt.key").trim_end())
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}://localhost:{}{path}", self.scheme, self.address.port())
    }

    /// A client that was let in.
    pub async fn client(&self) -> TestClient {
        self.client_at("/", &self.token())
            .await
            .unwrap_or_else(|error| panic!("{error}:\n{}", self.log()))
    }

    /// Clients that are let in one after the other, with one token.
    pub async fn clients(&self, count: usize) -> Vec<TestClient> {
        let token = self.token();
        let mut clients = Vec::with_capacity(count);
        for _ in 0..count {
            clients.push(self.client_at("/", &token).await.unwrap());
        }
        clients
    }

    /// Tries to connect with a token.
    pub async fn client_at(&self, path: &str, token: &str) -> Result<TestClient, Error> {
        let mut request = self.url(path).into_client_request().unwrap();
        let value = format!("Bearer {token}").parse().unwrap();
        request
            .headers_mut()
            .insert(http::header::AUTHORIZATION, value);
        self.client_with(request).await
    }

    /// The same, asking for this subprotocol.
    pub async fn client_speaking(
        &self,
        subprotocol: &str,
        path: &str,
        token: &str,
    ) -> Result<TestClient, Error> {
        self.client_with(self.request_speaking(subprotocol, path, token))
            .await
    }

    /// The request of such a client.
    pub fn request_speaking(&self, subprotocol: &str, path: &str, token: &str) -> Request {
        let mut request = self.url(path).into_client_request().unwrap();
        let headers = request.headers_mut();
        let bearer = format!("Bearer {token}");
        headers.insert(http::header::AUTHORIZATION, bearer.parse().unwrap());
        let protocol = subprotocol.parse().unwrap();
        headers.insert(http::header::SEC_WEBSOCKET_PROTOCOL, protocol);
        request
    }

    /// Tries to connect with a request of the test's own making.
    pub async fn client_with(&self, request: Request) -> Result<TestClient, Error> {
        let stream = self.connect().await;
        let upgrade = Box::pin(tokio_tungstenite::client_async(request, stream));
        let (socket, response) = patiently("upgrade", upgrade).await?;
        Ok(TestClient { socket, response })
    }

    /// A client that was let in and has hardly any room for what it does not read.
    pub async fn deaf_client(&self) -> TestClient {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = self
            .secure(socket.connect(self.address).await.unwrap())
            .await;
        let mut request = self.url("/").into_client_request().unwrap();
        let value = format!("Bearer {}", self.token()).parse().unwrap();
        request
            .headers_mut()
            .insert(http::header::AUTHORIZATION, value);
        let stream = MaybeTlsStream::Rustls(stream);
        let upgrade = Box::pin(tokio_tungstenite::client_async(request, stream));
        let (socket, response) = patiently("upgrade", upgrade).await.unwrap();
        TestClient { socket, response }
    }

    /// An encrypted connection (a plain one with `--plaintext`) on which nothing was said yet.
    pub async fn connect(&self) -> MaybeTlsStream<TcpStream> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        if self.scheme == "ws" {
            return MaybeTlsStream::Plain(stream);
        }
        MaybeTlsStream::Rustls(self.secure(stream).await)
    }

    /// The same from another of this machine's addresses.
    pub async fn connect_from(&self, source: Ipv4Addr) -> MaybeTlsStream<TcpStream> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((source, 0).into()).unwrap();
        let stream = socket.connect(self.address).await.unwrap();
        if self.scheme == "ws" {
            return MaybeTlsStream::Plain(stream);
        }
        MaybeTlsStream::Rustls(self.secure(stream).await)
    }

    /// TLS on a connection, checked against the server's CA.
    pub async fn secure(&self, stream: TcpStream) -> TlsStream<TcpStream> {
        let connector = TlsConnector::from(Arc::new(self.trust()));
        patiently("TLS handshake", connector.connect(localhost(), stream))
            .await
            .unwrap()
    }

    /// The first bytes of a TLS handshake.
    pub fn client_hello(&self) -> Vec<u8> {
        let mut tls = rustls::ClientConnection::new(Arc::new(self.trust()), localhost()).unwrap();
        let mut hello = Vec::new();
        tls.write_tls(&mut hello).unwrap();
        hello
    }

    /// TLS settings with which the server's CA is trusted, and no other.
    fn trust(&self) -> ClientConfig {
        trust(&self.folder)
    }

    /// Sends these bytes and reads the answer until the server closes the connection.
    pub async fn exchange(&self, request: &[u8]) -> Answer {
        self.exchange_on(self.connect().await, request).await
    }

    /// The same on a connection of the test's own making.
    pub async fn exchange_on(
        &self,
        mut stream: MaybeTlsStream<TcpStream>,
        request: &[u8],
    ) -> Answer {
        stream.write_all(request).await.unwrap();
        // Of many at once some would stay in the TLS buffer. Who was refused meanwhile reads why.
        stream.flush().await.ok();
        let mut bytes = Vec::new();
        patiently("end of the answer", stream.read_to_end(&mut bytes))
            .await
            .unwrap();
        Answer::to(request, &bytes)
    }

    /// Sends these bytes and reads one answer, after which the connection may be open.
    pub async fn open(&self, request: &[u8]) -> (MaybeTlsStream<TcpStream>, Answer) {
        let mut stream = self.connect().await;
        stream.write_all(request).await.unwrap();
        // Of many at once some would stay in the TLS buffer.
        stream.flush().await.unwrap();
        let mut bytes = Vec::new();
        let answer = async {
            while !Answer::is_whole(&bytes) {
                assert_ne!(
                    stream.read_buf(&mut bytes).await.unwrap(),
                    0,
                    "the connection ended"
                );
            }
        };
        patiently("answer", answer).await;
        (stream, Answer::to(request, &bytes))
    }

    /// A well-formed upgrade request with these further header lines, each ended by CRLF.
    pub async fn ask(&self, path: &str, headers: &str) -> Answer {
        self.exchange(upgrade_request(path, headers).as_bytes())
            .await
    }

    /// What a plain request with these further header lines is answered with.
    pub async fn get(&self, target: &str, headers: &str) -> Answer {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"
        );
        self.exchange(request.as_bytes()).await
    }

    /// What a request with this token and this body is answered with.
    pub async fn call(&self, token: &str, method: &str, path: &str, body: &str) -> Answer {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Authorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.exchange(request.as_bytes()).await
    }

    /// The same with a token of an admin.
    pub async fn administer(&self, method: &str, path: &str, body: &str) -> Answer {
        let token = self.mint(&jwt::with("scope", "admin"));
        self.call(&token, method, path, body).await
    }

    /// An upgrade from another of this machine's addresses.
    pub async fn ask_from(&self, source: Ipv4Addr, path: &str, headers: &str) -> Answer {
        let stream = self.connect_from(source).await;
        self.exchange_on(stream, upgrade_request(path, headers).as_bytes())
            .await
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// TLS settings with which the CA in this folder is trusted, and no other.
pub fn trust(folder: &Folder) -> ClientConfig {
    let ca = folder.path("certs/ca.pem");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Waits for the end, which comes by itself.
pub fn wait(child: &mut Child) -> ExitStatus {
    let (done, ended) = mpsc::sync_channel(1);
    let pid = Pid::from_child(child);
    let watch: JoinHandle<()> = thread::spawn(move || {
        if ended.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            kill_process(pid, Signal::KILL).ok();
        }
    });
    let status = child.wait().unwrap();
    done.send(()).ok();
    watch.join().unwrap();
    status
}

/// Resident memory of a process, in bytes.
pub fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib = line.split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() * 1024
}

/// What a program wrote.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

/// A well-formed upgrade request with these further header lines, each ended by CRLF.
pub fn upgrade_request(path: &str, headers: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    /// The answer to a request, which must be one that is documented.
    pub fn to(request: &[u8], bytes: &[u8]) -> Self {
        let answer = Self::parse(bytes);
        schema::check_answer(Door::Main, request, &answer);
        answer
    }

    pub fn parse(bytes: &[u8]) -> Self {
        let head = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        // Behind an upgrade come frames.
        let bytes = match head {
            Some(head) if bytes.starts_with(b"HTTP/1.1 101 ") => &bytes[..head + 4],
            _ => bytes,
        };
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("no answer: {text:?}"));
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let headers = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Self {
            status,
            headers,
            body: body.to_owned(),
        }
    }

    fn is_whole(bytes: &[u8]) -> bool {
        let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return false;
        };
        let length = Self::parse(&bytes[..head + 4])
            .header("content-length")
            .map(str::to_owned);
        bytes.len() >= head + 4 + length.map_or(0, |length| length.parse().unwrap())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is there twice");
        value
    }

    /// The `code` of the JSON body, which must be of the shape of all errors.
    pub fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(body["type"], "error");
        assert!(body["message"].is_string());
        assert_eq!(body.as_object().unwrap().len(), 3);
        body["code"].as_str().unwrap().to_owned()
    }
}

/// A client with an open WebSocket.
#[derive(Debug)]
pub struct TestClient {
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The `101` answer.
    pub response: Response,
}

impl TestClient {
    pub async fn send(&mut self, text: &str) {
        patiently("send", self.socket.send(Message::text(text)))
            .await
            .unwrap();
    }

    /// The next text message. Pings and pongs are passed over.
    pub async fn text(&mut self) -> String {
        match self.message().await {
            Message::Text(text) => text.as_str().to_owned(),
            other => panic!("{other:?} instead of a text"),
        }
    }

    /// The next so many text messages.
    pub async fn texts(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::with_capacity(count);
        while texts.len() < count {
            texts.push(self.text().await);
        }
        texts
    }

    /// The next text message, as JSON.
    pub async fn json(&mut self) -> serde_json::Value {
        serde_json::from_str(&self.text().await).unwrap()
    }

    /// The code and the reason with which the server closes; nothing may come before.
    pub async fn expect_close(&mut self) -> (u16, String) {
        match self.message().await {
            Message::Close(Some(frame)) => (frame.code.into(), frame.reason.to_string()),
            other => panic!("{other:?} instead of a close frame"),
        }
    }

    /// All text messages up to the close frame, and the code of that.
    pub async fn texts_until_close(&mut self) -> (Vec<String>, u16) {
        let mut texts = Vec::new();
        loop {
            match self.message().await {
                Message::Text(text) => texts.push(text.as_str().to_owned()),
                Message::Close(Some(frame)) => return (texts, frame.code.into()),
                other => panic!("{other:?} instead of a text or a close frame"),
            }
        }
    }

    /// The connection ends without anything more being said.
    pub async fn expect_end(&mut self) {
        let end = patiently("end of the connection", self.socket.next()).await;
        assert!(!matches!(end, Some(Ok(_))), "{end:?} instead of the end");
    }

    /// What was agreed on.
    fn spoken(&self) -> Spoken {
        let agreed = self.response.headers().get("sec-websocket-protocol");
        Spoken::after(agreed.and_then(|name| name.to_str().ok()))
    }

    async fn message(&mut self) -> Message {
        loop {
            let message = patiently("message", self.socket.next())
                .await
                .expect("the connection ended")
                .unwrap();
            if let Message::Text(text) = &message {
                schema::check_message(self.spoken(), text);
            }
            if !matches!(message, Message::Ping(_) | Message::Pong(_)) {
                return message;
            }
        }
    }
}

/// The wire text of a signal that `buy SYMBOL PRICE TIMESTAMP` gives.
pub fn wire(side: &str, symbol: &str, price: &str, timestamp: u64) -> String {
    format!(
        r#"{{"type":"{side}","content":{{"symbol":"{symbol}","price":{price},"timestamp":{timestamp}}},"is_test":false}}"#
    )
}
