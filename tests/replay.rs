//! `signalcast replay`: past signals from the log, whoever has it open.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

mod common;

use common::{Folder, PATIENCE, TestClient, TestServer, text, wait};

/// A client of `signalcast.v2`.
async fn client_v2(server: &TestServer) -> TestClient {
    let token = server.token();
    let client = server.client_speaking("signalcast.v2", "/", &token).await;
    client.unwrap()
}

/// The next signals of a client of `signalcast.v2`, as they come.
async fn signals(client: &mut TestClient, count: usize) -> Vec<String> {
    let mut signals = Vec::new();
    while signals.len() < count {
        let text = client.text().await;
        if text.starts_with(r#"{"type":"buy""#) || text.starts_with(r#"{"type":"sell""#) {
            signals.push(text);
        }
    }
    signals
}

/// Exit code, what is printed and what is said.
fn replay(folder: &Folder, arguments: &str) -> (Option<i32>, Vec<String>, String) {
    let output = folder.run(&format!("replay {arguments}"));
    let lines = text(&output.stdout).lines().map(str::to_owned).collect();
    (output.status.code(), lines, text(&output.stderr))
}

fn lines(of: std::ops::RangeInclusive<u64>) -> String {
    of.map(|price| format!("buy BTCUSDT {price}.50 1720000000\n"))
        .collect()
}

/// A server that has recorded so many signals, and those as a client of `signalcast.v2` has them.
async fn server_with(count: u64) -> (TestServer, Vec<String>) {
    let mut server = TestServer::start("");
    let mut client = client_v2(&server).await;
    server.feed(&lines(1..=count));
    let signals = signals(&mut client, usize::try_from(count).unwrap()).await;
    (server, signals)
}

/// As if the second signal had come three seconds after the first, and the rest an hour. Nobody may
/// have the log open.
fn spread(folder: &Folder) {
    let log = rusqlite::Connection::open(folder.path("data/signals.db")).unwrap();
    let later = "UPDATE signals SET received_at = (SELECT received_at FROM signals WHERE seq = 1)
        + CASE seq WHEN 2 THEN 3000000 ELSE 3600000000 END WHERE seq > 1";
    log.execute(later, []).unwrap();
}

#[tokio::test]
async fn it_prints_what_v2_clients_got_whether_the_server_runs_was_stopped_or_killed() {
    let (server, sent) = server_with(1000).await;
    let folder = Arc::clone(&server.folder);
    let all = (Some(0), sent.clone(), String::new());
    assert_eq!(replay(&folder, "1 --speed max"), all, "while it runs");
    server.signal(Signal::KILL);
    server.wait();
    assert_eq!(replay(&folder, "1 --speed max"), all, "killed");
    TestServer::start_in(Arc::clone(&folder), "").stop();
    assert_eq!(replay(&folder, "1 --speed max"), all, "stopped");

    for (arguments, expected) in [
        ("999", &sent[998..]),
        ("10 12", &sent[9..12]),
        ("998 5000", &sent[997..]),
        ("2020-01-01T00:00:00Z 3", &sent[..3]),
        ("1 2020-01-01T00:00:00Z", &[][..]),
    ] {
        let (code, printed, said) = replay(&folder, &format!("{arguments} --speed max"));
        assert_eq!(
            (code, printed.as_slice()),
            (Some(0), expected),
            "{arguments}"
        );
        let nothing = "signalcast: there is no signal in between\n";
        assert_eq!(said, if expected.is_empty() { nothing } else { "" });
    }
}

#[tokio::test]
async fn what_is_replayed_into_the_same_server_is_not_sent_twice() {
    let mut server = TestServer::start("");
    let mut client = client_v2(&server).await;
    server.feed("{\"side\":\"buy\",\"symbol\":\"A\",\"price\":1,\"id\":\"given\"}\n");
    server.feed(&lines(1..=3));
    signals(&mut client, 4).await;
    let replayed = server.folder.run("replay 1 --speed max");
    server.feed(&text(&replayed.stdout));
    server.feed("sell NEW 7 1720000000\n");
    let next = &signals(&mut client, 1).await[0];
    assert!(
        next.contains(r#""seq":5,"#) && next.contains(r#""symbol":"NEW""#),
        "{next}"
    );
}

#[tokio::test]
async fn a_line_is_printed_when_it_is_due_and_ctrl_c_ends_the_wait() {
    let (server, sent) = server_with(3).await;
    let folder = Arc::clone(&server.folder);
    server.stop();
    spread(&folder);

    let begun = Instant::now();
    let mut child = folder
        .command("replay 1 --speed 10x")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line.trim_end(), sent[0]);
    line.clear();
    stdout.read_line(&mut line).unwrap();
    assert!(line.contains(r#","seq":2,"#), "{line}");
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert!(begun.elapsed() < PATIENCE);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(wait(&mut child).code(), Some(0));
    line.clear();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "", "the third is due in six minutes");
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_ends_it() {
    let (server, _) = server_with(2000).await;
    let folder = Arc::clone(&server.folder);
    server.stop();
    spread(&folder);
    // While it prints, and while it waits for an hour.
    for (arguments, seq) in [("1 --speed max", 1), ("2", 2)] {
        let mut child = folder
            .command(&format!("replay {arguments}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert!(line.contains(&format!(r#","seq":{seq},"#)), "{line}");
        drop(stdout);
        assert_eq!(wait(&mut child).code(), Some(0));
        let mut said = String::new();
        let mut stderr = child.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        assert_eq!(said, "");
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_with_what_to_do() {
    let folder = Folder::new();
    let said = |folder: &Folder, arguments: &str| {
        let (code, printed, said) = replay(folder, arguments);
        assert_eq!((code, printed.len()), (Some(1), 0), "{arguments}: {said}");
        said
    };
    assert_eq!(
        said(&folder, "1"),
        "signalcast: there is no log in data; run it in the folder of the server, or name its data folder with --data-dir\n"
    );
    assert!(!folder.path("data").exists(), "to look is not to make");

    let (server, _) = server_with(3).await;
    let folder = Arc::clone(&server.folder);
    server.stop();
    let elsewhere = Folder::new();
    let data = folder.path("data");
    let named = format!("1 --speed max --data-dir {}", data.display());
    assert_eq!(replay(&elsewhere, &named).1.len(), 3);
    assert_eq!(
        said(&folder, "4"),
        "signalcast: 4 is beyond the newest signal, which is 3\n"
    );
    assert!(
        said(&folder, "2999-01-01T00:00:00Z").contains("is beyond the newest signal, which is 3")
    );

    fs::write(folder.path("data/signals.db"), "no database".repeat(100)).unwrap();
    let damaged = said(&folder, "1");
    assert!(
        damaged.contains("can't be read: it is no SQLite database"),
        "{damaged}"
    );

    let empty = TestServer::start("");
    let folder = Arc::clone(&empty.folder);
    assert_eq!(said(&folder, "1"), "signalcast: the log in data is empty\n");
}

#[test]
fn mistakes_are_told_all_at_once() {
    let folder = Folder::new();
    let output = folder.run("replay 0 2020-01-01 --speed 10 --drian 1s");
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(text(&output.stderr));
    for (arguments, expected) in [
        (
            "",
            "signalcast: FROM: is missing; write the seq of the first signal, such as 1, or a time such as 2026-11-20T10:00:00Z\n",
        ),
        (
            "7 5",
            "signalcast: TO: is before FROM; write the earlier one first\n",
        ),
    ] {
        let output = folder.run(&format!("replay {arguments}"));
        assert_eq!(
            (output.status.code(), text(&output.stderr).as_str()),
            (Some(2), expected)
        );
    }
}
