//! `signalcast listen` against a real server: what it prints, and how it ends.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

mod common;

use common::{Folder, PATIENCE, TestServer, text, wait, wire};

/// A running `listen`.
struct Listener {
    child: Child,
    stdout: mpsc::Receiver<String>,
    stderr: mpsc::Receiver<String>,
}

impl Listener {
    /// Listens to a server, with its development CA, which lies in the folder both run in.
    fn start(server: &TestServer, arguments: &str) -> Self {
        let token = server.token();
        let mut command = Self::command(&server.folder, server, arguments);
        command.env("SIGNALCAST_TOKEN", token);
        Self::start_command(command)
    }

    fn command(folder: &Folder, server: &TestServer, arguments: &str) -> Command {
        folder.command(&format!("listen {} {arguments}", server.url("")))
    }

    /// One that is connected.
    fn start_command(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = lines(child.stdout.take().unwrap());
        let stderr = lines(child.stderr.take().unwrap());
        let mut listener = Self {
            child,
            stdout,
            stderr,
        };
        listener.connected();
        listener
    }

    /// The next line on standard output.
    fn line(&mut self) -> String {
        self.stdout
            .recv_timeout(PATIENCE)
            .expect("a line on standard output")
    }

    /// The seqs of the next lines, which are frames of `signalcast.v2`.
    fn seqs(&mut self, count: usize) -> Vec<u64> {
        let seq = |line: String| {
            let frame: serde_json::Value = serde_json::from_str(&line).unwrap();
            frame["seq"].as_u64().unwrap()
        };
        (0..count).map(|_| seq(self.line())).collect()
    }

