//! `/sources`: an admin sees how they are, holds one, and lets it go on; nothing is lost or repeated.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod steering;

use std::fs;
use std::io::Write;
use std::sync::Arc;

use common::jwt::{claims, with};
use common::{Folder, TestClient, TestServer, wait_until, wire};
use rustix::process::Signal;
use serde_json::{Value, json};
use steering::{ask, pipe, serve, stand, steer, watcher};

const BEAT: &str = "--limits-heartbeat 50ms";

fn lines(symbol: &str, numbers: std::ops::RangeInclusive<u32>) -> String {
    numbers.map(|n| format!("buy {symbol} {n} 1\n")).collect()
}

/// The next so many signals of a client of v2, as `SYMBOL PRICE`.
async fn signals(client: &mut TestClient, count: usize) -> Vec<String> {
    let mut signals = Vec::new();
    while signals.len() < count {
        let said = client.json().await;
        if said["type"] == "buy" {
            let content = &said["content"];
            signals.push(format!(
                "{} {}",
                content["symbol"].as_str().unwrap(),
                content["price"]
            ));
        }
    }
    signals
}

fn expected(symbol: &str, numbers: std::ops::RangeInclusive<u32>) -> Vec<String> {
    numbers.map(|n| format!("{symbol} {n}")).collect()
}

/// Several heartbeats come with nothing before or between them.
async fn silence(client: &mut TestClient, state: (&str, &str)) {
    for _ in 0..3 {
        let said = client.json().await;
        assert_eq!(said["type"], "heartbeat", "{said}");
        assert_eq!(said["sources"][state.0]["state"], state.1, "{said}");
    }
}

async fn listed(server: &TestServer) -> Value {
    let answer = ask(server, "GET", "/sources").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    serde_json::from_str(&answer.body).unwrap()
}

#[tokio::test]
async fn an_admin_sees_what_each_source_has_brought() {
    let folder = Arc::new(Folder::new());
    folder.append("b.txt", "");
    let mut server = serve(&folder, &["stdin", "file:b.txt"], "");
    let mut client = server.client().await;
    server.feed("buy A 1 1\nnonsense\nsell A 1 1\n");
    client.texts(2).await;
    let list = listed(&server).await;
    let age = &list["sources"][0]["last_signal_age_ms"];
    assert!(age.is_u64(), "{age}");
    let stdin = json!({"name": "stdin", "state": "live", "last_signal_age_ms": age, "signals": 2, "dead_letters": 1});
    let file = json!({"name": "file:b.txt", "state": "live", "last_signal_age_ms": null, "signals": 0, "dead_letters": 0});
    assert_eq!(list, json!({"sources": [stdin, file]}));
    server.stop();
}

#[tokio::test]
async fn nobody_else_may_and_what_is_not_there_is_said() {
    let server = TestServer::start("");
    for (method, path) in [
        ("GET", "/sources"),
        ("POST", "/sources/stdin/pause"),
        ("POST", "/sources/stdin/resume"),
    ] {
        let reader = server.mint(&claims());
        let answer = server.call(&reader, method, path, "").await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (403, "insufficient_scope")
        );
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.contains("scope=\"admin\""), "{challenge}");
        let answer = server.call("wrong", method, path, "").await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "invalid_token")
        );
    }
    for (method, path, status, code) in [
        ("POST", "/sources/nothing/pause", 404, "not_found"),
        ("POST", "/sources/stdin/stop", 404, "not_found"),
        ("POST", "/sources/stdin", 404, "not_found"),
        ("GET", "/sources/stdin/pause", 405, "method_not_allowed"),
        ("POST", "/sources", 405, "method_not_allowed"),
    ] {
        let answer = ask(&server, method, path).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{method} {path}"
        );
    }
    assert_eq!(listed(&server).await["sources"][0]["state"], "live");
    server.stop();
}

