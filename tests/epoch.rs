//! No seq ever means two signals: a log whose end was lost goes on under another epoch, however it
//! was lost, and one whose end is there keeps its own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod scrape;
mod strace;

use std::fs;
use std::ops::Range;
use std::sync::Arc;

use common::{Folder, TestClient, TestServer};
use rusqlite::Connection;
use rustix::process::Signal;
use scrape::{Scrape, metrics_address};
use strace::Strace;

const SERVE: &str =
    "serve --plaintext --listen 127.0.0.1:0 --source stdin --metrics-listen 127.0.0.1:0 --drain 1s";
const NEW_EPOCH: &str = "under a new epoch";
const DATABASE: &str = "data/signals.db";
const WAL: &str = "data/signals.db-wal";
const HEAD: &str = "data/signals.head";

/// A server whose log is looked at from outside, and the client that sees what it sends.
struct Run {
    server: TestServer,
    client: TestClient,
}

impl Run {
    async fn start(folder: &Arc<Folder>) -> Self {
        let server = TestServer::start_command(Arc::clone(folder), folder.command(SERVE));
        let client = server.client().await;
        Self { server, client }
    }

    /// Records signals whose price is their number, and sees them come.
    async fn record(&mut self, numbers: Range<u64>) {
        let line = |number| format!("buy X {number} 1720000000\n");
        self.server
            .feed(&numbers.clone().map(line).collect::<String>());
        for number in numbers {
            let signal = self.client.json().await;
            assert_eq!(signal["content"]["price"].as_u64(), Some(number));
        }
    }

    fn header(&self, name: &str) -> String {
        let value = &self.client.response.headers()[name];
        value.to_str().unwrap().to_owned()
    }

    fn epoch(&self) -> String {
        self.header("signalcast-epoch")
    }

    /// The newest seq when the client came.
    fn last_seq(&self) -> u64 {
        self.header("signalcast-last-seq").parse().unwrap()
    }

    fn stop(self) -> String {
        drop(self.client);
        self.server.stop()
    }

    fn kill(self) {
        self.server.signal(Signal::KILL);
        self.server.wait();
    }
}

/// A log of 20 signals, the first 10 of which are in the database and the others in its write-ahead
/// log, as a server leaves it that was killed. Returns its epoch, too.
async fn killed() -> (Arc<Folder>, String) {
    let folder = Arc::new(Folder::new());
    let mut run = Run::start(&folder).await;
    run.record(0..10).await;
    run.stop();
    let mut run = Run::start(&folder).await;
    run.record(10..20).await;
    let epoch = run.epoch();
    run.kill();
    (folder, epoch)
}

/// Starts it, and says whether it is under the same epoch, how far it goes, and what it told. It
/// is under the same one after that whatever happens.
async fn next_start(folder: &Arc<Folder>, epoch: &str) -> (bool, u64, String) {
    let mut run = Run::start(folder).await;
    let (is_same, last_seq) = (run.epoch() == epoch, run.last_seq());
    let (epoch, told) = (run.epoch(), run.server.log());
    assert_eq!(told.contains(NEW_EPOCH), !is_same, "{told}");
    run.record(100..103).await;
    assert_eq!(
        folder.read(HEAD),
        format!("epoch={epoch} last_seq={:020}\n", last_seq + 3)
    );
    run.kill();
    let run = Run::start(folder).await;
    assert_eq!((run.epoch(), run.last_seq()), (epoch, last_seq + 3));
    let later = run.stop();
    assert!(!later.contains(NEW_EPOCH), "{later}");
    (is_same, last_seq, told)
}

#[tokio::test]
async fn a_write_ahead_log_that_is_deleted_or_emptied_after_a_kill_is_missed() {
    for emptied in [false, true] {
        let (folder, epoch) = killed().await;
        if emptied {
            fs::write(folder.path(WAL), "").unwrap();
        } else {
            fs::remove_file(folder.path(WAL)).unwrap();
        }
        let (is_same, last_seq, told) = next_start(&folder, &epoch).await;
        assert_eq!((is_same, last_seq), (false, 10), "{told}");
        assert!(
            told.contains("ERROR")
                && told.contains("the log ends before what clients may have seen"),
            "{told}"
        );
        assert!(told.contains("last_seq=10 seen=20"), "{told}");
    }
}

