//! `signalcast bench` against real servers: what it counts, and what it says of those that lose,
//! repeat or mix up what they are fed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::thread::{self, JoinHandle};

use rustix::process::{Pid, Signal};
use serde_json::Value;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

mod common;

use common::{Folder, TestServer, wait_until};

/// A run that has ended.
struct Run {
    code: Option<i32>,
    report: Value,
    said: String,
}

/// Runs `bench --json` with these arguments, of which one may hold blanks.
fn bench(folder: &Folder, token: &str, arguments: &str, last: &[&str]) -> Run {
    ended(started(folder, token, arguments, last))
}

fn started(folder: &Folder, token: &str, arguments: &str, last: &[&str]) -> std::process::Child {
    let mut command = folder.command(&format!("bench --json {arguments}"));
    command
        .args(last)
        .env("SIGNALCAST_TOKEN", token)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn ended(child: std::process::Child) -> Run {
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
    fn number(&self, place: &str) -> f64 {
        self.value(place).as_f64().unwrap()
    }

    fn count(&self, place: &str) -> u64 {
        self.value(place).as_u64().unwrap()
    }

    fn value(&self, place: &str) -> &Value {
        let found = self.report.pointer(place);
        found.unwrap_or_else(|| panic!("{place}: {}\n{}", self.report, self.said))
    }

    /// Deliveries, and how many were lost, repeated and out of order.
    fn judged(&self) -> [u64; 4] {
        ["count", "lost", "repeated", "disordered"]
            .map(|name| self.count(&format!("/deliveries/{name}")))
    }
}

#[test]
fn each_client_is_seen_to_get_every_line_once() {
    for mode in ["", "--plaintext"] {
        let server = TestServer::start(&format!("--source file:feed.jsonl {mode}"));
        let arguments = format!(
            "{} --clients 20 --feed-to file:feed.jsonl --rate 200 --lines 50 --pid {}",
            server.url(""),
            server.pid().as_raw_nonzero()
        );
        let run = bench(&server.folder, &server.token(), &arguments, &[]);
        assert_eq!(run.code, Some(0), "{}\n{}", run.said, run.report);
        assert_eq!(run.judged(), [1000, 0, 0, 0]);
        assert_eq!(run.count("/deliveries/expected"), 1000);
        assert_eq!(run.count("/clients/connected"), 20);
        assert_eq!(run.count("/latency_us/each/count"), 1000);
        assert_eq!(run.count("/latency_us/last/count"), 50);
        let [p50, p99, max] =
            ["p50", "p99", "max"].map(|name| run.number(&format!("/latency_us/each/{name}")));
        assert!(0.0 < p50 && p50 <= p99 && p99 <= max, "{}", run.report);
        assert!(run.number("/server/cpu_us_per_delivery") > 0.0);
        assert!(run.number("/server/resident_bytes_idle") > 1e6);
        assert!(run.number("/connecting/per_server_cpu_second") > 0.0);
        // The warm-up was fed before.
        assert_eq!(server.folder.read("feed.jsonl").lines().count(), 70);
        server.stop();
    }
}

#[test]
fn a_server_is_started_fed_as_fast_as_it_delivers_and_stopped() {
    // The one with TLS makes its certificate only then.
    for (scheme, mode) in [("ws", "--plaintext"), ("wss", "")] {
        let folder = Folder::new();
        let address = free_address();
        let token = folder.token("--sub bench");
        let server = format!(
            "{} serve --listen {address} {mode} --source stdin --journal none",
            env!("CARGO_BIN_EXE_signalcast")
        );
        let arguments = format!(
            "{scheme}://{address} --clients 10 --feed-to stdin --window 32 --batch 8 --lines 3000 --server"
        );
        let run = bench(&folder, &token, &arguments, &[&server]);
        assert_eq!(run.code, Some(0), "{}\n{}", run.said, run.report);
        assert_eq!(run.judged(), [30_000, 0, 0, 0]);
        assert!(run.number("/server/cpu_seconds") > 0.0);
        assert!(TcpStream::connect(address).is_err(), "it still listens");
    }
}

#[test]
fn lines_can_be_fed_to_another_command() {
    let server = TestServer::start("--source file:feed.jsonl --plaintext");
    let arguments = format!(
        "{} --clients 3 --lines 10 --warm-up 0 --feed-to",
        server.url("")
    );
    let run = bench(
        &server.folder,
        &server.token(),
        &arguments,
        &["exec:cat >> feed.jsonl"],
    );
    assert_eq!(run.code, Some(0), "{}\n{}", run.said, run.report);
    assert_eq!(run.judged(), [30, 0, 0, 0]);
    server.stop();
}

#[test]
fn longer_lines_are_that_long() {
    let server = TestServer::start("--source file:feed.jsonl --plaintext");
    let arguments = format!(
        "{} --clients 3 --lines 10 --warm-up 0 --line-bytes 5000 --feed-to file:feed.jsonl",
        server.url("")
    );
    let run = bench(&server.folder, &server.token(), &arguments, &[]);
    assert_eq!(run.judged(), [30, 0, 0, 0], "{}", run.said);
    assert!(run.number("/deliveries/bytes") >= 150_000.0);
    let feed = server.folder.read("feed.jsonl");
    assert!(feed.lines().all(|line| line.len() == 5000));
    server.stop();
}

#[test]
fn clients_that_ask_for_one_symbol_are_to_get_that_and_no_other() {
    let server = TestServer::start("--source file:feed.jsonl --plaintext");
    let arguments = format!(
        "{} --clients 8 --lines 25 --rate max --symbols 5 --filtered 50 --feed-to file:feed.jsonl",
        server.url("?tests=true")
    );
    let run = bench(&server.folder, &server.token(), &arguments, &[]);
    assert_eq!(run.code, Some(0), "{}\n{}", run.said, run.report);
    // Four clients get all, four a fifth.
    assert_eq!(run.judged(), [120, 0, 0, 0]);
    assert_eq!(run.count("/deliveries/expected"), 120);
    assert_eq!(run.count("/deliveries/fewest_messages"), 5);
    assert_eq!(run.count("/latency_us/last/count"), 25);
    // A client that gets what it should not have asked for.
    let arguments = ["--filter", "symbols=*,{symbol}"];
    let run = bench(
        &server.folder,
        &server.token(),
        &format!(
            "{} --clients 2 --lines 10 --symbols 5 --filtered 50 --feed-to file:feed.jsonl",
            server.url("")
        ),
        &arguments,
    );
    assert_eq!(run.code, Some(1), "{}\n{}", run.said, run.report);
    assert_eq!(run.count("/deliveries/unasked"), 8, "{}", run.report);
    server.stop();
}

#[test]
fn without_a_feed_of_its_own_it_compares_the_clients() {
    let mut server = TestServer::start("--plaintext");
    let arguments = format!(
        "{} --clients 5 --subprotocol signalcast.v2 --duration 500ms",
        server.url("")
    );
    let mut child = started(&server.folder, &server.token(), &arguments, &[]);
    while child.try_wait().unwrap().is_none() {
        server.feed("buy BTCUSDT 1\n");
        thread::sleep(std::time::Duration::from_millis(2));
    }
    let run = ended(child);
    assert_eq!(run.code, Some(0), "{}\n{}", run.said, run.report);
    let [count, ..] = run.judged();
    assert!(count > 50, "{}", run.report);
    assert_eq!(run.judged(), [count, 0, 0, 0]);
    assert_eq!(
        run.report.pointer("/deliveries/expected"),
        Some(&Value::Null)
    );
    assert!(run.number("/latency_us/last/count") > 10.0);
    server.stop();
}

#[test]
fn a_client_says_hello_and_several_lines_in_one_message_count_each() {
    for (hello, sent) in [
        ("subscribe all", Message::text("subscribe all")),
        ("base64:gAECAw==", Message::binary(vec![0x80, 1, 2, 3])),
    ] {
        let folder = Folder::new();
        let pairs = Scripted::start(&folder, 2, move |clients, feed| {
            for client in &mut *clients {
                assert_eq!(client.read().unwrap(), sent);
            }
            for pair in thirty(feed).chunks(2) {
                for client in &mut *clients {
                    client.send(Message::text(pair.join("\r\n"))).unwrap();
                }
            }
        });
        let arguments = format!(
            "ws://{} --clients 2 --feed-to file:fifo --lines 30 --warm-up 0 --rate 1000 --hello",
            pairs.address
        );
        let run = bench(&folder, "any", &arguments, &[hello]);
        assert_eq!(run.code, Some(0), "{}\n{}", run.said, run.report);
        assert_eq!(run.judged(), [60, 0, 0, 0]);
        pairs.serving.join().unwrap();
    }
}

#[test]
fn a_server_that_dies_is_reported() {
    let server = TestServer::start("--source file:feed.jsonl");
    let arguments = format!(
        "{} --clients 8 --duration 60s --feed-to file:feed.jsonl",
        server.url("")
    );
    let child = started(&server.folder, &server.token(), &arguments, &[]);
    wait_for_lines(&server.folder, 40);
    server.signal(Signal::KILL);
    let run = ended(child);
    assert_eq!(run.code, Some(1), "{}\n{}", run.said, run.report);
    assert_eq!(run.count("/clients/closed"), 8);
    let why = "no client was there any more to get lines";
    assert_eq!(run.value("/feed/error"), why);
    let reasons = run
        .report
        .pointer("/clients/reasons")
        .unwrap()
        .as_object()
        .unwrap();
    assert_eq!(reasons.values().filter_map(Value::as_u64).sum::<u64>(), 8);
}

#[test]
fn a_server_that_was_started_and_dies_is_named() {
    let folder = Folder::new();
    let address = free_address();
    let token = folder.token("--sub bench");
    let server = format!(
        "echo $$ > pid; exec {} serve --listen {address} --plaintext --source file:feed.jsonl",
        env!("CARGO_BIN_EXE_signalcast")
    );
    let arguments =
        format!("ws://{address} --clients 8 --duration 60s --feed-to file:feed.jsonl --server");
    let child = started(&folder, &token, &arguments, &[&server]);
    wait_for_lines(&folder, 40);
    let pid = folder.read("pid").trim().parse().unwrap();
    rustix::process::kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    let run = ended(child);
    assert_eq!(run.code, Some(1), "{}\n{}", run.said, run.report);
    assert_eq!(run.value("/server_ended"), "signal: 9 (SIGKILL)");
    let arguments = format!("ws://{address} --server");
    let run = bench(&folder, "any", &arguments, &["exit 3"]);
    assert_eq!(
        run.said,
        "signalcast: the server ended before it was measured: exit status: 3\n"
    );
}

#[test]
fn a_server_is_not_started_where_somebody_listens() {
    let folder = Folder::new();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let arguments = format!("ws://{address} --server");
    let run = bench(&folder, "any", &arguments, &["echo > started"]);
    assert_eq!(run.code, Some(1));
    assert_eq!(
        run.said,
        format!(
            "signalcast: somebody listens at {address} before the server is started; \
             end that, or leave --server out to measure it\n"
        )
    );
    assert!(!folder.path("started").exists());
}

#[test]
fn ctrl_c_ends_a_run_with_a_report() {
    let server = TestServer::start("--source file:feed.jsonl");
    let arguments = format!(
        "{} --clients 8 --duration 60s --feed-to file:feed.jsonl",
        server.url("")
    );
    let child = started(&server.folder, &server.token(), &arguments, &[]);
    wait_for_lines(&server.folder, 40);
    rustix::process::kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let run = ended(child);
    assert_eq!(run.code, Some(0), "{}\n{}", run.said, run.report);
    assert_eq!(run.value("/interrupted"), &Value::Bool(true));
    let lines = run.count("/feed/lines");
    assert!((20..3000).contains(&lines), "{lines}");
    assert_eq!(run.judged(), [8 * lines, 0, 0, 0]);
    server.stop();
}

#[test]
fn what_a_server_loses_repeats_or_mixes_up_is_told() {
    let faults: [(Fault, [u64; 4]); 3] = [
        (|lines| without(lines, 7), [119, 1, 0, 0]),
        (|lines| twice(lines, 7), [120, 0, 1, 0]),
        (|lines| swapped(lines, 7), [120, 0, 0, 1]),
    ];
    for (fault, expected) in faults {
        let folder = Folder::new();
        let faulty = Scripted::start(&folder, 4, move |clients, feed| {
            let lines = thirty(feed);
            for (number, client) in clients.iter_mut().enumerate() {
                let sent = if number == 1 {
                    fault(&lines)
                } else {
                    lines.iter().collect()
                };
                for line in sent {
                    client.send(Message::text(line.as_str())).unwrap();
                }
            }
        });
        let arguments = format!(
            "ws://{} --clients 4 --lines 30 --warm-up 0 --rate max --feed-to file:fifo",
            faulty.address
        );
        let run = bench(&folder, "any", &arguments, &[]);
        faulty.serving.join().unwrap();
        assert_eq!(run.judged(), expected, "{}\n{}", run.said, run.report);
        assert_eq!(run.code, Some(1));
    }
}

#[test]
fn what_comes_late_or_again_when_the_rest_is_there_is_seen() {
    let faults: [(Fault, [u64; 4]); 2] = [
        (|lines| without(lines, 7), [60, 0, 0, 1]),
        (|lines| lines.iter().collect(), [60, 0, 1, 0]),
    ];
    for (first, expected) in faults {
        let folder = Folder::new();
        let faulty = Scripted::start(&folder, 2, move |clients, feed| {
            let lines = thirty(feed);
            for (client, sent) in clients
                .iter_mut()
                .zip([first(&lines), lines.iter().collect()])
            {
                for line in sent {
                    client.send(Message::text(line.as_str())).unwrap();
                }
            }
            // So late.
            thread::sleep(std::time::Duration::from_millis(300));
            clients[0].send(Message::text(lines[7].as_str())).unwrap();
        });
        let arguments = format!(
            "ws://{} --clients 2 --lines 30 --warm-up 0 --rate max --feed-to file:fifo",
            faulty.address
        );
        let run = bench(&folder, "any", &arguments, &[]);
        faulty.serving.join().unwrap();
        assert_eq!(run.judged(), expected, "{}\n{}", run.said, run.report);
        assert_eq!(run.code, Some(1));
        // The delivery counts into the time, the repeat does not.
        let is_late = run.number("/deliveries/seconds") > 0.3;
        assert_eq!(is_late, expected[3] == 1, "{}", run.report);
    }
}

#[test]
fn what_is_waited_for_lines_that_never_come_is_in_no_figure() {
    let folder = Folder::new();
    let server = Scripted::start(&folder, 1, move |clients, feed| {
        for line in without(&thirty(feed), 29) {
            clients[0].send(Message::text(line.as_str())).unwrap();
        }
    });
    let mut busy = std::process::Command::new("/bin/sh")
        .args(["-c", "while :; do :; done"])
        .spawn()
        .unwrap();
    let arguments = format!(
        "ws://{} --clients 1 --lines 30 --warm-up 0 --rate 100 --feed-to file:fifo --pid {}",
        server.address,
        busy.id()
    );
    let run = bench(&folder, "any", &arguments, &[]);
    busy.kill().unwrap();
    busy.wait().unwrap();
    server.serving.join().unwrap();
    assert_eq!(run.judged(), [29, 1, 0, 0], "{}\n{}", run.said, run.report);
    // It has one thread.
    assert!(run.number("/server/cpu_percent") < 120.0, "{}", run.report);
}

#[test]
fn a_server_that_sends_nothing_has_delivered_nothing_in_the_time_that_was_waited() {
    let folder = Folder::new();
    let silent = Scripted::start(&folder, 1, |_, feed| drop(thirty(feed)));
    let arguments = format!(
        "ws://{} --clients 1 --lines 30 --warm-up 0 --rate max --feed-to file:fifo",
        silent.address
    );
    let run = bench(&folder, "any", &arguments, &[]);
    silent.serving.join().unwrap();
    assert_eq!(run.judged(), [0, 30, 0, 0], "{}\n{}", run.said, run.report);
    assert!(run.number("/deliveries/seconds") > 1.0, "{}", run.report);
}

#[test]
fn whoever_is_not_let_in_is_told_why() {
    let server = TestServer::start("");
    let run = bench(
        &server.folder,
        "wrong",
        &format!("{} --clients 3", server.url("")),
        &[],
    );
    assert_eq!(run.code, Some(1));
    assert_eq!(
        run.said,
        "signalcast: no client could connect: refused: 401 Unauthorized\n"
    );
    server.stop();
}

#[test]
fn an_authority_that_nobody_named_is_told() {
    let server = TestServer::start("");
    let elsewhere = Folder::new();
    let run = bench(
        &elsewhere,
        "any",
        &format!("{} --clients 1", server.url("")),
        &[],
    );
    assert!(run.said.ends_with("with --ca\n"), "{}", run.said);
    server.stop();
}

#[test]
fn nobody_who_listens_is_told() {
    let folder = Folder::new();
    let address = free_address();
    let run = bench(&folder, "any", &format!("ws://{address}"), &[]);
    assert_eq!(run.code, Some(1));
    assert_eq!(
        run.said,
        format!("signalcast: nobody listens at {address}; is the server running?\n")
    );
}

#[test]
fn a_pipe_that_nobody_reads_is_told() {
    let folder = Folder::new();
    folder.fifo("fifo");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let arguments = format!("ws://{address} --feed-to file:fifo");
    let run = bench(&folder, "any", &arguments, &[]);
    assert_eq!(run.code, Some(1));
    assert_eq!(
        run.said,
        "signalcast: fifo: nobody reads this pipe; start the server on it first\n"
    );
}

#[test]
fn sigterm_ends_a_run_that_waits_for_its_server() {
    let folder = Folder::new();
    folder.fifo("fifo");
    // It waits for somebody who listens, for a reader of its pipe, and for its clients.
    for (does_listen, feed_to) in [
        (false, "file:lines"),
        (true, "file:fifo"),
        (true, "file:lines"),
    ] {
        let address = free_address();
        let arguments = format!("ws://{address} --clients 3 --feed-to {feed_to} --server");
        let server = "echo > started; exec sleep 60";
        let child = started(&folder, "any", &arguments, &[server]);
        let started = folder.path("started");
        wait_until("it starts the server", || started.exists());
        std::fs::remove_file(started).unwrap();
        let listener = does_listen.then(|| TcpListener::bind(address).unwrap());
        if let Some(listener) = &listener {
            listener.accept().unwrap();
        }
        rustix::process::kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let run = ended(child);
        assert_eq!(run.code, Some(1), "{feed_to}");
        assert_eq!(
            run.said,
            "signalcast: ended before there was anything to measure\n"
        );
    }
}

#[test]
fn clients_that_come_too_late_for_ctrl_c_are_told_apart() {
    let folder = Folder::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let arguments = format!("ws://{address} --clients 3 --duration 1s --hello here");
    let child = started(&folder, "any", &arguments, &[]);
    let accepted = || listener.accept().unwrap().0;
    // The first only looks whether somebody listens.
    drop(accepted());
    let mut one = tungstenite::accept(accepted()).unwrap();
    one.read().unwrap();
    let others = [accepted(), accepted()];
    rustix::process::kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let run = ended(child);
    assert_eq!(run.count("/clients/connected"), 1);
    let why = "/clients/reasons/given up when the run was interrupted";
    assert_eq!(run.count(why), 2, "{}", run.report);
    drop((one, others));
}

#[test]
fn a_warm_up_that_hangs_in_a_write_is_told() {
    let folder = Folder::new();
    let (over, until) = std::sync::mpsc::sync_channel::<()>(0);
    let server = Scripted::start(&folder, 1, move |clients, feed| {
        // It has room for one line and a part of the next.
        wait_until("the pipe is full", || {
            rustix::io::ioctl_fionread(feed.get_ref()).unwrap() > 40_001
        });
        for client in clients {
            client.get_mut().shutdown(Shutdown::Both).unwrap();
        }
        // The pipe stays open, and full.
        until.recv().unwrap_err();
    });
    let arguments = format!(
        "ws://{} --clients 1 --line-bytes 40000 --feed-to file:fifo",
        server.address
    );
    let run = bench(&folder, "any", &arguments, &[]);
    drop(over);
    server.serving.join().unwrap();
    assert_eq!(run.code, Some(1));
    assert_eq!(
        run.said,
        "signalcast: the feed takes no lines any more; does the server read all of it?\n"
    );
}

#[test]
fn options_that_cannot_be_are_refused_all_at_once() {
    let folder = Folder::new();
    let run = bench(
        &folder,
        "any",
        "ws://127.0.0.1:9 --clients 0 --rate 5 --header nonsense --pid x --subprotocol a,b --hello base64:? --duration 5",
        &[],
    );
    assert_eq!(run.code, Some(2));
    insta::assert_snapshot!(run.said, @r#"
    signalcast: --header: is no header; write one such as 'X-Api-Key: abc'
    signalcast: --subprotocol: "a,b" can't be one; write one such as signalcast.v2
    signalcast: --hello: is no base64; write what `base64 -w0` prints behind base64:
    signalcast: --clients: can't be "0"; write a whole number from 1 on, as in 100
    signalcast: --pid: can't be "x"; write a whole number from 1 on, as in 100
    signalcast: --rate: is about a feed, and nothing is fed; say where to with --feed-to
    signalcast: --duration: "5" has no unit; write a whole number and ms, s, m, h or d, as in 10s
    "#);
    let run = bench(
        &folder,
        "any",
        "ws://127.0.0.1:9 --clients 999999999 --filtered 101 --filter symbols=X --feed-to stdin --rate 5 --window 6 --line-bytes 70000 --sequence n",
        &[],
    );
    let said = run.said.replace(char::is_numeric, "");
    insta::assert_snapshot!(said, @r#"
    signalcast: --clients:  need  open files, and  are allowed; raise the limit (ulimit -n), or write  at most
    signalcast: --sequence: is there beside --feed-to, whose lines are numbered; leave one
    signalcast: --feed-to: stdin is that of a server which is started; add --server COMMAND, or write file:PATH or exec:COMMAND
    signalcast: --window: is there beside --rate; leave one
    signalcast: --line-bytes: is more than a line may have; write  at most
    signalcast: --filter: "symbols=X" asks for no symbol; write {symbol} where it is to stand, as in symbols={symbol}
    signalcast: --filtered: is more than all clients; write  at most
    "#);
    let run = bench(
        &folder,
        "any",
        "--feed-to nowhere --lines 0 --server true --pid 1",
        &[],
    );
    insta::assert_snapshot!(run.said, @r#"
    signalcast: URL: is missing; write one such as wss://127.0.0.1:8080
    signalcast: --pid: is there beside --server; leave one
    signalcast: --feed-to: "nowhere" says not where; write stdin, file:PATH or exec:COMMAND
    signalcast: --lines: can't be "0"; write a whole number from 1 on, as in 100
    "#);
}

#[test]
fn messages_without_a_start_or_an_end_are_told() {
    // A frame of a mebibyte: the head is 10 bytes.
    let frame = |first: u8| {
        let mut frame = vec![first, 127, 0, 0, 0, 0, 0, 0x10, 0, 0];
        frame.resize(10 + (1 << 20), b'x');
        frame
    };
    let (begin, go_on) = (frame(0x01), frame(0x00));
    let endless: Vec<&[u8]> = std::iter::once(&begin[..])
        .chain(std::iter::repeat_n(&go_on[..], 70))
        .collect();
    let (not_begun, not_ended): (Vec<&[u8]>, Vec<&[u8]>) = (vec![&go_on], vec![&begin, &begin]);
    let faults = [
        (
            endless,
            "sent a message of 68157440 bytes, more than this tool takes",
        ),
        (not_begun, "went on with a message that it had not begun"),
        (not_ended, "began a message before the end of another"),
    ];
    for (frames, why) in faults {
        let folder = Folder::new();
        let frames = frames.concat();
        let server = Scripted::start(&folder, 1, move |clients, _| {
            clients[0].read().unwrap();
            // It is cut before all of them are out.
            let _ = std::io::Write::write_all(clients[0].get_mut(), &frames);
        });
        let arguments = format!(
            "ws://{} --clients 1 --duration 30s --hello here",
            server.address
        );
        let run = bench(&folder, "any", &arguments, &[]);
        server.serving.join().unwrap();
        let reasons = run.value("/clients/reasons");
        assert_eq!(
            reasons,
            &serde_json::json!({ format!("the server {why}"): 1 })
        );
    }
}

#[test]
fn no_secret_is_repeated() {
    let folder = Folder::new();
    for command in ["listen", "bench", "bench --json"] {
        for url in [
            "ws://me:s3cr3t@127.0.0.1:9/?a=1",
            "ws://me:s3/cr3t@127.0.0.1:9",
        ] {
            let refused = folder.run(&format!("{command} {url}"));
            assert_eq!(refused.status.code(), Some(2), "{command} {url}");
            assert_eq!(
                String::from_utf8(refused.stderr).unwrap(),
                "signalcast: URL: names a user, who would not be asked for; \
                 show a token with --token; in a path, write %40 for @\n"
            );
        }
    }
    let run = bench(
        &folder,
        "any",
        "ws://127.0.0.1:9 --header",
        &["Bearer s3cr3t"],
    );
    assert_eq!(
        run.said,
        "signalcast: --header: is no header; write one such as 'X-Api-Key: abc'\n"
    );
}

#[test]
fn numbers_beyond_all_bounds_are_refused() {
    let folder = Folder::new();
    let run = bench(
        &folder,
        "any",
        "ws://127.0.0.1:9 --clients 18446744073709551615 --feed-to file:f --warm-up 18446744073709551610",
        &[],
    );
    assert_eq!(run.code, Some(2), "{}", run.said);
    let said: Vec<&str> = run.said.lines().collect();
    assert!(said[0].starts_with("signalcast: --clients: "), "{said:?}");
    assert!(said[1].starts_with("signalcast: --warm-up: "), "{said:?}");
}

/// Until so many lines were fed, those of the warm-up among them.
fn wait_for_lines(folder: &Folder, count: usize) {
    let feed = || std::fs::read_to_string(folder.path("feed.jsonl")).unwrap_or_default();
    wait_until("lines are fed", || feed().lines().count() >= count);
}

/// What a client is sent instead of these lines.
type Fault = fn(&[String]) -> Vec<&String>;

/// A server that does with its clients and the lines that it is fed what it was told to.
struct Scripted {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Scripted {
    /// It is fed through a named pipe.
    fn start(
        folder: &Folder,
        clients: usize,
        script: impl FnOnce(&mut [WebSocket<TcpStream>], BufReader<File>) + Send + 'static,
    ) -> Self {
        let feed = BufReader::new(open_for_both(&folder.fifo("fifo")));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serving = thread::spawn(move || {
            // Who only looks whether somebody listens makes no handshake.
            let accepted = listener.incoming().map(Result::unwrap);
            let mut clients: Vec<WebSocket<TcpStream>> = accepted
                .filter_map(|stream| tungstenite::accept(stream).ok())
                .take(clients)
                .collect();
            script(&mut clients, feed);
            for client in &mut clients {
                while client.read().is_ok() {}
            }
        });
        Self { address, serving }
    }
}

/// A named pipe that is read from now on: whoever also could write to it need not wait for a writer.
fn open_for_both(fifo: &Path) -> File {
    File::options().read(true).write(true).open(fifo).unwrap()
}

/// The next thirty lines.
fn thirty(feed: BufReader<File>) -> Vec<String> {
    feed.lines().take(30).map(Result::unwrap).collect()
}

fn without(lines: &[String], at: usize) -> Vec<&String> {
    let mut sent: Vec<&String> = lines.iter().collect();
    sent.remove(at);
    sent
}

fn twice(lines: &[String], at: usize) -> Vec<&String> {
    let mut sent: Vec<&String> = lines.iter().collect();
    sent.insert(at, &lines[at]);
    sent
}

fn swapped(lines: &[String], at: usize) -> Vec<&String> {
    let mut sent: Vec<&String> = lines.iter().collect();
    sent.swap(at, at + 1);
    sent
}

/// An address at which nobody listens.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}
