//! `signalcast check`: what is wrong with feeds and settings, before the server says so.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::sync::Arc;

mod common;

use common::{Folder, TestServer, resident_bytes, text};

/// Lines of every kind that is refused, and of some that are not, a signal that can be waited for
/// last.
fn feed() -> Vec<u8> {
    let mut feed = b"\xef\xbb\xbfbuy A 1 1720000000\r\n".to_vec();
    for line in [
        &b"hold A 1"[..],
        b"",
        b"# caf\xe9",
        b"buy A",
        b"buy A 1 1720000000000",
        b"buy caf\xe9 1",
        b"{\"type\":\"buy\",\"content\":{\"symbol\":\"A\",\"price\":1},\"istest\":true}",
        b"{\"side\":\"buy\",\"symbol\":\"A\",\"price\":NaN}",
        b"{\"side\":\"buy\",\"side\":\"buy\",\"symbol\":\"A\",\"price\":1}\r",
        b"[1]",
        b"{\"side\":\"sell\",\"symbol\":\"A\",\"price\":1,\"id\":\"one\"}",
        b"{\"side\":\"sell\",\"symbol\":\"A\",\"price\":2,\"id\":\"one\"}",
        b"sell A 1 1720000000 test",
        &[b'x'; 65_537],
        &[b' '; 65_537],
        b"{\"side\":\"sell\",\"symbol\":\"A\",\"price\":2,\"valid_for\":1,\"timestamp\":1}",
        b"buy LAST 1 1720000000",
    ] {
        feed.extend_from_slice(line);
        feed.push(b'\n');
    }
    feed
}

/// Runs `check` with this on standard input.
fn check(folder: &Folder, arguments: &str, input: &[u8]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = {
        let mut child = spawn(folder, arguments);
        // It may have ended already, when it reads something else.
        child.stdin.take().unwrap().write_all(input).ok();
        child.wait_with_output().unwrap()
    };
    (status.code(), text(&stdout), text(&stderr))
}