#[tokio::test]
async fn a_log_that_another_program_opens_after_a_kill_and_tidies_up_is_the_same() {
    let (folder, epoch) = killed().await;
    let other = Connection::open(folder.path(DATABASE)).unwrap();
    let count = other.query_row("SELECT count(*) FROM signals", [], |row| row.get(0));
    assert_eq!(count, Ok(20));
    drop(other);
    assert!(!folder.path(WAL).exists(), "it tidies up");
    let (is_same, last_seq, told) = next_start(&folder, &epoch).await;
    assert_eq!((is_same, last_seq), (true, 20), "{told}");
}

#[tokio::test]
async fn a_kill_between_the_commit_and_the_note_of_it_and_a_stop_change_nothing() {
    let (folder, epoch) = killed().await;
    // As if it had been killed there.
    fs::write(
        folder.path(HEAD),
        format!("epoch={epoch} last_seq={:020}\n", 19),
    )
    .unwrap();
    let (is_same, last_seq, told) = next_start(&folder, &epoch).await;
    assert_eq!((is_same, last_seq), (true, 20), "{told}");
    // That one was stopped in the end.
    let (is_same, last_seq, told) = next_start(&folder, &epoch).await;
    assert_eq!((is_same, last_seq), (true, 23), "{told}");
}

#[tokio::test]
async fn an_old_copy_that_is_put_back_is_another_log() {
    // Taken while the server ran, or after a stop; put back in its place, or into a new folder.
    for (running, moved) in [(true, false), (false, false), (true, true), (false, true)] {
        let mut folder = Arc::new(Folder::new());
        let elsewhere = Folder::new();
        let copy = elsewhere.path("copy.db");
        let mut run = Run::start(&folder).await;
        run.record(0..10).await;
        if running {
            let db = Connection::open(folder.path(DATABASE)).unwrap();
            db.execute("VACUUM INTO ?1", [copy.to_str().unwrap()])
                .unwrap();
        } else {
            run.stop();
            fs::copy(folder.path(DATABASE), &copy).unwrap();
            run = Run::start(&folder).await;
        }
        run.record(10..20).await;
        let epoch = run.epoch();
        run.stop();
        if moved {
            let other = Arc::new(Folder::new());
            fs::create_dir(other.path("data")).unwrap();
            fs::copy(&copy, other.path(DATABASE)).unwrap();
            folder = other;
        } else {
            fs::copy(&copy, folder.path(DATABASE)).unwrap();
        }
        let (is_same, last_seq, told) = next_start(&folder, &epoch).await;
        assert_eq!((is_same, last_seq), (false, 10), "{running} {moved} {told}");
        // And so is the first one again.
        fs::copy(&copy, folder.path(DATABASE)).unwrap();
        let (is_same, _, told) = next_start(&folder, &epoch).await;
        assert!(!is_same, "{told}");
        assert!(told.contains("signals.head is of another log"), "{told}");
    }
}

#[tokio::test]
async fn the_whole_folder_may_be_moved() {
    let (folder, epoch) = killed().await;
    let other = Arc::new(Folder::new());
    fs::create_dir(other.path("data")).unwrap();
    for name in [DATABASE, WAL, HEAD] {
        fs::copy(folder.path(name), other.path(name)).unwrap();
    }
    let (is_same, last_seq, told) = next_start(&other, &epoch).await;
    assert_eq!((is_same, last_seq), (true, 20), "{told}");
}

#[tokio::test]
async fn without_the_note_of_how_far_it_went_a_log_is_another_one_unless_it_never_had_one() {
    let missing = "signals.head is missing, so nobody knows how far the log went";
    let garbled = "signals.head is damaged, so nobody knows how far the log went";
    for (text, reason) in [(None, missing), (Some(""), garbled), (Some("x\n"), garbled)] {
        for stopped in [false, true] {
            for by_an_older_version in [false, true] {
                let (folder, epoch) = killed().await;
                if stopped {
                    Run::start(&folder).await.stop();
                }
                match text {
                    None => fs::remove_file(folder.path(HEAD)).unwrap(),
                    Some(text) => fs::write(folder.path(HEAD), text).unwrap(),
                }
                if by_an_older_version {
                    let db = Connection::open(folder.path(DATABASE)).unwrap();
                    db.execute("DELETE FROM log WHERE key = 'witness'", [])
                        .unwrap();
                }
                let (is_same, last_seq, told) = next_start(&folder, &epoch).await;
                assert_eq!((is_same, last_seq), (by_an_older_version, 20), "{told}");
                assert_eq!(told.contains(reason), !by_an_older_version, "{told}");
            }
        }
    }
}

