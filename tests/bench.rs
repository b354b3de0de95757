//! `signalcast bench` against real servers: what it counts and how it ends.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use rustix::process::{Pid, Signal};
use serde_json::Value;

mod benching;
mod common;

use benching::{bench, ended, free_address, started, wait_for_lines};
use common::{Folder, TestServer, wait_until};

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
fn a_process_that_ends_while_it_is_measured_is_told() {
    let server = TestServer::start("--source file:feed.jsonl --plaintext");
    let mut other = Command::new("sleep").arg("60").spawn().unwrap();
    let arguments = format!(
        "{} --clients 2 --lines 100 --feed-to file:feed.jsonl --pid {}",
        server.url(""),
        other.id()
    );
    let child = started(&server.folder, &server.token(), &arguments, &[]);
    wait_for_lines(&server.folder, 40);
    other.kill().unwrap();
    other.wait().unwrap();
    let run = ended(child);
    let told = format!(
        "process {} has ended: what it used is not known",
        other.id()
    );
    let warnings = run.value("/warnings").as_array().unwrap();
    assert!(warnings.contains(&told.into()), "{warnings:?}");
    server.stop();
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
