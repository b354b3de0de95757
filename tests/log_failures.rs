//! The log can't be written, or not be read: signals and clients wait, nothing is lost, nothing
//! reaches a client that is not in the log, and it is said once.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod scrape;
mod strace;

use std::fs;
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use common::disk::Disk;
use common::{Folder, PATIENCE, TestClient, TestServer};
use rusqlite::Connection;
use rustix::process::Signal;
use scrape::{Scrape, get, metrics_address};
use strace::Strace;
use tokio::time::{interval, timeout};

const SERVE: &str =
    "serve --plaintext --listen 127.0.0.1:0 --source stdin --metrics-listen 127.0.0.1:0";
const FAILED: &str = "signals wait until the log can be written";
const OVER: &str = "the log can be written again";

/// Lines of 400 bytes; the price is their number.
fn lines(numbers: Range<u64>) -> String {
    let note = "x".repeat(320);
    numbers
        .map(|n| {
            format!(
                r#"{{"side":"buy","symbol":"X","price":{n},"timestamp":1720000000,"note":"{note}"}}"#
            ) + "\n"
        })
        .collect()
}

/// These and no others are what the client gets next.
async fn expect(client: &mut TestClient, numbers: Range<u64>) {
    for number in numbers {
        let signal = client.json().await;
        assert_eq!(signal["content"]["price"].as_u64(), Some(number));
    }
}

