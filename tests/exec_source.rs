//! The `exec:` source: what a command prints is the feed, and it is started again and ended.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod steering;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use common::{Folder, TestServer, wait_until, wire};
use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use steering::{pipe, runs, serve, stand, watcher, zombies};

const BEAT: &str = "--limits-heartbeat 50ms";

fn folder() -> Arc<Folder> {
    Arc::new(Folder::new())
}

fn buy(symbol: &str) -> String {
    wire("buy", symbol, "1", 1)
}

/// The number that a command has left in a file.
fn pid(folder: &Folder, name: &str) -> u32 {
    let number = || fs::read_to_string(folder.path(name)).unwrap_or_default();
    wait_until("a command leaves its number", || number().ends_with('\n'));
    number().trim().parse().unwrap()
}

fn server_pid(server: &TestServer) -> u32 {
    server.pid().as_raw_nonzero().get().cast_unsigned()
}

#[tokio::test]
async fn each_line_comes_as_soon_as_the_command_has_printed_it() {
    let folder = folder();
    let mut feed = pipe(&folder, "feed");
    let server = serve(&folder, &["exec:cat feed"], "");
    let mut client = server.client().await;
    for symbol in ["A", "B", "C"] {
        writeln!(feed, "buy {symbol} 1 1").unwrap();
        assert_eq!(client.text().await, buy(symbol));
    }
    server.stop();
}

#[tokio::test]
async fn a_client_of_v2_sees_which_command_a_signal_is_of() {
    let folder = folder();
    let mut feed = pipe(&folder, "feed");
    let server = serve(&folder, &["exec:cat feed?unit=ms"], "");
    let mut client = watcher(&server).await;
    writeln!(feed, "buy A 1 1720000000123").unwrap();
    let signal = client.json().await;
    assert_eq!(signal["source"], "exec:cat feed");
    assert_eq!(signal["content"]["timestamp"], 1_720_000_000);
    server.stop();
}

#[tokio::test]
async fn a_command_that_crashes_is_started_again_after_one_second_and_then_after_more() {
    let folder = folder();
    folder.append("strategy.sh", "date +%s%N >>starts; kill -9 $$\n");
    let server = serve(&folder, &["exec:exec sh strategy.sh"], "");
    let starts = || fs::read_to_string(folder.path("starts")).unwrap_or_default();
    wait_until("it was started three times", || {
        starts().lines().count() >= 3
    });
    let starts = folder.read("starts");
    let starts: Vec<u64> = starts.lines().map(|time| time.parse().unwrap()).collect();
    assert!(starts[1] - starts[0] >= 1_000_000_000, "{starts:?}");
    assert!(starts[2] - starts[1] >= 2_000_000_000, "{starts:?}");
    let log = server.log();
    assert!(
        log.contains("the command has failed; it is started again"),
        "{log}"
    );
    assert!(log.contains("SIGKILL"), "{log}");
    server.stop();
}

#[tokio::test]
async fn a_command_that_ends_well_is_started_again_too() {
    let folder = folder();
    folder.append(
        "strategy.sh",
        "echo x >>starts; echo buy S$(wc -l <starts) 1 1\n",
    );
    let server = serve(&folder, &["exec:sh strategy.sh"], "--wait-clients 1");
    let mut client = server.client().await;
    assert_eq!(client.texts(2).await, [buy("S1"), buy("S2")]);
    let none_is_left = || zombies(server_pid(&server)).is_empty();
    wait_until("each one that has ended is waited for", none_is_left);
    server.stop();
}