#[tokio::test]
async fn standard_input_is_held_and_goes_on_with_what_was_written_meanwhile() {
    let folder = Arc::new(Folder::new());
    let mut server = serve(&folder, &["stdin"], BEAT);
    let mut client = watcher(&server).await;
    server.feed(&lines("X", 1..=2));
    server.feed("buy X 3");
    assert_eq!(signals(&mut client, 2).await, expected("X", 1..=2));
    assert_eq!(steer(&server, "stdin", "pause").await, "paused");
    // Once more changes nothing.
    assert_eq!(steer(&server, "stdin", "pause").await, "paused");
    server.feed(&format!(" 1\n{}", lines("X", 4..=10)));
    stand(&mut client, &[("stdin", "paused")]).await;
    silence(&mut client, ("stdin", "paused")).await;
    assert_eq!(steer(&server, "stdin", "resume").await, "live");
    assert_eq!(signals(&mut client, 8).await, expected("X", 3..=10));
    assert_eq!(steer(&server, "stdin", "resume").await, "live");
    server.feed(&lines("X", 11..=11));
    assert_eq!(signals(&mut client, 1).await, expected("X", 11..=11));
    let log = server.stop();
    assert!(
        log.contains("source paused source=stdin by=\"bot-1\""),
        "{log}"
    );
}

#[tokio::test]
async fn a_source_that_is_paused_holds_up_no_other_and_a_stop_ends_it() {
    let folder = Arc::new(Folder::new());
    folder.append("a.txt", "");
    let mut feed = pipe(&folder, "feed");
    let sources = ["stdin", "file:a.txt", "exec:cat feed"];
    let mut server = serve(&folder, &sources, BEAT);
    let mut client = watcher(&server).await;
    for source in sources {
        steer(&server, source, "pause").await;
    }
    server.feed(&lines("X", 1..=1));
    folder.append("a.txt", &lines("X", 2..=2));
    feed.write_all(lines("X", 3..=3).as_bytes()).unwrap();
    stand(&mut client, &sources.map(|source| (source, "paused"))).await;
    silence(&mut client, ("stdin", "paused")).await;
    steer(&server, "file:a.txt", "resume").await;
    assert_eq!(signals(&mut client, 1).await, expected("X", 2..=2));
    silence(&mut client, ("stdin", "paused")).await;
    let log = server.stop();
    assert!(log.contains("drained in time"), "{log}");
}

#[tokio::test]
async fn a_command_is_held_by_its_full_pipe_and_loses_and_repeats_nothing() {
    const SCRIPT: &str = r#"
import sys
open("started", "w")
for n in range(1, 20_001):
    print(f"buy X {n} 1", flush=n == 5)
    if n == 5:
        open("go").readline()
    if n == 1000:
        print("a thousand", file=sys.stderr)
open("done", "w")
"#;
    let folder = Arc::new(Folder::new());
    folder.append("strategy.py", SCRIPT);
    let mut go = pipe(&folder, "go");
    let source = "exec:python3 strategy.py";
    let spec = format!("{source}?restart=never");
    let server = serve(&folder, &[&spec], &format!("{BEAT} --wait-clients 1"));
    // Before it is opened.
    assert_eq!(steer(&server, source, "pause").await, "paused");
    let mut client = watcher(&server).await;
    silence(&mut client, (source, "paused")).await;
    assert!(!folder.path("started").exists());
    steer(&server, source, "resume").await;
    assert_eq!(signals(&mut client, 5).await, expected("X", 1..=5));
    steer(&server, source, "pause").await;
    writeln!(go).unwrap();
    // What it says is heard, what it prints is not.
    server.logged("line=a thousand").await;
    stand(&mut client, &[(source, "paused")]).await;
    silence(&mut client, (source, "paused")).await;
    assert!(
        !folder.path("done").exists(),
        "it is more than a pipe holds"
    );
    steer(&server, source, "resume").await;
    assert_eq!(
        signals(&mut client, 19_995).await,
        expected("X", 6..=20_000)
    );
    stand(&mut client, &[(source, "ended")]).await;
    // It stays what it is.
    assert_eq!(steer(&server, source, "pause").await, "ended");
    server.stop();
}

