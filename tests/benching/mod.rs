//! `signalcast bench --json`, what it reports, and servers that do with their clients what a test
//! says.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "each test file compiles its own copy and uses a part of it; a test that cannot go on fails"
)]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::thread;

use serde_json::Value;
use tokio_tungstenite::tungstenite::{self, WebSocket};

use crate::common::{Folder, wait_until};

/// A client, as the server sees it.
pub type Client = WebSocket<TcpStream>;

/// The lines that a server is fed.
pub type Feed = BufReader<File>;

/// A run that has ended.
pub struct Run {
    pub code: Option<i32>,
    pub report: Value,
    pub said: String,
}

/// Runs `bench --json` with these arguments, of which one may hold blanks.
pub fn bench(folder: &Folder, token: &str, arguments: &str, last: &[&str]) -> Run {
    ended(started(folder, token, arguments, last))
}

pub fn started(folder: &Folder, token: &str, arguments: &str, last: &[&str]) -> Child {
    let mut command = folder.command(&format!("bench --json {arguments}"));
    command
        .args(last)
        .env("SIGNALCAST_TOKEN", token)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

pub fn ended(child: Child) -> Run {
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let report = serde_json::from_slice(&output.stdout);
    Run {
        code: output.status.code(),
        report: report.unwrap_or(Value::Null),
        said,
    }
}

impl Run {
    pub fn number(&self, place: &str) -> f64 {
        self.value(place).as_f64().unwrap()
    }

    pub fn count(&self, place: &str) -> u64 {
        self.value(place).as_u64().unwrap()
    }

    pub fn value(&self, place: &str) -> &Value {
        let found = self.report.pointer(place);
        found.unwrap_or_else(|| panic!("{place}: {}\n{}", self.report, self.said))
    }

    /// Deliveries, and how many were lost, repeated and out of order.
    pub fn judged(&self) -> [u64; 4] {
        ["count", "lost", "repeated", "disordered"]
            .map(|name| self.count(&format!("/deliveries/{name}")))
    }
}

/// Runs it with so many clients of a server that does with them, and with the lines it is fed
/// through the named pipe `fifo`, what the script says.
pub fn bench_scripted(
    clients: usize,
    script: impl FnOnce(&mut [Client], &mut Feed) + Send + 'static,
    arguments: &str,
    last: &[&str],
) -> Run {
    let folder = Folder::new();
    // Who could also write to a pipe need not wait for a writer.
    let feed = File::options()
        .read(true)
        .write(true)
        .open(folder.fifo("fifo"))
        .unwrap();
    let mut lines = BufReader::new(feed.try_clone().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = thread::spawn(move || {
        // Who only looks whether somebody listens makes no handshake.
        let accepted = listener.incoming().map(Result::unwrap);
        let mut clients: Vec<Client> = accepted
            .filter_map(|stream| tungstenite::accept(stream).ok())
            .take(clients)
            .collect();
        script(&mut clients, &mut lines);
        for client in &mut clients {
            while client.read().is_ok() {}
        }
    });
    let arguments = format!("ws://{address} --clients {clients} {arguments}");
    let run = bench(&folder, "any", &arguments, last);
    serving.join().unwrap();
    // Until here the pipe was open.
    drop(feed);
    run
}

/// The next thirty lines.
pub fn thirty(feed: &mut Feed) -> Vec<String> {
    feed.lines().take(30).map(Result::unwrap).collect()
}

/// Until so many lines were fed, those of the warm-up among them.
pub fn wait_for_lines(folder: &Folder, count: usize) {
    let feed = || std::fs::read_to_string(folder.path("feed.jsonl")).unwrap_or_default();
    wait_until("lines are fed", || feed().lines().count() >= count);
}

/// An address at which nobody listens.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}
