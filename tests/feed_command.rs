//! `signalcast feed`: what is piped into it is in the server's log, each line once, whatever happens
//! on the way.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStderr, ChildStdin, Command, Output, Stdio};
use std::sync::Arc;
use std::thread;

use common::{Folder, TestServer, patiently, text};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PUBLISHING: &str = "--sub strategy-1 --scope signals:publish";

/// A feed of a server, or of whatever listens there. One that nobody has waited for is killed when
/// the test ends.
struct Feed {
    child: Option<Child>,
    input: Option<ChildStdin>,
}

impl Feed {
    fn to(folder: &Folder, url: &str, token: &str) -> Self {
        let mut command: Command = folder.command("feed");
        command.args([url, "--token", token]);
        Self::run(command)
    }

    fn run(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let child = Some(child);
        Self { child, input }
    }

    fn of(server: &TestServer) -> Self {
        let url = server.url("").replace("wss://", "https://");
        let url = url.replace("ws://", "http://");
        Self::to(&server.folder, &url, &server.folder.token(PUBLISHING))
    }

    fn write(&mut self, text: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(text.as_bytes()).unwrap();
    }

    /// Ends its input and waits for it.
    fn end(mut self) -> (i32, String) {
        drop(self.input.take());
        self.wait()
    }

    fn wait(mut self) -> (i32, String) {
        let child = self.child.take().unwrap();
        let Output { status, stderr, .. } = child.wait_with_output().unwrap();
        (status.code().unwrap(), String::from_utf8(stderr).unwrap())
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// The symbols in the log, in order.
async fn symbols(server: &TestServer) -> Vec<String> {
    let headers = format!("Authorization: Bearer {}\r\n", server.token());
    let (mut symbols, mut after) = (Vec::new(), 0);
    loop {
        let target = format!("/signals?after_seq={after}&limit=10000");
        let page: Value = serde_json::from_str(&server.get(&target, &headers).await.body).unwrap();
        let signals = page["signals"].as_array().unwrap().iter();
        symbols.extend(signals.map(|it| it["content"]["symbol"].as_str().unwrap().to_owned()));
        if page["next_after_seq"] == page["last_seq"] {
            return symbols;
        }
        after = page["next_after_seq"].as_u64().unwrap();
    }
}

async fn last_seq(server: &TestServer) -> u64 {
    let headers = format!("Authorization: Bearer {}\r\n", server.token());
    let answer = server.get("/signals?limit=1", &headers).await;
    answer
        .header("signalcast-last-seq")
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test]
async fn each_line_is_in_the_log_once_although_the_server_is_killed_five_times() {
    const LINES: usize = 100_000;
    const ROUNDS: usize = 5;
    let mut server = TestServer::start("");
    let address = server.address;
    let mut feed = Feed::of(&server);
    let mut input = feed.input.take().unwrap();
    let (go, may_go) = std::sync::mpsc::sync_channel::<()>(ROUNDS + 1);
    let writing = thread::spawn(move || {
        for round in 0..=ROUNDS {
            for n in round * LINES / (ROUNDS + 1)..(round + 1) * LINES / (ROUNDS + 1) {
                writeln!(input, "buy S{n} 1.50 1720000000").unwrap();
            }
            // What follows is fed to a server that has been killed meanwhile.
            may_go.recv().ok();
        }
    });
    for round in 0..ROUNDS {
        // Somewhere in the middle of what is being sent.
        let some = (round * LINES / (ROUNDS + 1) + LINES / 20) as u64;
        patiently("some of them", async {
            while last_seq(&server).await < some {
                tokio::task::yield_now().await;
            }
        })
        .await;
        server.signal(Signal::KILL);
        let folder = Arc::clone(&server.folder);
        server.wait();
        go.send(()).unwrap();
        server = TestServer::start_in(folder, &format!("--listen {address}"));
    }
    go.send(()).unwrap();
    drop(go);
    writing.join().unwrap();
    let (code, said) = feed.end();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("going on"), "{said}");
    assert!(
        !said.contains("dropped"),
        "what it sends again is no news: {said}"
    );
    let expected: Vec<String> = (0..LINES).map(|n| format!("S{n}")).collect();
    let found = symbols(&server).await;
    assert!(found == expected, "{} of {LINES}\n{said}", found.len());
}

#[tokio::test]
async fn it_ends_when_all_is_acknowledged_and_tells_what_is_no_signal() {
    for settings in ["", "--plaintext", "--journal none"] {
        let server = TestServer::start(settings);
        let mut client = server.client().await;
        let mut feed = Feed::of(&server);
        // Each line goes on as soon as it is read.
        feed.write("buy A 1.50 1720000000\n");
        assert_eq!(
            client.text().await,
            common::wire("buy", "A", "1.50", 1_720_000_000)
        );
        feed.write("# a note\n\nhold X 1\n");
        feed.write(&format!("buy {} 1\n", "x".repeat(70_000)));
        feed.write("{\"id\":\"mine\",\"side\":\"sell\",\"symbol\":\"B\",\"price\":\"2.0\",\"timestamp\":7,\"q\":1.0}");
        let (code, said) = feed.end();
        let sold = client.json().await;
        assert_eq!(
            sold["content"].to_string(),
            r#"{"price":2.0,"q":1.0,"symbol":"B","timestamp":7}"#
        );
        assert_eq!(code, 1);
        let told: Vec<&str> = said.lines().collect();
        assert_eq!(told.len(), 2, "{said}");
        assert!(
            told[0].starts_with("signalcast: stdin:4: line refused: "),
            "{said}"
        );
        assert!(told[0].contains("hold"), "{said}");
        assert!(
            told[1].starts_with("signalcast: stdin:5: line refused: the line is 70006 bytes long"),
            "{said}"
        );
        let (code, said) = Feed::of(&server).end();
        assert_eq!((code, &*said), (0, ""), "nothing to feed");
    }
}

#[tokio::test]
async fn what_is_not_acknowledged_is_kept_and_may_be_fed_again_and_again() {
    let server = TestServer::start("");
    let url = server.url("").replace("wss://", "https://");
    let mut feed = Feed::to(&server.folder, &url, &server.folder.token("--sub s"));
    feed.write("buy A 1\nbuy B 2\n");
    let (code, said) = feed.end();
    assert_eq!(code, 1);
    assert!(
        said.contains("the token lacks the scope signals:publish (insufficient_scope, 403)"),
        "{said}"
    );
    assert!(
        said.contains("2 signals that were read are not acknowledged"),
        "{said}"
    );
    let kept = said
        .split_whitespace()
        .find(|word| word.contains("signalcast-unacknowledged-"));
    let kept = server.folder.path(kept.unwrap());
    assert_eq!(
        fs::metadata(&kept).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let lines = fs::read_to_string(&kept).unwrap();
    for is_there in [false, true] {
        let mut feed = Feed::of(&server);
        feed.write(&lines);
        let (code, said) = feed.end();
        assert_eq!(code, 0, "{said}");
        assert_eq!(said.lines().count(), if is_there { 2 } else { 0 }, "{said}");
    }
    assert_eq!(symbols(&server).await, ["A", "B"]);
}

/// Throws the halt switch, or lifts it.
async fn halt(server: &TestServer, method: &str, body: &str) {
    let answer = server.administer(method, "/halt", body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn what_was_halted_or_too_old_on_one_server_is_never_fresh_on_the_next() {
    let old = TestServer::start("");
    let mut feed = Feed::of(&old);
    feed.write("buy FIRST 1 7\n");
    feed.write(
        "{\"side\":\"buy\",\"symbol\":\"EXPIRED\",\"price\":1,\"time\":7,\"valid_for\":1}\n",
    );
    assert_eq!(feed.end(), (0, String::new()));
    halt(&old, "POST", "{\"reason\":\"x\"}").await;
    let mut feed = Feed::of(&old);
    feed.write("buy HALTED 1 7\n{\"side\":\"sell\",\"symbol\":\"HALTED\",\"price\":2,\"valid_for\":9999999}\n");
    assert_eq!(feed.end(), (0, String::new()));
    halt(&old, "DELETE", "").await;
    let mut feed = Feed::of(&old);
    feed.write("buy LAST 1 7\n");
    assert_eq!(feed.end(), (0, String::new()));
    let replayed = text(&old.folder.run("replay 1 --speed max").stdout);
    let stale: Vec<bool> = replayed.lines().map(|it| it.contains("stale")).collect();
    assert_eq!(stale, [false, true, true, true, false], "{replayed}");

    for way in ["feed", "stdin", "relayed twice"] {
        let mut next = TestServer::start("");
        let mut client = next.client().await;
        match way {
            "feed" => {
                let mut feed = Feed::of(&next);
                feed.write(&replayed);
                assert_eq!(feed.end(), (0, String::new()));
            }
            "stdin" => next.feed(&replayed),
            _ => {
                let between = TestServer::start("");
                let mut feed = Feed::of(&between);
                feed.write(&replayed);
                assert_eq!(feed.end(), (0, String::new()));
                next.feed(&text(&between.folder.run("replay 1 --speed max").stdout));
            }
        }
        for symbol in ["FIRST", "LAST"] {
            assert_eq!(client.json().await["content"]["symbol"], symbol, "{way}");
        }
        // They are all there, with their mark, for who asks for it.
        let bearer = format!("Authorization: Bearer {}\r\n", next.token());
        let page = next.get("/signals?after_seq=0&stale=true", &bearer).await;
        let page: Value = serde_json::from_str(&page.body).unwrap();
        let signals = page["signals"].as_array().unwrap();
        let marked: Vec<bool> = signals.iter().map(|it| it["stale"] == true).collect();
        assert_eq!(marked, stale, "{way}");
        assert_eq!(symbols(&next).await, ["FIRST", "LAST"], "{way}");
    }
}

#[tokio::test]
async fn somebody_who_stops_it_gets_what_was_read_to_the_server_first() {
    let server = TestServer::start("");
    let mut client = server.client().await;
    let mut feed = Feed::of(&server);
    feed.write("buy A 1\n");
    client.text().await;
    let pid = Pid::from_child(feed.child.as_ref().unwrap());
    kill_process(pid, Signal::TERM).unwrap();
    let (code, said) = feed.wait();
    assert_eq!(code, 1);
    assert_eq!(
        said,
        "signalcast: stopped before the end of standard input\n"
    );
}

/// A feed of this listener, to whose line it was said that the server is busy, and what it says.
async fn turned_away(command: Command, listener: &TcpListener) -> (Feed, BufReader<ChildStderr>) {
    let mut feed = Feed::run(command);
    feed.write("buy A 1\n");
    let busy = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    answer_once(listener, busy).await;
    let mut told = BufReader::new(feed.child.as_mut().unwrap().stderr.take().unwrap());
    let mut line = String::new();
    told.read_line(&mut line).unwrap();
    assert!(line.contains("trying again until it works"), "{line}");
    (feed, told)
}

#[tokio::test]
async fn when_its_terminal_goes_away_it_keeps_what_is_not_acknowledged_unless_nohup_says_to_go_on()
{
    let hang_up = |feed: &Feed| {
        let pid = Pid::from_child(feed.child.as_ref().unwrap());
        kill_process(pid, Signal::HUP).unwrap();
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let folder = Folder::new();
    let mut feed = folder.command("feed");
    feed.args([&*url, "--token", "t"]);
    // Whoever runs the tests may have had it ignored.
    let mut heard = Command::new("env");
    heard
        .arg("--default-signal=HUP")
        .arg(feed.get_program())
        .args(feed.get_args())
        .current_dir(folder.path(""));
    let mut unheard = Command::new("sh");
    unheard
        .args(["-c", "trap '' HUP; exec \"$0\" \"$@\""])
        .arg(feed.get_program())
        .args(feed.get_args())
        .current_dir(folder.path(""));
    let (goes_on, _told) = turned_away(unheard, &listener).await;
    hang_up(&goes_on);
    answer_once(&listener, &accepted(1)).await;
    assert_eq!(goes_on.end().0, 0);

    let (ends, mut told) = turned_away(heard, &listener).await;
    drop(listener);
    hang_up(&ends);
    assert_eq!(ends.wait().0, 1);
    let mut said = String::new();
    told.read_to_string(&mut said).unwrap();
    let kept = said
        .split_whitespace()
        .find(|word| word.contains("signalcast-unacknowledged-"));
    let kept = fs::read_to_string(folder.path(kept.unwrap())).unwrap();
    assert!(kept.contains("\"symbol\":\"A\""), "{kept}");
}

/// The answer to so many lines that the server has.
fn accepted(count: usize) -> String {
    let line = r#"{"line":1,"seq":1,"id":"a","duplicate":false}"#;
    let body = format!(r#"{{"accepted":[{}]}}"#, vec![line; count].join(","));
    format!(
        "HTTP/1.1 201 Created\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// The answer that the first line is refused.
fn refused(reason: &str) -> String {
    let body = format!(r#"{{"refused":[{{"line":1,"reason":"{reason}"}}]}}"#);
    let length = body.len();
    format!(
        "HTTP/1.1 422 Unprocessable Entity\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// The answer that of the one line that was sent the id was in the log before.
fn repeated() -> String {
    let line = r#"{"accepted":[{"line":1,"seq":7,"id":"mine","duplicate":true}]}"#;
    let length = line.len();
    format!("HTTP/1.1 201 Created\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{line}")
}

/// Takes one request, answers with this, and tells what was sent.
async fn answer_once(listener: &TcpListener, answer: &str) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    answer_on(&mut stream, answer).await
}

/// The same on a connection that goes on.
async fn answer_on(stream: &mut TcpStream, answer: &str) -> String {
    let mut bytes = Vec::new();
    loop {
        stream.read_buf(&mut bytes).await.unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        if body.len() == length.unwrap().parse::<usize>().unwrap() {
            stream.write_all(answer.as_bytes()).await.unwrap();
            return body.to_owned();
        }
    }
}

#[tokio::test]
async fn a_line_is_sent_again_just_as_it_was_and_one_that_the_server_refuses_never() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let folder = Folder::new();
    let mut feed = Feed::to(&folder, &url, "t");
    feed.write("buy A 1\nbuy B 2\nbuy C 3\n");
    drop(feed.input.take());
    let busy = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
    let all = answer_once(&listener, busy).await;
    let lines: Vec<&str> = all.split_inclusive('\n').collect();
    // Nobody knows what becomes of these.
    assert_eq!(answer_once(&listener, "").await, all);
    let half = answer_once(&listener, &accepted(1)).await;
    assert_eq!(half, lines[0]);
    let others = answer_once(&listener, &refused("not today")).await;
    assert_eq!(others, lines[1..].concat());
    assert_eq!(answer_once(&listener, &accepted(1)).await, lines[2]);
    let (code, said) = feed.wait();
    assert_eq!(code, 1);
    assert!(
        said.contains("signalcast: stdin:2: line refused: not today\n"),
        "{said}"
    );
    assert!(
        said.contains("refused: 503 Service Unavailable; trying again until it works\n"),
        "{said}"
    );
}

#[tokio::test]
async fn a_line_whose_id_was_there_before_is_told_unless_it_was_sent_again() {
    let server = TestServer::start("");
    let feed_these = |lines: &str| {
        let mut feed = Feed::of(&server);
        feed.write(lines);
        feed.end()
    };
    let line = |side: &str, id: u64| {
        format!(r#"{{"side":"{side}","symbol":"A","price":1,"id":"{id}"}}"#) + "\n"
    };
    let (code, said) = feed_these(&(line("buy", 1) + "buy B 1\n"));
    assert_eq!((code, &*said), (0, ""));
    let (code, said) = feed_these(&(line("sell", 2) + &line("sell", 1) + &line("buy", 2)));
    assert_eq!(code, 0);
    let (first, all) = said.split_once('\n').unwrap();
    assert_eq!(
        first,
        "signalcast: stdin:2: dropped: a signal with its id 1 is in the log already, seq 1"
    );
    assert!(all.contains(": 2 lines were dropped in all"), "{all}");
    assert_eq!(symbols(&server).await, ["A", "B", "A"]);
}

#[tokio::test]
async fn a_line_whose_id_was_there_before_is_told_though_the_connection_had_ended_meanwhile() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut feed = Feed::to(&Folder::new(), &url, "t");
    feed.write("buy A 1\n");
    let (mut kept, _) = listener.accept().await.unwrap();
    answer_on(
        &mut kept,
        &refused("not today").replace("close", "keep-alive"),
    )
    .await;
    let mut told = BufReader::new(feed.child.as_mut().unwrap().stderr.take().unwrap());
    let mut said = String::new();
    // It has the answer.
    told.read_line(&mut said).unwrap();
    // Nothing was asked on it for a while.
    drop(kept);
    feed.write("buy B 2\n");
    answer_once(&listener, &repeated()).await;
    feed.end();
    told.read_to_string(&mut said).unwrap();
    assert_eq!(
        said,
        "signalcast: stdin:1: line refused: not today\n\
         signalcast: stdin:2: dropped: a signal with its id mine is in the log already, seq 7\n"
    );
}

#[tokio::test]
async fn a_line_whose_id_was_there_before_is_told_though_the_server_took_nothing_the_first_time() {
    let draining = r#"{"type":"error","code":"draining","message":"m"}"#;
    for (status, body, is_told) in [
        ("503 Service Unavailable", draining, true),
        ("429 Too Many Requests", "", true),
        // This one may have taken it.
        ("503 Service Unavailable", "", false),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut feed = Feed::to(&Folder::new(), &url, "t");
        feed.write("buy A 1\n");
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n");
        answer_once(&listener, &format!("{head}Connection: close\r\n\r\n{body}")).await;
        answer_once(&listener, &repeated()).await;
        let (code, said) = feed.end();
        assert_eq!(code, 0, "{said}");
        let word = "stdin:1: dropped: a signal with its id mine is in the log already, seq 7\n";
        assert_eq!(said.contains(word), is_told, "{status}: {said}");
    }
}

#[tokio::test]
async fn over_a_slow_line_fewer_are_sent_at_once_until_they_get_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut feed = Feed::to(&Folder::new(), &url, "t");
    feed.write(&"buy A 1\n".repeat(8));
    drop(feed.input.take());
    let late = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let mut sent = Vec::new();
    for answer in [
        late.to_owned(),
        late.to_owned(),
        accepted(2),
        accepted(3),
        accepted(3),
    ] {
        sent.push(answer_once(&listener, &answer).await.lines().count());
    }
    assert_eq!(sent, [8, 4, 2, 3, 3]);
    let (code, said) = feed.wait();
    assert_eq!(code, 0, "{said}");
}

#[tokio::test]
async fn a_server_that_is_not_the_one_is_told_from_one_that_is_away() {
    let server = TestServer::start("");
    let elsewhere = Folder::new();
    let url = server.url("").replace("wss://", "https://");
    let mut feed = Feed::to(&elsewhere, &url, "t");
    feed.write("buy A 1\n");
    let (code, said) = feed.end();
    assert_eq!(code, 1);
    assert!(
        said.contains("if the server is the right one, name its authority with --ca"),
        "{said}"
    );

    let plain = TestServer::start("--plaintext");
    let url = plain.url("").replace("ws://", "https://");
    let mut feed = Feed::to(&elsewhere, &url, "t");
    feed.write("buy A 1\n");
    let (_, said) = feed.end();
    assert!(
        said.contains("no TLS is spoken there; write http:// if that is meant"),
        "{said}"
    );

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut feed = Feed::to(&elsewhere, &url, "t");
    feed.write("buy A 1\n");
    answer_once(&listener, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
    let (_, said) = feed.end();
    assert!(
        said.contains("200 OK is no answer of a signalcast server; is the address right?"),
        "{said}"
    );
}

#[test]
fn mistakes_are_told_with_what_to_write() {
    let folder = Folder::new();
    let told: Vec<String> = [
        "feed",
        "feed ftp://localhost",
        "feed localhost:8080",
        "feed https://user:secret@localhost",
        "feed https://localhost?token=secret",
        "feed https://localhost --token-file nowhere",
        "feed https://localhost --token x --ca nowhere.pem",
    ]
    .into_iter()
    .map(|arguments| {
        let output = folder.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments}");
        format!("{arguments}\n{}", String::from_utf8(output.stderr).unwrap())
    })
    .collect();
    insta::assert_snapshot!(told.join("\n"));
}