    /// Waits for a line on standard error that contains this.
    fn said(&mut self, text: &str) -> String {
        loop {
            let line = self
                .stderr
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|_| panic!("it never said {text:?}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    fn connected(&mut self) -> String {
        self.said(": connected, epoch ")
    }

    /// Waits for the end of a connection.
    fn lost(&mut self) -> String {
        self.said("; connecting again in ")
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    fn wait(mut self) -> ExitStatus {
        wait(&mut self.child)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A frame of `signalcast.v2` with the signal that `signalcast.v1` has like this.
fn expect_v2(frame: &str, seq: u64, v1: &str) {
    let (kind, rest) = v1.split_once(r#","content":"#).unwrap();
    let rest = rest.strip_suffix('}').unwrap();
    let start = format!(r#"{kind},"seq":{seq},"id":""#);
    assert!(frame.starts_with(&start), "{frame}");
    let middle = format!(r#"","content":{rest},"source":"stdin","received_at":"2"#);
    assert!(frame.contains(&middle), "{frame}");
}

/// Lines as they come.
fn lines(output: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (line, lines) = mpsc::sync_channel(1000);
    thread::spawn(move || {
        for text in BufReader::new(output).lines() {
            if line.send(text.unwrap()).is_err() {
                return;
            }
        }
    });
    lines
}

/// Exit code and what is said of a `listen` that ends by itself.
fn ended(mut command: Command) -> (Option<i32>, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.stdout, b"");
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn signals_are_lines_for_people_or_the_frames_as_they_came() {
    let mut server = TestServer::start("");
    let mut human = Listener::start(&server, "");
    let mut exact = Listener::start(&server, "--json");
    server.feed("buy BTCUSDT 75000.00 1720000000\n");
    server.feed("{\"side\":\"sell\",\"symbol\":\"BTC/USDT:USDT\",\"price\":0.10,\"time\":0,\"is_test\":true,\"quantity\":1.50,\"note\":\"a b\"}\n");
    assert_eq!(human.line(), "2024-07-03T09:46:40Z BUY BTCUSDT 75000.00");
    assert_eq!(
        human.line(),
        "1970-01-01T00:00:00Z SELL BTC/USDT:USDT 0.10 TEST quantity=1.50 note=\"a b\""
    );
    for (seq, signal) in [
        (1, wire("buy", "BTCUSDT", "75000.00", 1_720_000_000)),
        (2, r#"{"type":"sell","content":{"symbol":"BTC/USDT:USDT","price":0.10,"timestamp":0,"quantity":1.50,"note":"a b"},"is_test":true}"#.to_owned()),
    ] {
        expect_v2(&exact.line(), seq, &signal);
    }
    for listener in [human, exact] {
        listener.interrupt();
        assert_eq!(listener.wait().code(), Some(0), "Ctrl-C is no failure");
    }
}

#[tokio::test]
async fn ctrl_c_says_goodbye() {
    let server = TestServer::start("");
    let listener = Listener::start(&server, "");
    listener.interrupt();
    assert_eq!(listener.wait().code(), Some(0));
    server.logged("closed by the client code=1000").await;
}

#[test]
fn the_token_comes_from_an_argument_a_file_or_the_environment() {
    let mut server = TestServer::start("");
    let token = server.token();
    server.folder.append("token", &format!("{token}\n"));
    let by_argument = Listener::command(&server.folder, &server, &format!("--token {token}"));
    let by_file = Listener::command(&server.folder, &server, "--token-file token");
    let mut by_variable = Listener::command(&server.folder, &server, "");
    by_variable.env("SIGNALCAST_TOKEN", &token);
    let mut listeners = [by_argument, by_file, by_variable].map(Listener::start_command);
    server.feed("buy A 1 0\n");
    for listener in &mut listeners {
        assert_eq!(listener.line(), "1970-01-01T00:00:00Z BUY A 1");
    }
}

#[test]
fn another_folder_needs_the_ca_named() {
    let server = TestServer::start("");
    let (elsewhere, ca) = (Folder::new(), server.folder.path("certs/ca.pem"));
    let token = server.token();
    let arguments = format!("--token {token}");
    let (code, said) = ended(Listener::command(&elsewhere, &server, &arguments));
    assert_eq!(code, Some(1));
    assert!(
        said.starts_with("signalcast: invalid peer certificate: UnknownIssuer"),
        "{said}"
    );
    assert!(said.ends_with("name its authority with --ca\n"), "{said}");
    let mut named = Listener::command(&elsewhere, &server, &arguments);
    named.arg("--ca").arg(ca);
    Listener::start_command(named);
}

#[test]
fn a_refusal_is_told_in_the_servers_words() {
    let server = TestServer::start("");
    let scopeless = server.folder.token("--sub a --scope signals:test");
    for (token, expected) in [
        (
            None,
            "signalcast: refused: there is no token; send Authorization: Bearer TOKEN (missing_token, 401); give one with --token, --token-file or SIGNALCAST_TOKEN\n",
        ),
        (
            Some("nonsense"),
            "signalcast: refused: the token has not the three parts of a JWT (invalid_token, 401)\n",
        ),
        (
            Some(scopeless.as_str()),
            "signalcast: refused: the token lacks the scope signals:read (insufficient_scope, 403)\n",
        ),
    ] {
        let mut command = Listener::command(&server.folder, &server, "");
        command.envs(token.map(|token| ("SIGNALCAST_TOKEN", token)));
        assert_eq!(ended(command), (Some(1), expected.to_owned()));
    }
    let mut elsewhere = server
        .folder
        .command(&format!("listen {}", server.url("/nothing")));
    elsewhere.env("SIGNALCAST_TOKEN", server.token());
    let (code, said) = ended(elsewhere);
    assert_eq!(
        (code, said.as_str()),
        (
            Some(1),
            "signalcast: refused: there is nothing here; signals are at / and /ws (not_found, 404)\n"
        )
    );
}

#[test]
fn it_stays_with_a_server_that_is_started_anew() {
    let server = TestServer::start("");
    let (folder, address) = (Arc::clone(&server.folder), server.address);
    let mut listener = Listener::start(&server, "--json");
    server.stop();
    let lost = listener.lost();
    assert!(lost.contains("closed by the server: the server is shutting down: reconnect (1001); connecting again in "), "{lost}");
    let mut server = TestServer::start_in(folder, &format!("--listen {address}"));
    listener.connected();
    server.feed("buy A 1 2\n");
    expect_v2(&listener.line(), 1, &wire("buy", "A", "1", 2));
    drop(server);
    // A server that is killed says nothing.
    listener.lost();
    listener.interrupt();
    assert_eq!(listener.wait().code(), Some(0), "also while it waits");
}

/// `listen`, and its standard output, which nobody reads on.
fn with_a_reader(server: &TestServer) -> (Child, ChildStdout, mpsc::Receiver<String>) {
    let mut command = Listener::command(&server.folder, server, "--json");
    command.env("SIGNALCAST_TOKEN", server.token());
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (stdout, stderr) = (
        child.stdout.take().unwrap(),
        lines(child.stderr.take().unwrap()),
    );
    while !stderr
        .recv_timeout(PATIENCE)
        .unwrap()
        .contains(": connected")
    {}
    (child, stdout, stderr)
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_also_when_nothing_happens() {
    let mut server = TestServer::start("");
    let (mut child, stdout, stderr) = with_a_reader(&server);
    server.feed("buy A 1 2\n");
    let mut stdout = BufReader::new(stdout);
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    expect_v2(line.trim_end(), 1, &wire("buy", "A", "1", 2));
    // As `head -1` does. No further signal comes that could not be written.
    drop(stdout);
    assert_eq!(wait(&mut child).code(), Some(0));
    assert_eq!(
        stderr.recv_timeout(PATIENCE),
        Err(mpsc::RecvTimeoutError::Disconnected),
        "it ends quietly"
    );
}

#[test]
fn a_reader_that_does_not_read_does_not_keep_ctrl_c_from_working() {
    let mut server = TestServer::start("");
    let (mut child, stdout, _stderr) = with_a_reader(&server);
    // More than a pipe holds.
    server.feed(&"buy A 1 2\n".repeat(5000));
    let mut watcher = Listener::start(&server, "");
    server.feed("buy B 1 2\n");
    watcher.line();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(wait(&mut child).code(), Some(0));
    drop(stdout);
}

fn feed(of: std::ops::RangeInclusive<u64>) -> String {
    of.map(|price| format!("buy BTCUSDT {price} 1720000000\n"))
        .collect()
}

/// A server that has recorded these signals.
fn server_with(of: std::ops::RangeInclusive<u64>) -> TestServer {
    let mut server = TestServer::start("");
    let mut watcher = Listener::start(&server, "--json --after-seq 0");
    server.feed(&feed(of.clone()));
    watcher.seqs(of.count());
    server
}

/// What a killed server left behind, once it was tampered with, served again.
fn again(server: TestServer, tamper: impl FnOnce(&Folder)) -> TestServer {
    let (folder, address) = (Arc::clone(&server.folder), server.address);
    server.signal(Signal::KILL);
    server.wait();
    tamper(&folder);
    TestServer::start_in(folder, &format!("--listen {address}"))
}

/// As retention would, signals up to this one are let go of.
fn let_go_of(seq: u64) -> impl FnOnce(&Folder) {
    move |folder| {
        let log = rusqlite::Connection::open(folder.path("data/signals.db")).unwrap();
        log.execute("DELETE FROM signals WHERE seq <= ?1", [seq.cast_signed()])
            .unwrap();
    }
}

fn lose_the_log(folder: &Folder) {
    for entry in fs::read_dir(folder.path("data")).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains("signals.db") {
            fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn it_begins_where_it_is_told_to() {
    let mut server = server_with(1..=5);
    let mut listeners = [
        ("--after-seq 0", 1),
        ("--after-seq 3", 4),
        ("--after-seq 5", 6),
        ("--since 2020-01-01T00:00:00+01:00", 1),
        ("--since 2999-01-01T00:00:00Z", 6),
        ("--after-seq 0 --symbols ETH*,NEW", 6),
        ("", 6),
    ]
    .map(|(arguments, first)| {
        (
            Listener::start(&server, &format!("--json {arguments}")),
            first,
        )
    });
    let mut by_url = server.folder.command(&format!(
        "listen --json {}",
        server.url("/?symbols=NEW&after_seq=2")
    ));
    by_url.env("SIGNALCAST_TOKEN", server.token());
    let mut by_url = Listener::start_command(by_url);
    server.feed("sell NEW 1 2\n");
    for (listener, first) in &mut listeners {
        let expected: Vec<u64> = (*first..=6).collect();
        assert_eq!(listener.seqs(expected.len()), expected);
    }
    assert_eq!(by_url.seqs(1), [6]);
}

#[test]
fn what_came_while_it_was_away_is_printed_once_and_in_order() {
    for arguments in [
        "--json",
        "--json --after-seq 2",
        "--json --since 2020-01-01T00:00:00Z",
    ] {
        let mut server = server_with(1..=3);
        let mut listener = Listener::start(&server, arguments);
        let printed = match arguments {
            "--json" => 0,
            "--json --after-seq 2" => 1,
            _ => 3,
        };
        let mut seqs = listener.seqs(printed);
        server.feed(&feed(4..=5));
        seqs.extend(listener.seqs(2));
        // It notices nothing until all is over.
        listener.signal(Signal::STOP);
        let mut watcher = Listener::start(&server, "--json");
        server.feed(&feed(6..=7));
        watcher.seqs(2);
        let mut server = again(server, |_| {});
        let mut watcher = Listener::start(&server, "--json");
        server.feed(&feed(8..=9));
        watcher.seqs(2);
        listener.signal(Signal::CONT);
        seqs.extend(listener.seqs(4));
        server.feed(&feed(10..=10));
        seqs.extend(listener.seqs(1));
        let first = 4 - printed as u64;
        assert_eq!(seqs, (first..=10).collect::<Vec<_>>(), "{arguments}");
    }
}

/// Loses power: the signals of the log are still there, and it goes on under another name.
fn lose_power(folder: &Folder) {
    let log = rusqlite::Connection::open(folder.path("data/signals.db")).unwrap();
    log.execute("DELETE FROM log WHERE key = 'epoch'", ())
        .unwrap();
}

#[test]
fn in_a_log_that_began_anew_nothing_is_printed_twice_and_all_that_came_since_is() {
    // The new log is shorter than the place in the old one, or longer, or holds the old one.
    let lost: fn(&Folder) = lose_the_log;
    for (tamper, first, count) in [(lost, 1, 2), (lost, 1, 7), (lose_power, 5, 3)] {
        let mut server = server_with(1..=3);
        let mut listener = Listener::start(&server, "--json");
        server.feed(&feed(4..=4));
        assert_eq!(listener.seqs(1), [4]);
        listener.signal(Signal::STOP);
        let mut server = again(server, tamper);
        let mut watcher = Listener::start(&server, "--json");
        server.feed(&feed(101..=100 + count));
        watcher.seqs(usize::try_from(count).unwrap());
        listener.signal(Signal::CONT);
        let said = listener.said("the log began anew, as epoch ");
        assert!(
            said.contains(": signals may have been lost; going on with what was received at 2"),
            "{said}"
        );
        listener.connected();
        let expected: Vec<u64> = (first..first + count).collect();
        assert_eq!(listener.seqs(expected.len()), expected);
        // The next one after them, and nothing between.
        server.feed(&feed(200..=200));
        assert_eq!(listener.seqs(1), [first + count]);
    }
}

#[test]
fn what_is_no_longer_kept_is_counted_on_the_way_and_refused_when_asked_for() {
    let mut server = server_with(1..=3);
    let mut listener = Listener::start(&server, "--json");
    server.feed(&feed(4..=5));
    assert_eq!(listener.seqs(2), [4, 5]);
    listener.signal(Signal::STOP);
    let mut server = again(server, |_| {});
    let mut watcher = Listener::start(&server, "--json");
    server.feed(&feed(6..=9));
    watcher.seqs(4);
    let server = again(server, let_go_of(7));
    listener.signal(Signal::CONT);
    listener.said("2 signals, from 6 to 7, are not kept any more and lost for good; going on from 8; connecting again in ");
    assert_eq!(listener.seqs(2), [8, 9]);

    for (arguments, expected) in [
        (
            "--after-seq 5",
            "; the oldest is 8; --after-seq 0 begins with it\n",
        ),
        (
            "--after-seq 10",
            "; the newest is 9; --after-seq 0 begins with the oldest, 8\n",
        ),
        (
            "--since 2020-01-01T00:00:00Z",
            "; --after-seq 0 begins with the oldest, 8\n",
        ),
    ] {
        let mut command = Listener::command(&server.folder, &server, arguments);
        command.env("SIGNALCAST_TOKEN", server.token());
        let (code, said) = ended(command);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("(history_gone, 410)"), "{said}");
        assert!(said.ends_with(expected), "{said}");
    }
    let mut everything = Listener::start(&server, "--json --after-seq 0");
    assert_eq!(everything.seqs(2), [8, 9]);
}

#[test]
fn a_start_that_cannot_be_is_refused() {
    let folder = Folder::new();
    for (arguments, expected) in [
        (
            "ws://a --after-seq x --since yesterday",
            "signalcast: --since: is there beside --after-seq; leave one\n",
        ),
        (
            "ws://a --after-seq 1.5",
            "signalcast: --after-seq: 1.5 is no seq; write the last one that is known, or 0 for everything that is kept\n",
        ),
        (
            "ws://a?after_seq=5 --after-seq 7",
            "signalcast: --after-seq: is there beside after_seq= in the URL; leave one\n",
        ),
        (
            "ws://a --since 2026-11-20",
            "signalcast: --since: \"2026-11-20\" is not a time; write RFC 3339 such as 2026-11-20T10:00:00.123456Z\n",
        ),
        (
            "ws://a?symbols=A --symbols B",
            "signalcast: --symbols: is there beside symbols= in the URL; leave one\n",
        ),
    ] {
        let output = folder.run(&format!("listen {arguments}"));
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), said.as_str()), (Some(2), expected));
    }
}