#[tokio::test]
async fn a_command_that_ends_while_it_is_held_is_buried_and_what_it_printed_is_kept() {
    let folder = Arc::new(Folder::new());
    let mut go = pipe(&folder, "go");
    let script = "echo $$ >pid\necho buy X 1 1\nread _ <go\necho buy X 2 1\nprintf 'buy X 3'\n\
                  echo failing >&2\nexit 7\n";
    folder.append("strategy.sh", script);
    let source = "exec:sh strategy.sh";
    let server = serve(
        &folder,
        &[&format!("{source}?restart=never")],
        &format!("{BEAT} --wait-clients 1"),
    );
    let mut client = watcher(&server).await;
    assert_eq!(signals(&mut client, 1).await, expected("X", 1..=1));
    steer(&server, source, "pause").await;
    writeln!(go).unwrap();
    server.logged("line=failing").await;
    // A dead strategy is not taken for a held one.
    stand(&mut client, &[(source, "failed")]).await;
    silence(&mut client, (source, "failed")).await;
    let pid: u32 = folder.read("pid").trim().parse().unwrap();
    wait_until("it is waited for", || {
        !fs::exists(format!("/proc/{pid}")).unwrap()
    });
    steer(&server, source, "resume").await;
    assert_eq!(signals(&mut client, 1).await, expected("X", 2..=2));
    server
        .logged("line refused at=exec:sh strategy.sh:3 ")
        .await;
    server.stop();
}

#[tokio::test]
async fn a_command_that_has_failed_is_not_started_again_while_it_is_paused() {
    let folder = Arc::new(Folder::new());
    folder.append("strategy.sh", "echo x >>starts\nexit 1\n");
    let source = "exec:sh strategy.sh";
    let server = serve(&folder, &[source], &format!("{BEAT} --wait-clients 1"));
    let mut client = watcher(&server).await;
    stand(&mut client, &[(source, "failed")]).await;
    assert_eq!(steer(&server, source, "pause").await, "failed");
    let starts = folder.read("starts");
    // Longer than the first wait.
    for _ in 0..60 {
        client.json().await;
    }
    assert_eq!(folder.read("starts"), starts);
    steer(&server, source, "resume").await;
    wait_until("it is started again", || folder.read("starts") > starts);
    server.stop();
}

#[tokio::test]
async fn files_are_held_whatever_becomes_of_them() {
    let folder = Arc::new(Folder::new());
    for name in ["renamed", "deleted", "truncated", "grown"] {
        folder.append(&format!("{name}.txt"), "");
    }
    let source = "file:*.txt";
    let server = serve(&folder, &[source], BEAT);
    let mut client = watcher(&server).await;
    stand(&mut client, &[(source, "live")]).await;
    folder.append("truncated.txt", &lines("T", 1..=30));
    assert_eq!(signals(&mut client, 30).await, expected("T", 1..=30));
    steer(&server, source, "pause").await;
    folder.append("grown.txt", &lines("G", 1..=3));
    // Rotated twice: what came in between has a name that does not match.
    let path = |name: &str| folder.path(name);
    // More than one read.
    folder.append("renamed.txt", &lines("R", 1..=20_000));
    fs::rename(path("renamed.txt"), path("renamed.1")).unwrap();
    folder.append("renamed.txt", &lines("R", 20_001..=20_001));
    looks(&mut client).await;
    fs::rename(path("renamed.1"), path("renamed.2")).unwrap();
    fs::rename(path("renamed.txt"), path("renamed.1")).unwrap();
    folder.append("renamed.txt", &lines("R", 20_002..=20_002));
    folder.append("deleted.txt", &lines("D", 1..=1));
    looks(&mut client).await;
    fs::remove_file(path("deleted.txt")).unwrap();
    // By copytruncate, with lines that nobody has read.
    folder.append("truncated.txt", &lines("T", 31..=40));
    fs::copy(path("truncated.txt"), path("truncated.copy")).unwrap();
    fs::write(path("truncated.txt"), lines("T", 41..=45)).unwrap();
    looks(&mut client).await;
    silence(&mut client, (source, "paused")).await;
    steer(&server, source, "resume").await;
    let come = signals(&mut client, 3 + 20_002 + 1 + 15).await;
    for (symbol, numbers) in [
        ("G", 1..=3),
        ("R", 1..=20_002),
        ("D", 1..=1),
        ("T", 31..=45),
    ] {
        let of_file = come.iter().filter(|text| text.starts_with(symbol));
        let of_file: Vec<String> = of_file.cloned().collect();
        assert_eq!(of_file, expected(symbol, numbers));
    }
    silence(&mut client, (source, "live")).await;
    server.stop();
}