#[tokio::test]
async fn with_exit_on_eof_the_server_ends_with_a_command_that_is_not_started_again() {
    let folder = folder();
    // Its last line may lack its newline, as that of standard input.
    let source = "exec:printf 'buy A 1 1\\nbuy B 1 1'?restart=never";
    let arguments = "--wait-clients 1 --exit-on-eof";
    let server = serve(
        &folder,
        &[source, "exec:cat /dev/null?restart=never"],
        arguments,
    );
    let mut client = server.client().await;
    assert_eq!(
        client.texts_until_close().await,
        (vec![buy("A"), buy("B")], 1001)
    );
    drop(client);
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[tokio::test]
async fn with_exit_on_eof_a_command_that_fails_ends_the_server_with_exit_code_1() {
    let folder = folder();
    let source = "exec:printf 'buy A 1 1\\nsell B 2'; exit 3?restart=never";
    let server = serve(&folder, &[source], "--wait-clients 1 --exit-on-eof");
    let mut client = server.client().await;
    assert_eq!(client.texts_until_close().await, (vec![buy("A")], 1001));
    drop(client);
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("exit 3 could not be read to its end"), "{log}");
    assert!(log.contains("exit status: 3"), "{log}");
    let letter = folder.read("data/dead-letters.jsonl");
    assert!(letter.contains(r#""line":"sell B 2""#), "{letter}");
}

#[tokio::test]
async fn the_unfinished_last_line_of_a_command_that_crashes_is_a_dead_letter() {
    let folder = folder();
    let script = "printf 'buy A 1 1\\nsell B 2'; kill -9 $$\n";
    folder.append("strategy.sh", script);
    let server = serve(&folder, &["exec:sh strategy.sh?restart=never"], "");
    server
        .logged("line refused at=exec:sh strategy.sh:2 ")
        .await;
    wait_until("the letter is written", || {
        fs::read_to_string(folder.path("data/dead-letters.jsonl"))
            .is_ok_and(|text| text.ends_with('\n'))
    });
    let letter: Value = serde_json::from_str(&folder.read("data/dead-letters.jsonl")).unwrap();
    assert_eq!(letter["source"], "exec:sh strategy.sh");
    assert_eq!(letter["line"], "sell B 2");
    assert_eq!(
        letter["position"],
        serde_json::json!({"line": 2, "offset": 10})
    );
    let reason = letter["reason"].as_str().unwrap();
    assert!(reason.contains("its command failed"), "{reason}");
    server.stop();
}

/// The only dead letter.
fn letter(folder: &Folder) -> Value {
    let letters = || fs::read_to_string(folder.path("data/dead-letters.jsonl")).unwrap_or_default();
    wait_until("the letter is written", || letters().ends_with('\n'));
    serde_json::from_str(&letters()).unwrap()
}

/// Writes half a line, as a buffer is flushed when it is full, and goes on for long.
const FEED: &str = "printf 'buy A 1 1\nbuy BTCUSDT 75' >&3\nexec sleep 1000\n";

#[tokio::test]
async fn half_a_line_of_what_a_command_has_in_the_background_is_a_dead_letter_when_it_is_stopped() {
    let folder = folder();
    folder.append("feed.sh", FEED);
    // A launcher that ends well when it is told to, and takes its feed with it.
    let launcher = "trap 'exit 0' TERM\nsh feed.sh 3>&1 &\nwait\n";
    folder.append("launcher.sh", launcher);
    let server = serve(&folder, &["exec:exec sh launcher.sh"], "--wait-clients 1");
    let mut client = server.client().await;
    assert_eq!(client.text().await, buy("A"));
    server.signal(Signal::TERM);
    assert_eq!(client.texts_until_close().await, (vec![], 1001));
    drop(client);
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    let letter = letter(&folder);
    assert_eq!(letter["line"], "buy BTCUSDT 75");
    let reason = letter["reason"].as_str().unwrap();
    assert!(reason.contains("the server stopped"), "{reason}");
}

#[tokio::test]
async fn half_a_line_of_what_outlives_its_command_is_a_dead_letter() {
    // In its process group, and out of it.
    for start in ["sh", "setsid sh"] {
        let folder = folder();
        folder.append("feed.sh", &format!("echo $$ >pid\n{FEED}"));
        // Once it sleeps, the half line is in the pipe.
        let launcher = format!(
            "{start} feed.sh 3>&1 &\nwhile ! grep -q sleep /proc/$(cat pid)/cmdline; do sleep 0.01; done\nexit 0\n"
        );
        folder.append("launcher.sh", &launcher);
        let source = "exec:sh launcher.sh 2>/dev/null?restart=never";
        let server = serve(&folder, &[source], "--wait-clients 1 --exit-on-eof");
        let mut client = server.client().await;
        let come = client.texts_until_close().await;
        assert_eq!(come, (vec![buy("A")], 1001), "{start}");
        drop(client);
        let (status, log) = server.wait();
        assert_eq!(status.code(), Some(0), "{log}");
        let letter = letter(&folder);
        assert_eq!(letter["line"], "buy BTCUSDT 75");
        let reason = letter["reason"].as_str().unwrap();
        assert!(
            reason.contains("before all that may have printed the rest"),
            "{reason}"
        );
        let feed = Pid::from_raw(pid(&folder, "pid").cast_signed()).unwrap();
        kill_process(feed, Signal::KILL).ok();
    }
}

#[tokio::test]
async fn heartbeats_tell_how_each_command_is() {
    let folder = folder();
    let (_feed, mut held) = (pipe(&folder, "feed"), pipe(&folder, "held"));
    let sources = [
        "exec:cat feed",
        "exec:exit 3",
        "exec:exit 0",
        "exec:true?restart=never",
        "exec:false?restart=never",
        "exec:cat held",
        "exec:exec >&-; sleep 1000",
    ];
    let server = serve(&folder, &sources, BEAT);
    let mut client = watcher(&server).await;
    writeln!(held, "buy A 1 1").unwrap();
    while client.json().await["type"] != "buy" {}
    assert_eq!(
        steering::steer(&server, "exec:cat held", "pause").await,
        "paused"
    );
    let expected = [
        ("exec:cat feed", "live"),
        ("exec:exit 3", "failed"),
        ("exec:exit 0", "waiting"),
        ("exec:true", "ended"),
        ("exec:false", "failed"),
        ("exec:cat held", "paused"),
        // It runs, but nothing can come from it any more.
        ("exec:exec >&-; sleep 1000", "waiting"),
    ];
    let beat = stand(&mut client, &expected).await;
    let age = &beat["sources"]["exec:cat held"]["last_signal_age_ms"];
    assert!(age.is_u64(), "{age}");
    server.stop();
}

#[tokio::test]
async fn strangers_see_the_program_of_a_command_and_nothing_else_of_it() {
    let folder = folder();
    let sources = [
        "exec:sleep 1000 # SECRET",
        "exec:/bin/sleep 1001 # SECRET",
        "exec:KEY=SECRET cat feed",
    ];
    let _feed = pipe(&folder, "feed");
    let server = serve(&folder, &sources, "");
    let answer = server.get("/readyz", "").await;
    assert!(!answer.body.contains("SECRET"), "{}", answer.body);
    let ready: Value = serde_json::from_str(&answer.body).unwrap();
    let shown: Vec<&String> = ready["checks"]["sources"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(shown, ["exec:sh", "exec:sleep#1", "exec:sleep#2"]);
    // Whoever may steer them, and those whom they bring signals, know them by their names.
    let name = "exec:KEY=SECRET cat feed";
    assert_eq!(steering::steer(&server, name, "pause").await, "paused");
    server.stop();
}

#[tokio::test]
async fn a_command_that_is_not_there_fails_alone_and_its_shell_says_why() {
    let folder = folder();
    let sources = ["exec:./no-such-strategy --fast", "stdin"];
    let mut server = serve(&folder, &sources, BEAT);
    let mut client = watcher(&server).await;
    stand(
        &mut client,
        &[
            ("exec:./no-such-strategy --fast", "failed"),
            ("stdin", "live"),
        ],
    )
    .await;
    server.feed("buy A 1 1\n");
    while client.json().await["type"] != "buy" {}
    server.logged("why=\"exit status: 127\"").await;
    let log = server.stop();
    let said = "the command says source=exec:./no-such-strategy --fast line=";
    let line = log.lines().find(|line| line.contains(said)).unwrap();
    assert!(line.contains("not found"), "{line}");
}

#[tokio::test]
async fn what_it_says_on_standard_error_is_in_the_log_under_its_name() {
    let folder = folder();
    let script = "printf 'red \\033[31m\\nno newline' >&2; exit 1\n";
    folder.append("strategy.sh", script);
    let server = serve(&folder, &["exec:sh strategy.sh?restart=never"], "");
    server.logged("source failed").await;
    let log = server.stop();
    for line in ["line=red \\u{1b}[31m\n", "line=no newline\n"] {
        let said = format!("the command says source=exec:sh strategy.sh {line}");
        assert!(log.contains(&said), "{said}{log}");
    }
}

#[tokio::test]
async fn a_flood_on_standard_error_holds_up_nobody_and_is_cut() {
    const SCRIPT: &str = r#"
import sys
print("buy BEFORE 1 1", flush=True)
sys.stderr.write("x" * 1_000_000 + "\n")
for n in range(100_000):
    sys.stderr.write(f"line {n} of too many\n")
sys.stderr.flush()
print("buy BEHIND 1 1", flush=True)
"#;
    let folder = folder();
    folder.append("flood.py", SCRIPT);
    let source = "exec:python3 flood.py?restart=never";
    let server = serve(&folder, &[source], "--wait-clients 1 --exit-on-eof");
    let mut client = server.client().await;
    let expected = vec![buy("BEFORE"), buy("BEHIND")];
    assert_eq!(client.texts_until_close().await, (expected, 1001));
    drop(client);
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("x… (998976 more bytes)"), "{}", &log[..4096]);
    assert!(log.contains("line=line 0 of too many"));
    let lines = log.matches("of too many").count();
    assert!(lines < 5000, "{lines}");
    let left_out = log
        .lines()
        .filter(|line| line.contains("were left out"))
        .filter_map(|line| line.rsplit_once("lines=")?.1.parse::<usize>().ok());
    assert_eq!(lines + left_out.sum::<usize>(), 100_000);
    assert!(
        !log.contains("were dropped"),
        "the log itself was not flooded"
    );
}

#[tokio::test]
async fn a_hundred_thousand_lines_at_once_come_all_and_in_order() {
    const LINES: u64 = 100_000;
    let folder = folder();
    let source =
        "exec:awk 'BEGIN { for (n = 1; n <= 100000; n++) print \"buy X\", n, 1 }'?restart=never";
    let server = serve(&folder, &[source], "--wait-clients 1 --exit-on-eof");
    let mut client = server.client().await;
    let (texts, code) = client.texts_until_close().await;
    assert_eq!((texts.len() as u64, code), (LINES, 1001));
    for (text, n) in texts.iter().zip(1..) {
        assert_eq!(*text, wire("buy", "X", &n.to_string(), 1));
    }
    drop(client);
    assert_eq!(server.wait().0.code(), Some(0));
}

#[tokio::test]
async fn what_a_command_prints_when_it_is_told_to_end_is_delivered() {
    let folder = folder();
    folder.append(
        "strategy.sh",
        "trap 'echo sell BYE 1 1; exit 0' TERM\necho buy HELLO 1 1\nwhile :; do sleep 0.05; done\n",
    );
    let server = serve(&folder, &["exec:sh strategy.sh"], "--wait-clients 1");
    let mut client = server.client().await;
    assert_eq!(client.text().await, buy("HELLO"));
    server.signal(Signal::TERM);
    let bye = wire("sell", "BYE", "1", 1);
    assert_eq!(client.texts_until_close().await, (vec![bye], 1001));
    drop(client);
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("drained in time"), "{log}");
}

#[tokio::test]
async fn a_command_that_does_not_heed_sigterm_is_killed_within_the_drain() {
    let folder = folder();
    let script =
        "trap '' TERM\necho $$ >pid\nprintf 'buy A 1 1\\nbuy HALF'\nwhile :; do sleep 0.05; done\n";
    folder.append("strategy.sh", script);
    let server = serve(
        &folder,
        &["exec:sh strategy.sh"],
        "--drain 2s --wait-clients 1",
    );
    let mut client = server.client().await;
    assert_eq!(client.text().await, buy("A"));
    let child = pid(&folder, "pid");
    server.signal(Signal::TERM);
    assert_eq!(client.texts_until_close().await, (vec![], 1001));
    drop(client);
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!runs(child));
    assert!(
        log.contains("does not end when asked to; killing it"),
        "{log}"
    );
    assert!(log.contains("drained in time"), "{log}");
    let letter = folder.read("data/dead-letters.jsonl");
    assert!(letter.contains(r#""line":"buy HALF""#), "{letter}");
}

#[tokio::test]
async fn half_a_line_of_a_command_that_even_sigkill_does_not_end_is_a_dead_letter() {
    // Somebody who is not in its group traces it, and holds it on its way out.
    const SCRIPT: &str = r#"
import ctypes, os, signal, time
PTRACE_SEIZE, PTRACE_O_TRACEEXIT, PR_SET_PTRACER = 0x4206, 0x40, 0x59616d61
libc = ctypes.CDLL(None)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.prctl(PR_SET_PTRACER, ctypes.c_long(-1), 0, 0, 0)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
traced, tell = os.pipe()
if os.fork() == 0:
    os.setsid()
    assert libc.ptrace(PTRACE_SEIZE, os.getppid(), None, PTRACE_O_TRACEEXIT) == 0
    os.write(tell, b"x")
    os.closerange(0, 3)
    open("gone").readline()
    os._exit(0)
os.read(traced, 1)
os.write(1, b"buy A 1 1\nbuy HALF")
while True:
    time.sleep(1000)
"#;
    let folder = folder();
    folder.append("strategy.py", SCRIPT);
    let mut gone = pipe(&folder, "gone");
    let source = "exec:exec python3 strategy.py";
    let server = serve(&folder, &[source], "--drain 6s --wait-clients 1");
    let mut client = server.client().await;
    assert_eq!(client.text().await, buy("A"));
    server.signal(Signal::TERM);
    assert_eq!(client.texts_until_close().await, (vec![], 1001));
    drop(client);
    let (_, log) = server.wait();
    writeln!(gone).unwrap();
    assert!(log.contains("it was killed and does not end"), "{log}");
    let letter = letter(&folder);
    assert_eq!(letter["line"], "buy HALF");
}

#[tokio::test]
async fn a_command_is_ended_also_while_the_log_cannot_be_written() {
    const SCRIPT: &str = r#"
import os, signal
signal.signal(signal.SIGTERM, lambda *_: open("told", "w").close())
open("pid", "w").write(f"{os.getpid()}\n")
open("go").readline()
while True:
    print("buy A 1 1")
"#;
    let folder = folder();
    folder.append("strategy.py", SCRIPT);
    let mut go = pipe(&folder, "go");
    let server = serve(&folder, &["exec:python3 strategy.py"], "--drain 4s");
    let child = pid(&folder, "pid");
    let other = Connection::open(folder.path("data/signals.db")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    writeln!(go).unwrap();
    server
        .logged("signals wait until the log can be written")
        .await;
    server.signal(Signal::TERM);
    wait_until("it is told at once", || folder.path("told").exists());
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("could not be recorded and are lost"), "{log}");
    wait_until("the command is gone", || !runs(child));
}

#[tokio::test]
async fn who_is_in_a_hurry_leaves_no_command_behind() {
    let folder = folder();
    folder.append(
        "strategy.sh",
        "trap '' TERM\necho $$ >pid\nwhile :; do sleep 0.05; done\n",
    );
    let server = serve(&folder, &["exec:sh strategy.sh"], "--drain 60s");
    let child = pid(&folder, "pid");
    wait_until("a second signal ends the server", || {
        server.signal(Signal::TERM);
        server.log().contains("told to stop once more")
    });
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    wait_until("the command is gone", || !runs(child));
}

#[tokio::test]
async fn what_a_command_has_started_ends_with_it() {
    let folder = folder();
    let script = "sleep 1000 & echo $! >background\necho buy A 1 1\nread _ <go\nexit 1\n";
    folder.append("strategy.sh", script);
    let mut go = pipe(&folder, "go");
    let server = serve(&folder, &["exec:sh strategy.sh"], "--wait-clients 1");
    let mut client = server.client().await;
    assert_eq!(client.text().await, buy("A"));
    // It crashes.
    let first = pid(&folder, "background");
    fs::remove_file(folder.path("background")).unwrap();
    writeln!(go).unwrap();
    assert_eq!(client.text().await, buy("A"));
    assert!(!runs(first), "before the next one runs");
    // It is told to end.
    let second = pid(&folder, "background");
    assert!(runs(second));
    server.stop();
    assert!(!runs(second));
}

#[tokio::test]
async fn in_a_container_what_a_command_has_started_is_waited_for_too() {
    // Whoever loses his parent is given to the server, as to the first process of a container.
    const SUBREAPER: &str = "import ctypes, os, sys\n\
        assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0\n\
        os.execv(sys.argv[1], sys.argv[1:])\n";
    let folder = folder();
    folder.append("crashes.sh", "sleep 1000 &\nsleep 1000 &\nexit 1\n");
    let deaf = "(trap '' TERM; sleep 1000; sleep 1000) &\necho $! >deaf\nexit 1\n";
    folder.append("deaf.sh", deaf);
    let server = folder.command("serve --listen 127.0.0.1:0");
    let mut command = Command::new("python3");
    command.args(["-c", SUBREAPER]).arg(server.get_program());
    command.args(server.get_args());
    for (unset, _) in server.get_envs() {
        command.env_remove(unset);
    }
    for script in ["crashes.sh", "deaf.sh"] {
        let source = format!("exec:sh {script}?restart=never");
        command.args(["--source", &source]);
    }
    command.current_dir(folder.path(""));
    let server = TestServer::start_command(Arc::clone(&folder), command);
    for script in ["crashes.sh", "deaf.sh"] {
        let failed = format!(
            "source failed; to run the command again, restart the server source=exec:sh {script}"
        );
        server.logged(&failed).await;
    }
    assert!(!runs(pid(&folder, "deaf")));
    assert_eq!(zombies(server_pid(&server)), Vec::<u32>::new());
    server.stop();
}

#[tokio::test]
async fn who_leaves_the_process_group_holds_up_neither_the_next_run_nor_the_end() {
    let folder = folder();
    let script = "setsid sh -c 'echo $$ >>escaped; exec sleep 60' &\n\
                  while ! [ -s escaped ]; do sleep 0.01; done\necho buy A 1 1\nexit 1\n";
    folder.append("strategy.sh", script);
    let server = serve(&folder, &["exec:sh strategy.sh"], "--wait-clients 1");
    let mut client = server.client().await;
    assert_eq!(client.texts(2).await, [buy("A"), buy("A")]);
    let log = server.stop();
    assert!(log.contains("has left its process group"), "{log}");
    for escaped in folder.read("escaped").lines() {
        let escaped = Pid::from_raw(escaped.parse().unwrap()).unwrap();
        kill_process(escaped, Signal::KILL).ok();
    }
}

#[tokio::test]
async fn who_leaves_the_process_group_and_floods_standard_error_does_not_hold_up_the_next_run() {
    let folder = folder();
    // Empty lines are a lot of work for the server, so that the pipe is always full.
    let script = "setsid sh -c 'echo $$ >>escaped; exec yes \"\" >&2' &\n\
                  while ! [ -s escaped ]; do sleep 0.01; done\necho buy A 1 1\nexit 1\n";
    folder.append("strategy.sh", script);
    let server = serve(&folder, &["exec:sh strategy.sh"], "--wait-clients 1");
    let mut client = server.client().await;
    assert_eq!(client.texts(2).await, [buy("A"), buy("A")]);
    server.stop();
    for escaped in folder.read("escaped").lines() {
        let escaped = Pid::from_raw(escaped.parse().unwrap()).unwrap();
        kill_process(escaped, Signal::KILL).ok();
    }
}

#[tokio::test]
async fn a_command_whose_server_was_killed_ends_at_its_next_line() {
    let folder = folder();
    let script = "echo $$ >pid\nwhile sleep 0.05; do echo buy A 1 1; done\n";
    folder.append("strategy.sh", script);
    let server = serve(&folder, &["exec:sh strategy.sh"], "");
    let child = pid(&folder, "pid");
    assert!(runs(child));
    server.signal(Signal::KILL);
    wait_until("the command has ended", || !runs(child));
    server.wait();
}

#[tokio::test]
async fn a_command_has_the_servers_variables_and_folder_and_none_of_its_files() {
    let folder = folder();
    let script = "import os\nprint(os.environ['WORD'], sorted(map(int, os.listdir('/proc/self/fd'))), \
                  file=open('told', 'w'))\nprint('buy A 1 1', flush=True)\n";
    folder.append("strategy.py", script);
    // What the tests themselves leave open for everybody is none of the server's.
    let mut other = Command::new("/bin/sh");
    other
        .args(["-c", "python3 strategy.py"])
        .env("WORD", "word");
    other.stdin(Stdio::null()).stdout(Stdio::null());
    assert!(
        other
            .current_dir(folder.path(""))
            .status()
            .unwrap()
            .success()
    );
    let told = folder.read("told");
    assert!(told.starts_with("word [0, 1, 2, "), "{told}");
    fs::remove_file(folder.path("told")).unwrap();
    let mut command = folder.command("serve --listen 127.0.0.1:0 --wait-clients 1");
    command.args(["--source", "exec:python3 strategy.py"]);
    command.env("WORD", "word");
    let server = TestServer::start_command(Arc::clone(&folder), command);
    let mut client = server.client().await;
    assert_eq!(client.text().await, buy("A"));
    assert_eq!(folder.read("told"), told);
    server.stop();
}

#[tokio::test]
async fn a_command_reads_nothing_of_what_the_server_reads() {
    let folder = folder();
    let mut server = serve(
        &folder,
        &["exec:cat; echo buy A 1 1; sleep 1000", "stdin"],
        "--wait-clients 1",
    );
    let mut client = server.client().await;
    assert_eq!(client.text().await, buy("A"));
    server.feed("buy B 1 1\n");
    assert_eq!(client.text().await, buy("B"));
    server.stop();
}