/// Waits until `/readyz` answers this.
async fn ready(server: &TestServer, status: u16) {
    let address = metrics_address(server).await;
    let mut pause = interval(Duration::from_millis(20));
    let answered = async {
        loop {
            pause.tick().await;
            let answer = get(address, "/readyz").await;
            if answer.status == status {
                return answer.body;
            }
        }
    };
    let body = timeout(PATIENCE, answered).await;
    let body = body.unwrap_or_else(|_| panic!("not {status}:\n{}", server.log()));
    let log = if status == 200 { "ok" } else { "failing" };
    assert!(body.contains(&format!(r#""log":"{log}""#)), "{body}");
}

/// Waits until writing the log has failed this many times; returns what is counted then.
async fn failures(server: &TestServer, count: u64) -> Scrape {
    let address = metrics_address(server).await;
    let name = "signalcast_journal_failures_total";
    Scrape::until(address, name, |scrape| scrape.count(name) >= count).await
}

/// How often it said so.
fn said(log: &str, phrase: &str) -> usize {
    log.matches(phrase).count()
}

/// A strategy that writes as fast as it is read.
struct Strategy {
    written: Arc<AtomicU64>,
    thread: JoinHandle<ChildStdin>,
}

impl Strategy {
    fn start(mut feed: ChildStdin, numbers: Range<u64>) -> Self {
        let written = Arc::new(AtomicU64::new(numbers.start));
        let counter = Arc::clone(&written);
        let thread = thread::spawn(move || {
            for number in numbers {
                feed.write_all(lines(number..number + 1).as_bytes())
                    .unwrap();
                counter.store(number + 1, Ordering::Relaxed);
            }
            feed
        });
        Self { written, thread }
    }
}

/// What a refused start says: one line beside warnings, and exit code 2; nothing is bound.
fn refusal(mut command: Command) -> String {
    let output = command.output().unwrap();
    let said = common::text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(common::text(&output.stdout), "");
    let mut lines = said.lines().filter(|line| !line.contains(" WARN "));
    let line = lines.next().unwrap_or_default().to_owned();
    assert_eq!(lines.next(), None, "{said}");
    line
}

/// The prices in a log, in order.
fn stored(database: &Path) -> Vec<u64> {
    let db = Connection::open(database).unwrap();
    let mut query = db
        .prepare("SELECT price FROM signals ORDER BY seq")
        .unwrap();
    let prices = query.query_map([], |row| row.get::<_, String>(0)).unwrap();
    prices
        .map(|price| price.unwrap().parse().unwrap())
        .collect()
}

#[tokio::test]
async fn a_full_disk_makes_signals_wait_and_with_room_all_of_them_come_once_and_in_order() {
    const ALL: u64 = 40_000;
    let folder = Arc::new(Folder::new());
    let disk = Disk::on(&folder, "data", 96 << 20);
    fs::write(disk.path("other"), vec![0; 93 << 20]).unwrap();
    let mut server = TestServer::start_command(Arc::clone(&folder), disk.command(SERVE));
    let mut client = server.client().await;
    let strategy = Strategy::start(server.take_feed(), 0..ALL);
    ready(&server, 503).await;
    // More than a second of tries.
    let meanwhile = failures(&server, 6).await;
    let recorded = meanwhile.count("signalcast_head_seq");
    assert!((1..ALL).contains(&recorded), "{recorded}");
    expect(&mut client, 0..recorded).await;
    let meanwhile = failures(&server, 8).await;
    assert_eq!(meanwhile.count("signalcast_head_seq"), recorded);
    assert_eq!(meanwhile.count("signalcast_deliveries_total"), recorded);
    assert!(
        strategy.written.load(Ordering::Relaxed) < ALL,
        "nobody waits"
    );

    fs::remove_file(disk.path("other")).unwrap();
    ready(&server, 200).await;
    expect(&mut client, recorded..ALL).await;
    drop(strategy.thread.join().unwrap());
    let log = server.stop();
    assert_eq!((said(&log, FAILED), said(&log, OVER)), (1, 1), "{log}");
    fs::copy(disk.path("signals.db"), folder.path("copy.db")).unwrap();
    let prices = stored(&folder.path("copy.db"));
    assert_eq!(prices, (0..ALL).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_cannot_be_read_while_the_disk_is_full_is_kept_when_there_is_room() {
    let folder = Arc::new(Folder::new());
    let disk = Disk::on(&folder, "data", 8 << 20);
    let mut server = TestServer::start_command(folder, disk.command(SERVE));
    let mut client = server.client().await;
    server.feed(&lines(0..1));
    expect(&mut client, 0..1).await;
    disk.fill("other");
    server.feed("hold X 1\n");
    server
        .logged("dead letters can't be written and wait in memory")
        .await;
    server.feed(&(lines(1..2000) + "hold X 2\n"));
    ready(&server, 503).await;
    assert_eq!(
        fs::metadata(disk.path("dead-letters.jsonl")).unwrap().len(),
        0
    );

    fs::remove_file(disk.path("other")).unwrap();
    ready(&server, 200).await;
    expect(&mut client, 1..2000).await;
    server.logged("dead letters can be written again").await;
    let log = server.stop();
    assert_eq!(said(&log, "wait in memory"), 1, "{log}");
    let letters = fs::read_to_string(disk.path("dead-letters.jsonl")).unwrap();
    let letters = letters.lines().map(|line| {
        let letter: serde_json::Value = serde_json::from_str(line).unwrap();
        letter["line"].as_str().unwrap().to_owned()
    });
    assert_eq!(letters.collect::<Vec<_>>(), ["hold X 1", "hold X 2"]);
}

#[tokio::test]
async fn old_signals_that_a_full_disk_keeps_are_told_of_once_and_go_when_there_is_room() {
    let (cannot, again) = (
        "old signals can't be let go of",
        "old signals can be let go of again",
    );
    let folder = Arc::new(Folder::new());
    let disk = Disk::on(&folder, "data", 16 << 20);
    let serve = format!("{SERVE} --journal-retain-age 5s");
    let mut server = TestServer::start_command(folder, disk.command(&serve));
    let mut client = server.client().await;
    server.feed(&lines(0..3000));
    expect(&mut client, 0..3000).await;
    disk.fill("other");
    server.logged(cannot).await;
    // That does not keep new ones out.
    ready(&server, 200).await;
    fs::remove_file(disk.path("other")).unwrap();
    server.logged(again).await;
    server.feed(&lines(3000..3010));
    expect(&mut client, 3000..3010).await;
    let log = server.stop();
    assert_eq!(
        [cannot, again, FAILED].map(|phrase| said(&log, phrase)),
        [1, 1, 0],
        "{log}"
    );
    assert!(log.contains("the disk is full; make room on it"), "{log}");
}

#[tokio::test]
async fn a_log_that_can_only_be_read_is_a_refusal_at_the_start() {
    let folder = Arc::new(Folder::new());
    let disk = Disk::on(&folder, "data", 8 << 20);
    let mut server = TestServer::start_command(Arc::clone(&folder), disk.command(SERVE));
    let mut client = server.client().await;
    server.feed(&lines(0..1));
    expect(&mut client, 0..1).await;
    server.stop();
    // The file alone, in a folder that can be written.
    disk.make_file_read_only("signals.db");
    let said = refusal(disk.command(SERVE));
    assert!(
        said.contains("signals.db") && said.contains("it can only be read; let"),
        "{said}"
    );
    disk.make_read_only();
    let said = refusal(disk.command(SERVE));
    assert!(said.contains("Read-only file system"), "{said}");
    assert!(
        said.contains("name a folder this user may write to"),
        "{said}"
    );
}

#[tokio::test]
async fn a_log_that_becomes_read_only_makes_signals_wait_until_it_can_be_written_again() {
    let mut server = TestServer::start("--plaintext --metrics-listen 127.0.0.1:0");
    let mut client = server.client().await;
    server.feed(&lines(0..10));
    expect(&mut client, 0..10).await;
    let (log, wal) = (
        folder_path(&server, "signals.db"),
        folder_path(&server, "signals.db-wal"),
    );
    let refused = "inject=pwrite64,write,ftruncate,fallocate:error=EROFS";
    let what = ["-P", &log, "-P", &wal, "-e", refused];
    let read_only = Strace::attach(&server, &server.folder, &what);
    server.feed(&lines(10..20));
    ready(&server, 503).await;
    failures(&server, 4).await;
    read_only.detach();
    ready(&server, 200).await;
    expect(&mut client, 10..20).await;
    let log = server.stop();
    assert_eq!((said(&log, FAILED), said(&log, OVER)), (1, 1), "{log}");
}

fn folder_path(server: &TestServer, name: &str) -> String {
    let path = server.folder.path("data").join(name);
    path.to_str().unwrap().to_owned()
}

/// A folder whose log holds these signals, and the epoch of it.
async fn recorded(numbers: Range<u64>) -> (Arc<Folder>, String) {
    let folder = Arc::new(Folder::new());
    let mut server = TestServer::start_command(Arc::clone(&folder), folder.command(SERVE));
    let mut client = server.client().await;
    server.feed(&lines(numbers.clone()));
    expect(&mut client, numbers).await;
    server.stop();
    (folder, epoch(&client))
}

fn epoch(client: &TestClient) -> String {
    let epoch = &client.response.headers()["signalcast-epoch"];
    epoch.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn garbage_over_the_beginning_of_the_log_is_a_refusal_that_leaves_it_alone() {
    let (folder, old) = recorded(0..100).await;
    let mut bytes = fs::read(folder.path("data/signals.db")).unwrap();
    bytes[..4096].fill(0xa5);
    fs::write(folder.path("data/signals.db"), &bytes).unwrap();
    let said = refusal(folder.command(SERVE));
    assert!(said.contains("data/signals.db"), "{said}");
    assert!(
        said.contains("put a backup in its place, or move it away to begin a new log"),
        "{said}"
    );
    assert_eq!(fs::read(folder.path("data/signals.db")).unwrap(), bytes);

    fs::rename(folder.path("data/signals.db"), folder.path("broken.db")).unwrap();
    let mut server = TestServer::start_command(Arc::clone(&folder), folder.command(SERVE));
    let mut client = server.client().await;
    assert_ne!(epoch(&client), old);
    server.feed(&lines(0..1));
    expect(&mut client, 0..1).await;
    server.stop();
}

/// Overwrites so many bytes of a file from this place on; returns what stood there.
fn overwrite(file: &Path, from: u64, bytes: &[u8]) -> Vec<u8> {
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(file)
        .unwrap();
    let mut before = vec![0; bytes.len()];
    let there = file.read_at(&mut before, from).unwrap();
    before.truncate(there);
    file.write_all_at(bytes, from).unwrap();
    before
}

static GARBAGE: [u8; 8 * 4096] = [0xa5; 8 * 4096];

#[tokio::test]
async fn garbage_under_a_running_server_reaches_no_client_and_leaves_no_seq_with_two_meanings() {
    for (part, from) in [
        ("signals.db", 0),
        ("signals.db-wal", 0),
        ("signals.db-wal", 100_000),
    ] {
        let (folder, old) = recorded(0..1000).await;
        let mut server = TestServer::start_command(Arc::clone(&folder), folder.command(SERVE));
        let mut client = server.client().await;
        server.feed(&lines(1000..2000));
        expect(&mut client, 1000..2000).await;
        overwrite(&folder.path("data").join(part), from, &GARBAGE);
        server.feed(&lines(2000..3000));
        let mut seen = 2000;
        {
            let failing = failures(&server, 1);
            tokio::pin!(failing);
            while seen < 3000 {
                tokio::select! {
                    signal = client.json() => {
                        assert_eq!(signal["content"]["price"].as_u64(), Some(seen), "{part}");
                        seen += 1;
                    }
                    _ = &mut failing => break,
                }
            }
        }
        server.signal(Signal::KILL);
        server.wait();
        let mut next = folder.command(SERVE);
        next.arg("--exit-on-eof").stdin(Stdio::null());
        let ended = next.output().unwrap();
        let told = common::text(&ended.stderr);
        if ended.status.code() == Some(2) {
            assert!(told.contains("data/signals.db: it is damaged"), "{told}");
            continue;
        }
        assert!(ended.status.success(), "{told}");
        let server = TestServer::start_command(Arc::clone(&folder), folder.command(SERVE));
        let client = server.client().await;
        let last = client.response.headers()["signalcast-last-seq"].clone();
        let last: u64 = last.to_str().unwrap().parse().unwrap();
        assert!(
            last >= seen || epoch(&client) != old,
            "{part} at {from}: {seen} were seen, {last} are there, and nothing says so: {told}"
        );
        let stored = stored(&folder.path("data/signals.db"));
        assert_eq!(stored, (0..last).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn garbage_in_the_middle_of_the_log_stops_who_reads_there_and_nobody_else() {
    let (folder, _) = recorded(0..4000).await;
    let mut command = folder.command(SERVE);
    command.args(["--hub-tail-bytes", "256KiB"]);
    let mut server = TestServer::start_command(Arc::clone(&folder), command);
    let mut live = server.client().await;
    let database = folder.path("data/signals.db");
    let middle = fs::metadata(&database).unwrap().len() / 2 / 4096 * 4096;
    let before = overwrite(&database, middle, &GARBAGE);
    let token = server.token();
    let mut late = server.client_at("/?after_seq=0", &token).await.unwrap();
    let mut got = 0;
    let cannot = "the log cannot be read; clients that are far behind wait for it";
    {
        let said_so = server.logged(cannot);
        tokio::pin!(said_so);
        loop {
            tokio::select! {
                biased;
                signal = late.json() => {
                    assert_eq!(signal["content"]["price"].as_u64(), Some(got));
                    got += 1;
                }
                () = &mut said_so => break,
            }
        }
    }
    server.feed(&lines(4000..4010));
    expect(&mut live, 4000..4010).await;
    overwrite(&database, middle, &before);
    expect(&mut late, got..4010).await;
    let log = server.log();
    assert_eq!(said(&log, cannot), 1, "{log}");
    server.stop();
}

#[tokio::test]
async fn a_log_that_another_program_has_locked_is_waited_for_and_goes_on_when_it_is_released() {
    let (folder, _) = recorded(0..10).await;
    let other = Connection::open(folder.path("data/signals.db")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let told = refusal(folder.command(SERVE));
    assert!(
        told.contains("data/signals.db: another program has locked it; end what"),
        "{told}"
    );
    other.execute_batch("ROLLBACK").unwrap();

    let mut server = TestServer::start_command(Arc::clone(&folder), folder.command(SERVE));
    let mut client = server.client().await;
    server.feed(&lines(10..20));
    expect(&mut client, 10..20).await;
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    server.feed(&lines(20..30));
    ready(&server, 503).await;
    let meanwhile = failures(&server, 4).await;
    assert_eq!(meanwhile.count("signalcast_head_seq"), 20);
    other.execute_batch("COMMIT").unwrap();
    ready(&server, 200).await;
    expect(&mut client, 20..30).await;
    let log = server.stop();
    assert_eq!((said(&log, FAILED), said(&log, OVER)), (1, 1), "{log}");
    assert!(log.contains("another program has locked it"), "{log}");
    assert_eq!(
        stored(&folder.path("data/signals.db")),
        (0..30).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn each_reason_why_the_log_cannot_be_written_is_told_once() {
    let (folder, _) = recorded(0..10).await;
    let mut server = TestServer::start_command(Arc::clone(&folder), folder.command(SERVE));
    let mut client = server.client().await;
    let other = Connection::open(folder.path("data/signals.db")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    server.feed(&lines(10..20));
    server.logged("another program has locked it").await;
    let (here, away) = (folder.path("data/signals.db"), folder.path("away"));
    for _ in 0..2 {
        fs::rename(&here, &away).unwrap();
        server.logged("its file was moved").await;
        let so_far = failures(&server, 1).await;
        fs::rename(&away, &here).unwrap();
        let so_far = so_far.count("signalcast_journal_failures_total");
        failures(&server, so_far + 3).await;
    }
    other.execute_batch("COMMIT").unwrap();
    expect(&mut client, 10..20).await;
    let log = server.stop();
    let reasons = [
        FAILED,
        "another program has locked it",
        "the log cannot be written for another reason now",
        "its file was moved",
        OVER,
    ];
    assert_eq!(reasons.map(|reason| said(&log, reason)), [1; 5], "{log}");
}

#[tokio::test]
async fn told_to_stop_while_the_log_cannot_be_written_it_ends_in_time_and_tells_what_is_lost() {
    let cannot = "the time to drain is over, and the log cannot be written";
    for by_file in [false, true] {
        let (folder, _) = recorded(0..10).await;
        let source = if by_file { "file:feed.jsonl" } else { "stdin" };
        let serve = SERVE.replace("stdin", source) + " --drain 1s";
        let mut server = TestServer::start_command(Arc::clone(&folder), folder.command(&serve));
        let other = Connection::open(folder.path("data/signals.db")).unwrap();
        other.execute_batch("BEGIN EXCLUSIVE").unwrap();
        if by_file {
            folder.append("feed.jsonl", &lines(10..20));
        } else {
            server.feed(&lines(10..20));
        }
        server.logged(FAILED).await;
        let mut client = server.client().await;
        server.signal(Signal::TERM);
        let begun = Instant::now();
        assert_eq!(client.expect_close().await.0, 1001);
        drop(client);
        let (status, log) = server.wait();
        assert!(begun.elapsed() < Duration::from_secs(10), "{log}");
        assert_eq!(said(&log, cannot), 1, "{log}");
        let lost = "signalcast: at least 10 signals that were read from standard input or commands \
                    could not be recorded and are lost; bring them again\n";
        // What stands in a file is read again.
        let (code, told) = if by_file { (0, 0) } else { (1, 1) };
        assert_eq!(
            (status.code(), said(&log, lost)),
            (Some(code), told),
            "{log}"
        );
        other.execute_batch("COMMIT").unwrap();
        let database = folder.path("data/signals.db");
        assert_eq!(stored(&database), (0..10).collect::<Vec<_>>());
        if by_file {
            let server = TestServer::start_command(Arc::clone(&folder), folder.command(&serve));
            let token = server.token();
            let mut client = server.client_at("/?after_seq=10", &token).await.unwrap();
            expect(&mut client, 10..20).await;
        }
    }
}

#[tokio::test]
async fn whoever_asks_for_the_past_while_it_cannot_be_read_is_told_to_come_back() {
    let (folder, _) = recorded(0..4000).await;
    let mut server = TestServer::start_command(Arc::clone(&folder), folder.command(SERVE));
    let database = folder.path("data/signals.db");
    let middle = fs::metadata(&database).unwrap().len() / 2 / 4096 * 4096;
    let before = overwrite(&database, middle, &GARBAGE);
    let bearer = format!("Authorization: Bearer {}\r\n", server.token());
    let since = "?since=2026-01-01T00:00:00Z";
    for _ in 0..5 {
        for answer in [
            server
                .get("/signals?after_seq=2000&limit=10", &bearer)
                .await,
            server.ask(&format!("/{since}"), &bearer).await,
        ] {
            assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
            assert_eq!(answer.header("retry-after"), Some("5"));
            assert!(
                answer
                    .body
                    .contains("the log can't be read just now; come back"),
                "{answer:?}"
            );
        }
    }
    // Whoever does not ask for it misses nothing.
    let mut live = server.client().await;
    server.feed(&lines(4000..4010));
    expect(&mut live, 4000..4010).await;
    overwrite(&database, middle, &before);
    let token = server.token();
    server
        .client_at(&format!("/{since}"), &token)
        .await
        .unwrap();
    let log = server.stop();
    assert_eq!(said(&log, "the log cannot be read"), 1, "{log}");
}

#[tokio::test]
async fn a_log_that_is_moved_away_is_noticed_without_a_signal_and_goes_on_when_it_is_back() {
    // The file, the folder around it, and another file in its place.
    for (name, replaced) in [
        ("data/signals.db", false),
        ("data", false),
        ("data/signals.db", true),
    ] {
        let folder = Arc::new(Folder::new());
        let mut server = TestServer::start_command(Arc::clone(&folder), folder.command(SERVE));
        let mut client = server.client().await;
        server.feed(&lines(0..10));
        expect(&mut client, 0..10).await;
        if replaced {
            fs::copy(folder.path(name), folder.path("copy")).unwrap();
        }
        fs::rename(folder.path(name), folder.path("away")).unwrap();
        if replaced {
            fs::rename(folder.path("copy"), folder.path(name)).unwrap();
        }
        ready(&server, 503).await;
        server.feed(&lines(10..20));
        let meanwhile = failures(&server, 4).await;
        assert_eq!(meanwhile.count("signalcast_head_seq"), 10);
        fs::rename(folder.path("away"), folder.path(name)).unwrap();
        ready(&server, 200).await;
        expect(&mut client, 10..20).await;
        let log = server.stop();
        assert_eq!((said(&log, FAILED), said(&log, OVER)), (1, 1), "{log}");
        assert!(
            log.contains("moved, deleted, emptied or replaced while the server runs; put it back"),
            "{log}"
        );
        assert_eq!(
            stored(&folder.path("data/signals.db")),
            (0..20).collect::<Vec<_>>()
        );
    }
}

#[tokio::test]
async fn a_log_that_was_deleted_begins_anew_with_the_next_start_under_another_epoch() {
    let (folder, old) = recorded(0..10).await;
    let mut server = TestServer::start_command(Arc::clone(&folder), folder.command(SERVE));
    for name in ["signals.db", "signals.db-wal", "signals.db-shm"] {
        fs::remove_file(folder_path(&server, name)).unwrap();
    }
    ready(&server, 503).await;
    server.feed(&lines(10..11));
    failures(&server, 2).await;
    server.signal(Signal::TERM);
    let (_, log) = server.wait();
    assert_eq!(said(&log, FAILED), 1, "{log}");

    let mut server = TestServer::start_command(Arc::clone(&folder), folder.command(SERVE));
    let mut client = server.client().await;
    assert_ne!(epoch(&client), old);
    server.feed(&lines(0..1));
    expect(&mut client, 0..1).await;
    server.stop();
}

#[tokio::test]
async fn a_log_of_a_newer_version_or_of_another_program_is_a_refusal() {
    let (folder, _) = recorded(0..1).await;
    let log = folder.path("data/signals.db");
    let set = |pragma: &str| {
        Connection::open(&log)
            .unwrap()
            .execute_batch(pragma)
            .unwrap()
    };
    set("PRAGMA user_version = 99");
    let said = refusal(folder.command(SERVE));
    assert!(
        said.contains("data/signals.db: a newer signalcast wrote it (schema 99"),
        "{said}"
    );
    set("PRAGMA application_id = 1");
    let said = refusal(folder.command(SERVE));
    assert!(
        said.contains("it is a database of another program; move it away"),
        "{said}"
    );
}

#[tokio::test]
async fn a_client_whose_history_cannot_be_read_just_now_waits_and_is_not_skipped_forward() {
    // Nothing of it is in the memory of the server.
    let (folder, _) = recorded(0..5000).await;
    let mut command = folder.command(SERVE);
    command.args(["--hub-tail-bytes", "256KiB"]);
    let mut server = TestServer::start_command(folder, command);
    let mut live = server.client().await;
    let (log, wal) = (
        folder_path(&server, "signals.db"),
        folder_path(&server, "signals.db-wal"),
    );
    let what = ["-P", &log, "-P", &wal, "-e", "inject=pread64:error=EIO"];
    let unreadable = Strace::attach(&server, &server.folder, &what);
    let token = server.token();
    let mut late = server.client_at("/?after_seq=0", &token).await.unwrap();
    server.logged("the log cannot be read").await;
    unreadable.detach();
    expect(&mut late, 0..5000).await;
    server.feed(&lines(5000..5010));
    expect(&mut late, 5000..5010).await;
    expect(&mut live, 5000..5010).await;
    let log = server.stop();
    assert_eq!(said(&log, "the log cannot be read"), 1, "{log}");
}