fn spawn(folder: &Folder, arguments: &str) -> Child {
    let mut command = folder.command(&format!("check {arguments}"));
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// The refusals that dead letters hold, as `check` writes them.
fn dead_letters(server: &TestServer) -> Vec<String> {
    let letters = server.folder.read("data/dead-letters.jsonl");
    let line = |letter: &str| {
        let letter: serde_json::Value = serde_json::from_str(letter).unwrap();
        let position = &letter["position"];
        let file = position["file"].as_str().unwrap_or("stdin");
        format!(
            "{file}:{}: line refused: {}",
            position["line"],
            letter["reason"].as_str().unwrap()
        )
    };
    letters.lines().map(line).collect()
}

fn refusals(said: &str) -> Vec<String> {
    said.lines()
        .filter(|line| line.contains(": line refused: "))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn it_refuses_what_the_server_refuses_in_the_same_words() {
    let folder = Arc::new(Folder::new());
    fs::write(folder.path("feed.jsonl"), feed()).unwrap();
    let arguments = "--source file:feed.jsonl?from=start --wait-clients 1";
    let server = TestServer::start_in(Arc::clone(&folder), arguments);
    let mut client = server.client().await;
    while !client.text().await.contains("LAST") {}
    let expected = dead_letters(&server);
    assert_eq!(expected.len(), 10, "{expected:#?}");

    let (code, said, seen) = check(&folder, "feed.jsonl", b"");
    assert_eq!((code, refusals(&said)), (Some(1), expected));
    assert_eq!(
        seen,
        "signals: 6 (tests: 1, duplicates: 1, stale: 1); comments and empty lines: 2; refused: 10\n"
    );
    let notes: Vec<&str> = said
        .lines()
        .filter(|line| line.contains(": note: "))
        .collect();
    assert_eq!(
        notes,
        ["feed.jsonl:13: note: the server drops this signal, its id \"one\" was there before"]
    );
}

#[tokio::test]
async fn standard_input_is_judged_as_the_server_would_judge_it() {
    let mut feed = feed();
    feed.extend_from_slice(b"sell B 0x1");
    let mut server = TestServer::start("--wait-clients 1 --exit-on-eof");
    let mut client = server.client().await;
    server.take_feed().write_all(&feed).unwrap();
    client.texts_until_close().await;
    let expected = dead_letters(&server);
    assert!(
        expected
            .last()
            .unwrap()
            .starts_with("stdin:19: line refused: price: "),
        "{expected:?}"
    );
    for name in ["-", "stdin"] {
        let (code, said, _) = check(&server.folder, name, &feed);
        assert_eq!((code, refusals(&said)), (Some(1), expected.clone()));
    }
}

#[test]
fn the_line_that_is_being_written_is_told_and_is_no_mistake() {
    let folder = Folder::new();
    for (last, expected) in [
        (
            "buy A 1",
            "feed.jsonl:2: note: the server does not read this line yet, it has no newline\n",
        ),
        (
            "buy A",
            "feed.jsonl:2: note: the server does not read this line yet, it has no newline; as it is: price is missing; add it after the symbol: buy SYMBOL PRICE\n",
        ),
        ("# buy", ""),
    ] {
        fs::write(folder.path("feed.jsonl"), format!("buy A 1\n{last}")).unwrap();
        let (code, said, _) = check(&folder, "feed.jsonl", b"");
        assert_eq!((code, said.as_str()), (Some(0), expected), "{last}");
    }
    let array = format!("[{}]", "{\"side\":\"buy\"},".repeat(5000));
    fs::write(folder.path("feed.jsonl"), array).unwrap();
    let (code, said, _) = check(&folder, "feed.jsonl", b"");
    assert_eq!(code, Some(1), "no newline can mend it");
    assert!(
        said.starts_with("feed.jsonl:1: line refused: the line is 75002 bytes long"),
        "{said}"
    );
}

#[test]
fn a_feed_is_named_as_for_the_server_or_by_its_path_alone() {
    let folder = Folder::new();
    folder.append("a.jsonl", "buy A 1 1720000000000\n");
    folder.append("b.jsonl", "buy A 1 1720000000000\n");
    folder.append("c?unit=ms", "buy A 1 1720000000000\n");
    folder.append("signalcast.toml", "signals.max_age = \"60s\"\n");
    for (names, expected) in [
        (
            "a.jsonl",
            "signals: 0 (tests: 0, duplicates: 0, stale: 0); comments and empty lines: 0; refused: 1\n",
        ),
        (
            "a.jsonl?unit=ms",
            "signals: 1 (tests: 0, duplicates: 0, stale: 1); comments and empty lines: 0; refused: 0\n",
        ),
        (
            "file:?.jsonl?unit=ms",
            "signals: 2 (tests: 0, duplicates: 0, stale: 2); comments and empty lines: 0; refused: 0\n",
        ),
        (
            "*.jsonl?unit=ms b.jsonl",
            "signals: 2 (tests: 0, duplicates: 0, stale: 2); comments and empty lines: 0; refused: 1\n",
        ),
        (
            "stdin?unit=ms",
            "signals: 1 (tests: 0, duplicates: 0, stale: 1); comments and empty lines: 0; refused: 0\n",
        ),
        (
            "c?unit=ms",
            "signals: 0 (tests: 0, duplicates: 0, stale: 0); comments and empty lines: 0; refused: 1\n",
        ),
    ] {
        let (_, _, seen) = check(&folder, names, b"buy A 1 1720000000000");
        assert_eq!(seen, expected, "{names}");
    }
}

#[test]
fn what_cannot_be_checked_is_a_mistake_in_usage() {
    let folder = Folder::new();
    folder.append("feed.jsonl", "hold\n");
    let (code, said, seen) = check(
        &folder,
        "feed.jsonl none.jsonl none.toml . x*y - stdin exec:./a.sh file:a?unit=us",
        b"",
    );
    assert_eq!((code, said.as_str()), (Some(2), ""));
    assert_eq!(
        seen.lines().collect::<Vec<_>>(),
        [
            "signalcast: none.jsonl: there is no such file; name one that is there",
            "signalcast: none.toml: there is no such file; name one that is there",
            "signalcast: .: is a folder; name the files in it",
            "signalcast: x*y: no file matches; name one that is there",
            "signalcast: exec:./a.sh: is a command, which is not run here; write: ./a.sh | signalcast check -",
            "signalcast: file:a?unit=us: source \"file:a?unit=us\": unit is \"us\"; write ms or s",
            "signalcast: stdin: is there twice, and it can be read only once; leave one",
        ]
    );
    let (code, _, seen) = check(&folder, "", b"");
    assert_eq!(code, Some(2));
    assert!(
        seen.starts_with("signalcast: FEED|CONFIG: is missing; "),
        "{seen}"
    );
}

#[test]
fn settings_are_refused_as_serve_refuses_them_and_nothing_is_made() {
    let folder = Folder::new();
    folder.append("short.key", "secret\n");
    folder.append(
        "my.toml",
        "data_dir = \"short.key\"\n[server]\ndrian = \"1s\"\nshards = 0\ntls_cert = \"none.pem\"\nwait_clients = 9\n\
         [auth]\njwt_key = \"short.key\"\n[limits]\nconnections = 1\n",
    );
    let served = folder.run("serve --config my.toml");
    let (code, said, seen) = check(&folder, "my.toml", b"");
    assert_eq!((code, said.as_str()), (Some(1), &*text(&served.stderr)));
    assert_eq!(seen, "mistakes in settings: 7\n");
    assert_eq!(served.status.code(), Some(2));

    folder.append("good.toml", "[server]\ndrain = \"1s\"\n");
    let (code, said, seen) = check(&folder, "good.toml", b"");
    assert_eq!(
        (code, seen.as_str()),
        (Some(0), "mistakes in settings: 0\n"),
        "{said}"
    );
    assert_eq!(
        fs::read_dir(folder.path("")).unwrap().count(),
        3,
        "nothing was made"
    );
}

#[tokio::test]
async fn settings_can_be_checked_beside_a_server_that_runs() {
    let folder = Arc::new(Folder::new());
    let server = TestServer::start_in(Arc::clone(&folder), "");
    server.printed("The token is good for a day").await;
    folder.append("signalcast.toml", "[server]\ndrain = \"1s\"\n");
    let names = |folder: &Path| {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let before = [names(&folder.path("")), names(&folder.path("data"))];
    let (code, said, _) = check(&folder, "signalcast.toml", b"");
    let pid = server.pid().as_raw_nonzero();
    let in_use = format!(
        "note: data_dir: process {pid} uses it already; stop that one, or give this one another folder"
    );
    assert_eq!((code, said.lines().next()), (Some(0), Some(&*in_use)));
    assert_eq!(
        [names(&folder.path("")), names(&folder.path("data"))],
        before
    );
    server.stop();
}

#[test]
fn a_key_that_its_group_may_read_is_noted() {
    let folder = Folder::new();
    folder.token("--sub bot-1");
    fs::set_permissions(folder.path("certs/jwt.key"), Permissions::from_mode(0o640)).unwrap();
    folder.append("signalcast.toml", "[server]\nplaintext = true\n");
    let (code, said, _) = check(&folder, "signalcast.toml", b"");
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("note: certs/jwt.key: its group may read it (mode 0640)"),
        "{said}"
    );
}

#[test]
fn who_has_seen_enough_may_go_and_the_outcome_is_still_known() {
    let folder = Folder::new();
    fs::write(folder.path("feed.jsonl"), "hold\n".repeat(10_000)).unwrap();
    let mut child = spawn(&folder, "feed.jsonl");
    let mut first = String::new();
    BufReader::with_capacity(64, child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    assert!(first.starts_with("feed.jsonl:1: line refused: "), "{first}");
    let mut seen = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut seen)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(seen.ends_with("refused: 10000\n"), "{seen}");
}

#[test]
fn a_mistake_is_told_as_soon_as_its_line_was_piped_in() {
    let folder = Folder::new();
    let mut child = spawn(&folder, "-");
    let (mut stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut said = BufReader::new(stdout);
    for line in 1..=3 {
        stdin.write_all(b"hold\n").unwrap();
        let mut first = String::new();
        said.read_line(&mut first).unwrap();
        assert!(
            first.starts_with(&format!("stdin:{line}: line refused: ")),
            "{first}"
        );
    }
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn memory_does_not_grow_with_a_feed_or_a_line() {
    let folder = Folder::new();
    let mut child = spawn(&folder, "-");
    let mut stdin = child.stdin.take().unwrap();
    let resident = || resident_bytes(child.id());
    let signal = format!(
        "{{\"side\":\"buy\",\"symbol\":\"A\",\"price\":1,\"note\":\"{}\"}}\n",
        "x".repeat(4000)
    );
    let some = signal.repeat(250);
    stdin.write_all(some.as_bytes()).unwrap();
    let before = resident();
    for _ in 0..30 {
        stdin.write_all(some.as_bytes()).unwrap();
    }
    let giant = vec![b'x'; 1 << 20];
    for _ in 0..30 {
        stdin.write_all(&giant).unwrap();
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes after 60 MB");
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(
        text(&output.stderr).starts_with("signals: 7750 "),
        "{}",
        text(&output.stderr)
    );
}