#[tokio::test]
async fn a_file_that_is_saved_anew_while_it_is_held_brings_only_what_is_new_in_it() {
    let folder = Arc::new(Folder::new());
    folder.append("live.txt", "");
    let source = "file:live.txt";
    let server = serve(&folder, &[source], BEAT);
    let mut client = watcher(&server).await;
    folder.append("live.txt", &lines("X", 1..=50));
    assert_eq!(signals(&mut client, 50).await, expected("X", 1..=50));
    steer(&server, source, "pause").await;
    // As an editor does it, twice.
    for last in [51, 52] {
        folder.append("new", &lines("X", 1..=last));
        fs::rename(folder.path("new"), folder.path("live.txt")).unwrap();
        // Long enough for a deleted file to be let go.
        looks(&mut client).await;
        looks(&mut client).await;
    }
    steer(&server, source, "resume").await;
    assert_eq!(signals(&mut client, 2).await, expected("X", 51..=52));
    silence(&mut client, (source, "live")).await;
    server.stop();
}

#[tokio::test]
async fn a_copy_that_grows_while_its_source_is_held_is_a_copy_however_long_that_takes() {
    let folder = Arc::new(Folder::new());
    for name in ["live.txt", "other.txt"] {
        folder.append(name, "");
    }
    let source = "file:*.txt";
    let server = serve(&folder, &[source], BEAT);
    let mut client = watcher(&server).await;
    folder.append("live.txt", &lines("X", 1..=1000));
    assert_eq!(signals(&mut client, 1000).await, expected("X", 1..=1000));
    folder.append("copy.txt", &lines("X", 1..=500));
    folder.append("other.txt", &lines("Y", 1..=1));
    // It shows that the half of the copy was looked at.
    assert_eq!(signals(&mut client, 1).await, expected("Y", 1..=1));
    steer(&server, source, "pause").await;
    folder.append("copy.txt", &lines("X", 501..=1001));
    // Each makes the source look at its files once more; a copy is let go after 60 looks.
    for _ in 0..300 {
        steer(&server, source, "pause").await;
    }
    steer(&server, source, "resume").await;
    assert_eq!(signals(&mut client, 1).await, expected("X", 1001..=1001));
    silence(&mut client, (source, "live")).await;
    server.stop();
}

/// A file that keeps its name for a second is seen: that is the promise. This is more than two.
async fn looks(client: &mut TestClient) {
    for _ in 0..50 {
        let said = client.json().await;
        assert_eq!(said["type"], "heartbeat", "{said}");
    }
}

#[tokio::test]
async fn a_server_that_is_killed_while_a_file_is_held_reads_what_was_written_at_its_next_start() {
    let folder = Arc::new(Folder::new());
    folder.append("a.txt", "");
    let source = "file:a.txt";
    let server = serve(&folder, &[source], BEAT);
    let mut client = watcher(&server).await;
    folder.append("a.txt", &lines("X", 1..=5));
    assert_eq!(signals(&mut client, 5).await, expected("X", 1..=5));
    steer(&server, source, "pause").await;
    folder.append("a.txt", &lines("X", 6..=7));
    looks(&mut client).await;
    fs::rename(folder.path("a.txt"), folder.path("a.1")).unwrap();
    folder.append("a.txt", &lines("X", 8..=9));
    looks(&mut client).await;
    server.signal(Signal::KILL);
    server.wait();
    folder.append("a.txt", &lines("X", 10..=10));
    // A pause is not kept.
    let server = serve(&folder, &[source], BEAT);
    let mut client = server
        .client_at("/?after_seq=0", &server.token())
        .await
        .unwrap();
    let texts = client.texts(10).await;
    let expected: Vec<String> = (1..=10)
        .map(|n| wire("buy", "X", &n.to_string(), 1))
        .collect();
    assert_eq!(texts, expected);
    let list = listed(&server).await;
    assert_eq!(list["sources"][0]["signals"], 5, "{list}");
    server.stop();
}

#[tokio::test]
async fn an_admins_token_for_one_thing_is_enough_for_that() {
    let server = TestServer::start("");
    let admin = server.mint(&with("scope", "admin"));
    let answer = server
        .call(&admin, "POST", "/sources/stdin/pause", "")
        .await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, r#"{"name":"stdin","state":"paused"}"#)
    );
    // Whoever may only look after sources gets no signals.
    let refused = server.client_at("/", &admin).await;
    assert!(refused.is_err());
    server.stop();
}
