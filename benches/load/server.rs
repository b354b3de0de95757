use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::process;

/// The longest that any step of a benchmark may take.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// A running server in a folder, fed through its standard input.
pub struct Server {
    pub door: Door,
    /// From its start to the line that says where it listens.
    pub start: Duration,
    child: Child,
    feed: Option<ChildStdin>,
    _output: BufReader<ChildStdout>,
}

/// What a client needs to get in.
#[derive(Clone)]
pub struct Door {
    pub address: SocketAddr,
    pub token: Arc<str>,
    /// Whom to trust, if it speaks TLS.
    pub tls: Option<Arc<ClientConfig>>,
}

impl Server {
    /// `serve --source stdin` with more arguments, ready for clients.
    pub fn start(folder: &Path, arguments: &str) -> Self {
        let token = token(folder);
        let mut command = command(folder);
        command.args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--source",
            "stdin",
            "--log",
            "error",
        ]);
        command.args(arguments.split_whitespace());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let start = Instant::now();
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let url = loop {
            let mut line = String::new();
            assert!(
                output.read_line(&mut line).unwrap() > 0,
                "the server does not listen"
            );
            if let Some(url) = line.trim_end().strip_prefix("listening ") {
                break url.to_owned();
            }
        };
        let start = start.elapsed();
        let (scheme, address) = url.split_once("://").unwrap();
        let address = address.trim_end_matches('/').parse().unwrap();
        let tls = (scheme == "wss").then(|| trust(folder));
        Self {
            door: Door {
                address,
                token,
                tls,
            },
            start,
            feed: child.stdin.take(),
            child,
            _output: output,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its standard input; when that is dropped, the feed has ended.
    pub fn take_feed(&mut self) -> ChildStdin {
        self.feed.take().unwrap()
    }

    /// Tells it to drain.
    pub fn stop(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Waits for its end, which must be a good one; returns the CPU time it took.
    pub fn end(mut self) -> Duration {
        drop(self.feed.take());
        let (status, cpu) = process::end(&mut self.child, PATIENCE);
        assert!(status.success(), "the server ended with {status}");
        cpu
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Where the log of a server in this folder is.
pub fn database(folder: &Path) -> PathBuf {
    folder.join("data/signals.db")
}

/// Has a server make its empty log.
pub fn make_log(folder: &Path) {
    Server::start(folder, "--plaintext --exit-on-eof").end();
}

fn token(folder: &Path) -> Arc<str> {
    let kept = folder.join("token");
    if !kept.exists() {
        let issued = command(folder)
            .args(["token", "issue", "--sub", "bench"])
            .output()
            .unwrap();
        assert!(
            issued.status.success(),
            "{}",
            String::from_utf8_lossy(&issued.stderr)
        );
        fs::write(&kept, issued.stdout).unwrap();
    }
    fs::read_to_string(kept).unwrap().trim_end().into()
}

/// The program in this folder, without settings from the environment.
fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signalcast"));
    command.current_dir(folder);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SIGNALCAST_") {
            command.env_remove(name);
        }
    }
    command
}

fn trust(folder: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(folder.join("certs/ca.pem")).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let config = ClientConfig::builder().with_root_certificates(roots);
    Arc::new(config.with_no_client_auth())
}
