//! What a `file:` source does when the system refuses it something: file descriptors, or news of
//! changes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::process::Command;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, prlimit};

mod common;

use common::{Folder, TestClient, TestServer, wire};

async fn expect(client: &mut TestClient, symbol: &str) {
    assert_eq!(client.text().await, wire("buy", symbol, "1", 1));
}

#[tokio::test]
async fn without_file_descriptors_it_says_what_to_do_and_goes_on_when_there_are_some() {
    let server = TestServer::start("--source file:signals/*.jsonl");
    server.folder.append("signals/live.jsonl", "buy A 1 1\n");
    let mut client = server.client().await;
    server.folder.append("signals/live.jsonl", "buy B 1 1\n");
    while client.text().await != wire("buy", "B", "1", 1) {}
    let none = Rlimit {
        current: Some(3),
        ..rustix::process::getrlimit(Resource::Nofile)
    };
    let before = prlimit(Some(server.pid()), Resource::Nofile, none).unwrap();
    server.folder.append("signals/new.jsonl", "buy C 1 1\n");
    server
        .logged("raise the limit of open files (ulimit -n, LimitNOFILE=)")
        .await;
    prlimit(Some(server.pid()), Resource::Nofile, before).unwrap();
    expect(&mut client, "C").await;
    server.folder.append("signals/live.jsonl", "buy D 1 1\n");
    expect(&mut client, "D").await;
    server.stop();
}

/// A server to which the kernel tells nothing of changes: in a user namespace of its own, in which
/// nobody may have an inotify instance. None if this system allows no such namespace.
fn deaf_server() -> Option<TestServer> {
    const NO_INOTIFY: &str = "echo 0 > /proc/sys/user/max_inotify_instances && exec \"$@\"";
    let shell = ["--user", "--map-root-user", "sh", "-c", NO_INOTIFY, "sh"];
    let possible = Command::new("unshare").args(shell).arg("true").output();
    if !possible.is_ok_and(|output| output.status.success()) {
        eprintln!("not tested: this system lets nobody make a user namespace");
        return None;
    }
    let folder = Arc::new(Folder::new());
    let server = folder.command("serve --listen 127.0.0.1:0 --source file:signals/*.jsonl");
    let mut command = Command::new("unshare");
    command
        .args(shell)
        .arg(server.get_program())
        .args(server.get_args())
        .current_dir(folder.path("."));
    Some(TestServer::start_command(folder, command))
}

#[tokio::test]
async fn without_news_of_changes_the_look_every_second_finds_all_of_it() {
    let Some(server) = deaf_server() else {
        return;
    };
    server
        .logged("no news of file changes, looking every second instead")
        .await;
    let (folder, mut client) = (&server.folder, server.client().await);
    let live = folder.path("signals/live.jsonl");
    folder.append("signals/live.jsonl", "buy A 1 1\n");
    expect(&mut client, "A").await;
    // Rewritten with the same size within a tick of the file system's clock.
    let tick = fs::metadata(&live).unwrap().modified().unwrap();
    fs::write(&live, "buy B 1 1\n").unwrap();
    let file = fs::File::options().write(true).open(&live).unwrap();
    file.set_modified(tick).unwrap();
    expect(&mut client, "B").await;
    // Truncated, and longer than before.
    let comments = "# a comment\n".repeat(40);
    fs::write(&live, format!("{comments}buy C 1 1\n")).unwrap();
    expect(&mut client, "C").await;
    // Renamed, with a line before and a new file after.
    folder.append("signals/live.jsonl", "buy D 1 1\n");
    fs::rename(&live, folder.path("signals/live.1")).unwrap();
    expect(&mut client, "D").await;
    folder.append("signals/live.jsonl", "buy E 1 1\n");
    expect(&mut client, "E").await;
    // Copied and truncated, with a line that only the copy has.
    folder.append("signals/live.jsonl", &comments);
    folder.append("signals/live.jsonl", "buy F 1 1\n");
    expect(&mut client, "F").await;
    folder.append("signals/live.jsonl", "buy G 1 1\n");
    fs::copy(&live, folder.path("signals/copy.jsonl")).unwrap();
    fs::write(&live, "").unwrap();
    expect(&mut client, "G").await;
    // Deleted, and there again.
    fs::remove_file(&live).unwrap();
    folder.append("signals/live.jsonl", "buy H 1 1\n");
    expect(&mut client, "H").await;
    server.stop();
}
