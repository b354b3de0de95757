//! What a `file:` source does while it may not read what it follows. The server runs as another
//! user than root, to whom nothing is forbidden.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::sync::Arc;

mod common;

use common::{Folder, TestServer, wait_until, wire};

/// `nobody`.
const USER: u32 = 65534;

/// A server that follows `feeds/*.jsonl` and is not root, with a client's view of it.
fn start(folder: Folder) -> TestServer {
    fs::create_dir_all(folder.path("feeds")).unwrap();
    start_in(Arc::new(folder))
}

/// Stops it, lets something happen, and starts it again.
fn restart(server: TestServer, meanwhile: impl FnOnce(&Folder)) -> TestServer {
    let folder = Arc::clone(&server.folder);
    if rustix::process::geteuid().is_root() {
        chown(folder.path("certs/jwt.key"), Some(USER), None).unwrap();
    }
    server.stop();
    meanwhile(&folder);
    start_in(folder)
}

fn start_in(folder: Arc<Folder>) -> TestServer {
    let mut command =
        folder.command("serve --listen 127.0.0.1:0 --plaintext --source file:feeds/*.jsonl");
    if rustix::process::geteuid().is_root() {
        chown(folder.path("."), Some(USER), None).unwrap();
        command.uid(USER);
    }
    let server = TestServer::start_command(folder, command);
    if rustix::process::geteuid().is_root() {
        // For the tokens that the tests issue.
        chown(server.folder.path("certs/jwt.key"), Some(0), None).unwrap();
    }
    server
}

fn permit(server: &TestServer, name: &str, mode: u32) {
    fs::set_permissions(server.folder.path(name), Permissions::from_mode(mode)).unwrap();
}

fn said(log: &str, text: &str) -> usize {
    log.matches(text).count()
}

#[tokio::test]
async fn a_file_that_may_not_be_read_is_told_once_and_followed_when_it_may() {
    let folder = Folder::new();
    folder.append("feeds/old.jsonl", "buy OLD 1 1\n");
    fs::set_permissions(
        folder.path("feeds/old.jsonl"),
        Permissions::from_mode(0o000),
    )
    .unwrap();
    let server = start(folder);
    let mut client = server.client().await;
    server.logged("can't follow a file").await;
    server.folder.append("feeds/old.jsonl", "buy NEW 1 1\n");
    server.folder.append("feeds/other.jsonl", "buy A 1 1\n");
    assert_eq!(client.text().await, wire("buy", "A", "1", 1));
    permit(&server, "feeds/old.jsonl", 0o644);
    // What was in it at the start is old.
    assert_eq!(client.text().await, wire("buy", "NEW", "1", 1));
    let log = server.stop();
    assert_eq!(said(&log, "let the server's user read it"), 1, "{log}");
}

#[tokio::test]
async fn what_is_written_while_a_file_may_not_be_read_comes_once() {
    let server = start(Folder::new());
    let mut client = server.client().await;
    for round in 0..3 {
        for symbol in ["A", "B"] {
            let line = format!("buy {symbol}{round} 1 1\n");
            server.folder.append("feeds/live.jsonl", &line);
            let expected = wire("buy", &format!("{symbol}{round}"), "1", 1);
            assert_eq!(client.text().await, expected);
            // Whoever has it open goes on reading it.
            permit(&server, "feeds/live.jsonl", 0);
        }
        permit(&server, "feeds/live.jsonl", 0o644);
    }
    server.stop();
}

#[tokio::test]
async fn a_folder_that_may_not_be_looked_into_is_told_once_and_goes_on_where_it_was() {
    let server = start(Folder::new());
    let mut client = server.client().await;
    server.folder.append("feeds/live.jsonl", "buy A 1 1\n");
    server.folder.append("feeds/other.jsonl", "# nothing yet\n");
    assert_eq!(client.text().await, wire("buy", "A", "1", 1));
    for round in 1..=2 {
        permit(&server, "feeds", if round == 1 { 0o600 } else { 0 });
        let told = || said(&server.log(), "can't follow a file");
        wait_until("it is told", || told() == usize::try_from(round).unwrap());
        server
            .folder
            .append("feeds/live.jsonl", &format!("buy B 1 {round}\n"));
        assert_eq!(client.text().await, wire("buy", "B", "1", round));
        server
            .folder
            .append("feeds/new.jsonl", &format!("buy C 1 {round}\n"));
        permit(&server, "feeds", 0o755);
        assert_eq!(client.text().await, wire("buy", "C", "1", round));
    }
    let log = server.stop();
    assert_eq!(said(&log, "can't follow a file"), 2, "{log}");
}

#[tokio::test]
async fn what_may_not_be_read_after_a_restart_goes_on_where_it_was_when_it_may() {
    let server = start(Folder::new());
    let mut client = server.client().await;
    server.folder.append("feeds/live.jsonl", "buy ONE 1 1\n");
    assert_eq!(client.text().await, wire("buy", "ONE", "1", 1));
    permit(&server, "feeds/live.jsonl", 0o000);
    let server = restart(server, |folder| {
        folder.append("feeds/live.jsonl", "buy TWO 1 1\n");
    });
    let mut client = server.client().await;
    server.logged("can't go on with a file yet").await;
    permit(&server, "feeds/live.jsonl", 0o644);
    assert_eq!(client.text().await, wire("buy", "TWO", "1", 1));
    server.stop();
}

#[tokio::test]
async fn what_may_not_be_read_at_the_first_start_is_old_after_a_restart_too() {
    let folder = Folder::new();
    folder.append("feeds/old.jsonl", "buy OLD 1 1\n");
    let forbidden = Permissions::from_mode(0o000);
    fs::set_permissions(folder.path("feeds/old.jsonl"), forbidden).unwrap();
    let server = restart(start(folder), |_| {});
    let mut client = server.client().await;
    server.folder.append("feeds/old.jsonl", "buy NEW 1 1\n");
    permit(&server, "feeds/old.jsonl", 0o644);
    assert_eq!(client.text().await, wire("buy", "NEW", "1", 1));
    server.stop();
}