#[tokio::test]
async fn what_cannot_be_the_note_of_how_far_it_went_is_a_refusal() {
    let (folder, _) = killed().await;
    fs::remove_file(folder.path(HEAD)).unwrap();
    fs::create_dir(folder.path(HEAD)).unwrap();
    let output = folder.run(SERVE);
    let said = common::text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("data/signals.db: signals.head beside it can't be read or written")
            && said.contains("; let this user read and write that file"),
        "{said}"
    );
}

#[tokio::test]
async fn a_note_that_cannot_be_written_holds_up_nobody_and_is_told_once() {
    let folder = Arc::new(Folder::new());
    let mut run = Run::start(&folder).await;
    run.record(0..10).await;
    let head = folder.path(HEAD);
    let what = [
        "-P",
        head.to_str().unwrap(),
        "-e",
        "inject=pwrite64:error=ENOSPC",
    ];
    let full = Strace::attach(&run.server, &folder, &what);
    for number in 10..30 {
        run.record(number..number + 1).await;
    }
    assert!(folder.read(HEAD).ends_with("00000010\n"), "it was written");
    full.detach();
    // Without another signal.
    run.server.logged("signals.head can be written again").await;
    assert!(folder.read(HEAD).ends_with("00000030\n"));
    let address = metrics_address(&run.server).await;
    let failures = "signalcast_journal_failures_total";
    let scrape = Scrape::until(address, failures, |_| true).await;
    assert_eq!(scrape.count(failures), 0);
    assert_eq!(scrape.count("signalcast_head_seq"), 30);
    let log = run.stop();
    let told = [
        "signals.head can't be written",
        "signals.head can be written again",
    ];
    assert_eq!(
        told.map(|phrase| log.matches(phrase).count()),
        [1; 2],
        "{log}"
    );
}

#[tokio::test]
async fn a_write_ahead_log_that_is_emptied_under_a_running_server_is_noticed_and_damages_nothing() {
    // Nothing comes after that, a signal does, or it is stopped at once.
    for (sends_on, waits) in [(false, true), (true, true), (true, false), (false, false)] {
        let folder = Arc::new(Folder::new());
        let mut run = Run::start(&folder).await;
        run.record(0..10).await;
        run.stop();
        let mut run = Run::start(&folder).await;
        run.record(10..20).await;
        let epoch = run.epoch();
        let wal = fs::File::options().write(true).open(folder.path(WAL));
        wal.unwrap().set_len(0).unwrap();
        if sends_on {
            run.server.feed("buy X 20 1720000000\n");
        }
        if waits {
            run.server
                .logged("its file was moved, deleted, emptied")
                .await;
        }
        run.server.signal(Signal::TERM);
        drop(run.client);
        let (_, log) = run.server.wait();
        let told = ["its file was moved", "signals.db-wal was emptied while"];
        assert!(told.iter().any(|told| log.contains(told)), "{log}");
        let (is_same, last_seq, told) = next_start(&folder, &epoch).await;
        assert_eq!((is_same, last_seq), (false, 10), "{told}");
        let db = Connection::open(folder.path(DATABASE)).unwrap();
        let check = db.query_row("PRAGMA integrity_check", [], |row| row.get(0));
        assert_eq!(check, Ok("ok".to_owned()));
    }
}

#[tokio::test]
async fn a_write_ahead_log_that_another_program_moves_into_the_database_is_no_loss() {
    let folder = Arc::new(Folder::new());
    let mut run = Run::start(&folder).await;
    let epoch = run.epoch();
    let other = Connection::open(folder.path(DATABASE)).unwrap();
    let mut last = 0;
    // Nothing comes after that, or a signal does. It is looked at again when the server ends.
    for sends_on in [false, true, false, true] {
        run.record(last..last + 10).await;
        last += 10;
        other
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .unwrap();
        assert_eq!(fs::metadata(folder.path(WAL)).unwrap().len(), 0);
        if sends_on {
            run.record(last..last + 1).await;
            last += 1;
        }
        let log = run.stop();
        assert!(!log.contains("ERROR"), "{log}");
        run = Run::start(&folder).await;
    }
    run.stop();
    let (is_same, last_seq, told) = next_start(&folder, &epoch).await;
    assert_eq!((is_same, last_seq), (true, last), "{told}");
}
