//! A vocabulary for tests of what an admin does with sources, and of what v2 clients hear of them.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "each test file compiles its own copy and uses a part of it; a test that cannot go on fails"
)]

use std::fs::{self, File, OpenOptions};
use std::sync::Arc;

use serde_json::Value;

use super::common::{Answer, Folder, TestClient, TestServer};

/// A server with these sources and more arguments, separated by blanks.
pub fn serve(folder: &Arc<Folder>, sources: &[&str], more: &str) -> TestServer {
    let mut command = folder.command("serve --listen 127.0.0.1:0");
    for source in sources {
        command.args(["--source", source]);
    }
    command.args(more.split_whitespace());
    TestServer::start_command(Arc::clone(folder), command)
}

/// Writes into a named pipe, whether somebody reads it yet or not.
pub fn pipe(folder: &Folder, name: &str) -> File {
    let path = folder.fifo(name);
    let mut options = OpenOptions::new();
    options.read(true).write(true).open(path).unwrap()
}

/// A client of `signalcast.v2`; its first frame is taken.
pub async fn watcher(server: &TestServer) -> TestClient {
    let token = server.token();
    let client = server.client_speaking("signalcast.v2", "/", &token).await;
    let mut client = client.unwrap();
    assert_eq!(client.json().await["type"], "connection_established");
    client
}

/// Waits for a heartbeat in which each of these sources is in this state. Nothing else may come.
pub async fn stand(client: &mut TestClient, expected: &[(&str, &str)]) -> Value {
    loop {
        let said = client.json().await;
        assert_eq!(said["type"], "heartbeat", "{said}");
        let is_so = |(name, state): &(&str, &str)| said["sources"][name]["state"] == *state;
        if expected.iter().all(is_so) {
            return said;
        }
    }
}

/// An admin asks.
pub async fn ask(server: &TestServer, method: &str, path: &str) -> Answer {
    server.administer(method, path, "").await
}

/// Pauses a source or lets it go on; returns the state that it is told to be in.
pub async fn steer(server: &TestServer, source: &str, turn: &str) -> String {
    let answer = ask(server, "POST", &path(source, turn)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["name"], source);
    assert_eq!(body.as_object().unwrap().len(), 2);
    body["state"].as_str().unwrap().to_owned()
}

/// The path of a source, with its name percent-encoded.
pub fn path(source: &str, turn: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    let name: String = source.bytes().map(encode).collect();
    format!("/sources/{name}/{turn}")
}

/// Whether a process runs; one that has ended and that nobody has waited for does not.
pub fn runs(pid: u32) -> bool {
    stat(pid).is_some_and(|(_, state)| !["Z", "X"].contains(&state.as_str()))
}

/// Processes that this one has started, that have ended, and that it has not waited for.
pub fn zombies(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| stat(*pid).is_some_and(|(of, state)| of == parent && state == "Z"))
        .collect()
}

/// Its parent, and its state.
fn stat(pid: u32) -> Option<(u32, String)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.to_owned();
    Some((fields.next()?.parse().ok()?, state))
}
