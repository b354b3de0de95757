//! The log in `data/signals.db`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use common::Folder;
use proptest::prelude::*;
use rusqlite::Connection;
use signalcast::journal::{
    Batch, Entry, Journal, JournalError, Keeping, Memory, ReadError, Receipt, Recorded, Retention,
    Sqlite, Tended,
};
use signalcast::signal::{Id, ReceivedAt, Seq, Signal, TimeUnit, Timestamp};
use signalcast::source::{Bookmark, Mark};

fn signal(line: &str) -> Signal {
    let now = Timestamp::new(1_720_000_000).unwrap();
    Signal::parse_line(line.as_bytes(), TimeUnit::Seconds, now)
        .unwrap()
        .unwrap()
}

fn entry(line: &str, source: &str, micros: i64) -> Entry {
    Entry {
        signal: signal(line),
        source: source.into(),
        received_at: ReceivedAt::from_micros(micros),
    }
}

fn batch(entries: impl IntoIterator<Item = Entry>) -> Batch {
    Batch {
        entries: entries.into_iter().collect(),
        bookmarks: HashMap::new(),
    }
}

fn open(folder: &Path) -> Sqlite {
    Sqlite::open(folder, Keeping::default()).unwrap()
}

fn read(journal: &Sqlite, from: u64, most: usize) -> Result<Vec<Recorded>, ReadError> {
    let mut archive = journal.archive().unwrap().unwrap();
    archive.readers[0].read(Seq::new(from).unwrap(), most)
}

fn shown(recorded: &[Recorded]) -> Vec<String> {
    recorded
        .iter()
        .map(|recorded| {
            let mut out = Vec::new();
            recorded.signal().write_v1(&mut out);
            format!(
                "{} {} {} {} {} {:?} {:?}",
                recorded.seq(),
                recorded.id(),
                recorded.signal().id().is_some(),
                recorded.source(),
                recorded.received_at(),
                recorded.signal().stale_after(),
                String::from_utf8(out).unwrap()
            )
        })
        .collect()
}

const LINES: [&str; 5] = [
    "buy BTCUSDT 75000.00",
    r#"{"id":"a","side":"sell","symbol":"BTC/USDT","price":-0.10,"valid_for":60,"quantity":1.50,"strategy":{"n":[1,2.0,"é"]}}"#,
    r#"{"type":"buy","content":{"symbol":"\"\\é","price":"1e-8","timestamp":0},"is_test":true}"#,
    r#"{"id":"b","side":"buy","symbol":"^GSPC","price":0.00,"timestamp":99999999999,"valid_for":5}"#,
    "sell EURUSD=X 1234567890123456789012345678 test",
];

#[test]
fn what_is_read_is_what_was_recorded_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path());
    assert_eq!((journal.head(), journal.newest_received_at()), (None, None));
    let epoch = journal.epoch();
    let entries = (0..).zip(LINES).map(|(at, line)| entry(line, "stdin", at));
    let mut entries = batch(entries);
    let recorded = journal.append(&mut entries).unwrap().recorded;
    assert!(entries.is_empty());
    assert_eq!(recorded.len(), LINES.len());
    assert_eq!(shown(&read(&journal, 1, 100).unwrap()), shown(&recorded));
    drop(journal);

    let journal = open(folder.path());
    assert_eq!(journal.epoch(), epoch);
    assert_eq!(journal.head(), Seq::new(5));
    assert_eq!(
        journal.newest_received_at(),
        Some(ReceivedAt::from_micros(4))
    );
    assert_eq!(shown(&read(&journal, 1, 100).unwrap()), shown(&recorded));
    assert_eq!(
        shown(&read(&journal, 2, 3).unwrap()),
        shown(&recorded[1..4])
    );
    assert_eq!(shown(&read(&journal, 6, 3).unwrap()), shown(&[]));
}

#[test]
fn a_given_id_is_taken_once_for_as_long_as_the_log_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path());
    let append = |journal: &mut Sqlite, lines: &[&str]| {
        let appended = journal
            .append(&mut Batch::of(lines.iter().map(|line| signal(line))))
            .unwrap();
        let seqs: Vec<u64> = appended
            .recorded
            .iter()
            .map(|one| one.seq().get())
            .collect();
        (seqs, appended.duplicates.len())
    };
    let (a, b) = (
        r#"{"id":"a","side":"buy","symbol":"X","price":1}"#,
        r#"{"id":"b","side":"buy","symbol":"X","price":1}"#,
    );
    assert_eq!(append(&mut journal, &[a, "buy X 1", a]), (vec![1, 2], 1));
    assert_eq!(append(&mut journal, &[a, b, "buy X 1", b]), (vec![3, 4], 2));
    assert_eq!(append(&mut journal, &[a]), (vec![], 1));
    drop(journal);
    let mut journal = open(folder.path());
    assert_eq!(append(&mut journal, &[b, a, "buy X 1"]), (vec![5], 2));
    // An id that was made here is known, too.
    let made = read(&journal, 2, 1).unwrap()[0].id().to_string();
    let again = format!(r#"{{"id":"{made}","side":"buy","symbol":"X","price":1}}"#);
    assert_eq!(append(&mut journal, &[&again]), (vec![], 1));
}

/// Appends these lines; what is told of each: its seq, and whether the log held its id.
fn told(journal: &mut dyn Journal, lines: &[&str]) -> Vec<(u64, bool)> {
    let mut batch = Batch::of(lines.iter().map(|line| signal(line)));
    let given: Vec<_> = lines
        .iter()
        .map(|line| signal(line).id().copied())
        .collect();
    let appended = journal.append(&mut batch).unwrap();
    let receipts = appended.receipts(0..lines.len());
    let known = |given: &Option<Id>, receipt: &Receipt| given.is_none_or(|id| id == receipt.id);
    assert!(
        given
            .iter()
            .zip(&receipts)
            .all(|(given, receipt)| known(given, receipt))
    );
    // Any part of it is told as it is told of all.
    for start in 0..=lines.len() {
        for end in start..=lines.len() {
            assert_eq!(appended.receipts(start..end), receipts[start..end]);
        }
    }
    let told = receipts.iter().map(|one| (one.seq.get(), one.is_duplicate));
    told.collect()
}

#[test]
fn of_each_signal_it_is_told_where_it_is_and_of_a_duplicate_where_the_first_one_is() {
    let (a, b) = (
        r#"{"id":"a","side":"buy","symbol":"X","price":1}"#,
        r#"{"id":"b","side":"buy","symbol":"X","price":1}"#,
    );
    let plain = "buy X 1";
    let folder = tempfile::tempdir().unwrap();
    let (mut kept, mut memory) = (open(folder.path()), Memory::new());
    for journal in [&mut kept as &mut dyn Journal, &mut memory] {
        let first = told(journal, &[a, plain, a, b, a]);
        assert_eq!(
            first,
            [(1, false), (2, false), (1, true), (3, false), (1, true)]
        );
        let again = told(journal, &[b, plain, a]);
        assert_eq!(again, [(3, true), (4, false), (1, true)]);
        assert_eq!(told(journal, &[b, a]), [(3, true), (1, true)]);
        assert_eq!(told(journal, &[]), []);
    }
    let made = read(&kept, 2, 1).unwrap()[0].id().to_string();
    let made = format!(r#"{{"id":"{made}","side":"buy","symbol":"X","price":1}}"#);
    drop(kept);
    let mut kept = open(folder.path());
    let again = told(&mut kept, &[plain, a, &made, b, &made, plain]);
    let expected = [
        (5, false),
        (1, true),
        (2, true),
        (3, true),
        (2, true),
        (6, false),
    ];
    assert_eq!(again, expected);
}

#[test]
fn bookmarks_are_kept_with_the_signals_before_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path());
    let bookmark = |part: &str, at: Option<&str>| Bookmark {
        source: "file:a".into(),
        part: part.into(),
        mark: at.map_or(Mark::Gone, |at| Mark::At(at.into())),
    };
    assert_eq!(journal.bookmarks(&"file:a".into()).unwrap(), None);
    let mut first = Batch::of([signal("buy X 1")]);
    first.mark(bookmark("1", Some("10")));
    first.mark(bookmark("2", Some("20")));
    first.mark(bookmark("1", Some("11")));
    journal.append(&mut first).unwrap();
    assert!(first.is_empty());
    drop(journal);

    let mut journal = open(folder.path());
    assert_eq!(journal.head(), Seq::new(1));
    let kept = |journal: &Sqlite| journal.bookmarks(&"file:a".into()).unwrap();
    let both = vec![bookmark("1", Some("11")), bookmark("2", Some("20"))];
    assert_eq!(kept(&journal), Some(both));
    assert_eq!(journal.bookmarks(&"file:b".into()).unwrap(), None);
    let mut gone = Batch::default();
    gone.mark(bookmark("1", None));
    journal.append(&mut gone).unwrap();
    assert_eq!(kept(&journal), Some(vec![bookmark("2", Some("20"))]));
    gone.mark(bookmark("2", None));
    journal.append(&mut gone).unwrap();
    drop(journal);
    // It has been heard of, all the same.
    assert_eq!(kept(&open(folder.path())), Some(vec![]));
}

#[test]
fn what_is_kept_is_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path());
    journal.append(&mut Batch::of([signal("buy X 1")])).unwrap();
    for name in [
        "signals.db",
        "signals.db-wal",
        "signals.db-shm",
        "signals.head",
    ] {
        let mode = fs::metadata(folder.path().join(name)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    drop(journal);
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

/// Somebody else's connection.
fn other(folder: &Path) -> Connection {
    Connection::open(folder.join("signals.db")).unwrap()
}

#[test]
fn any_sql_tool_can_read_it_meanwhile_and_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path());
    journal
        .append(&mut batch([
            entry(LINES[1], "stdin", 1_720_000_000_123_456),
            entry(LINES[4], "file:a", 1_720_000_000_123_457),
        ]))
        .unwrap();
    let trader = other(folder.path());
    trader.execute_batch("BEGIN").unwrap();
    let count = || -> i64 {
        let sql = "SELECT count(*) FROM signals";
        trader.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count(), 2);
    journal.append(&mut Batch::of([signal("buy X 1")])).unwrap();
    assert_eq!((count(), journal.head()), (2, Seq::new(3)));
    trader.execute_batch("COMMIT").unwrap();
    assert_eq!(count(), 3);

    let sql = "SELECT concat_ws('|', seq, id, id_given, type, symbol, price, timestamp, is_test,
        coalesce(stale_after, 'never'), source, received_at, content)
        FROM signals WHERE seq < 3 ORDER BY seq";
    let mut select = trader.prepare(sql).unwrap();
    let rows: Vec<String> = select
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let made = read(&journal, 2, 1).unwrap()[0].id().to_string();
    assert!(made.starts_with("019077fd"), "the time of receipt: {made}");
    insta::assert_snapshot!(rows.join("\n").replace(&made, "MADE"), @r#"
    1|a|1|sell|BTC/USDT|-0.10|1720000000|0|1720000060|stdin|1720000000123456|{"symbol":"BTC/USDT","price":-0.10,"timestamp":1720000000,"quantity":1.50,"strategy":{"n":[1,2.0,"é"]}}
    2|MADE|0|sell|EURUSD=X|1234567890123456789012345678|1720000000|1|never|file:a|1720000000123457|{"symbol":"EURUSD=X","price":1234567890123456789012345678,"timestamp":1720000000}
    "#);
}

#[test]
fn a_log_that_is_locked_takes_the_batch_when_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path());
    journal.append(&mut Batch::of([signal("buy X 1")])).unwrap();
    let locker = other(folder.path());
    locker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut waiting = Batch::of(LINES.map(signal));
    waiting.mark(Bookmark {
        source: "file:a".into(),
        part: "1".into(),
        mark: Mark::At("10".into()),
    });
    for _ in 0..2 {
        let why = journal.append(&mut waiting).unwrap_err();
        let said = "another program has locked it; end what that program does in it";
        assert_eq!(why.to_string(), said);
        assert_eq!((waiting.entries.len(), waiting.bookmarks.len()), (5, 1));
    }
    locker.execute_batch("ROLLBACK").unwrap();
    let appended = journal.append(&mut waiting).unwrap();
    assert_eq!((appended.recorded.len(), appended.duplicates.len()), (5, 0));
    assert_eq!(journal.head(), Seq::new(6));
    assert!(journal.bookmarks(&"file:a".into()).unwrap().is_some());
}

/// Appends until that fails.
fn append_until_refused(journal: &mut Sqlite) -> JournalError {
    let deadline = Instant::now() + Duration::from_secs(1);
    loop {
        let head = journal.head();
        let mut batch = Batch::of([signal("buy X 1")]);
        match journal.append(&mut batch) {
            Ok(_) => assert!(Instant::now() < deadline, "nobody notices"),
            Err(why) => {
                assert_eq!((batch.entries.len(), journal.head()), (1, head));
                return why;
            }
        }
    }
}

#[test]
fn a_log_that_is_moved_away_is_missed_within_a_second_and_goes_on_when_it_is_back() {
    for name in ["signals.db", "signals.db-wal"] {
        let folder = tempfile::tempdir().unwrap();
        let (place, away) = (folder.path().join(name), folder.path().join("away"));
        let mut journal = open(folder.path());
        journal.append(&mut Batch::of([signal("buy X 1")])).unwrap();
        fs::rename(&place, &away).unwrap();
        insta::allow_duplicates! {
            insta::assert_snapshot!(append_until_refused(&mut journal), @"its file was moved, deleted, emptied or replaced while the server runs; put it back, or restart the server to begin a new log");
        }
        // Not that file, although it says the same.
        fs::copy(&away, &place).unwrap();
        append_until_refused(&mut journal);
        assert!(journal.tend().is_err());
        fs::remove_file(&place).unwrap();
        fs::rename(&away, &place).unwrap();
        let head = journal.head();
        let appended = journal.append(&mut Batch::of([signal("buy X 2")])).unwrap();
        assert_eq!(Some(appended.recorded[0].seq()), head.map(Seq::next));
        let all = read(&journal, 1, usize::MAX >> 1).unwrap();
        assert_eq!(all.last().map(Recorded::seq), journal.head());
    }
}

#[test]
fn signals_that_somebody_else_writes_are_no_signals_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path());
    journal.append(&mut Batch::of([signal("buy X 1")])).unwrap();
    other(folder.path())
        .execute_batch("INSERT INTO signals SELECT 2, 'x', id_given, type, symbol, price, timestamp, is_test, stale_after, source, received_at, content FROM signals")
        .unwrap();
    for _ in 0..2 {
        insta::allow_duplicates! {
            insta::assert_snapshot!(append_until_refused(&mut journal), @"another program has written into it; restart the server");
        }
    }
    drop(journal);
    assert_eq!(open(folder.path()).head(), Seq::new(2));
}

#[test]
fn a_damaged_signal_is_named_and_the_others_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path());
    let lines = (1..=9).map(|price| signal(&format!("buy X {price}")));
    journal.append(&mut Batch::of(lines)).unwrap();
    let vandal = other(folder.path());
    vandal
        .execute_batch(
            "UPDATE signals SET content = replace(content, '4', '5') WHERE seq = 4;
             UPDATE signals SET price = '6.0' WHERE seq = 6;
             DELETE FROM signals WHERE seq = 8",
        )
        .unwrap();
    let mut archive = journal.archive().unwrap().unwrap();
    let mut said = Vec::new();
    for from in 1..=9 {
        match archive.readers[0].read(Seq::new(from).unwrap(), 2) {
            Ok(read) => said.push(format!("{from}: {} read", read.len())),
            Err(why) => said.push(format!("{from}: {why}")),
        }
    }
    insta::assert_snapshot!(said.join("\n"), @"
    1: 2 read
    2: 2 read
    3: it is damaged (the signal of seq 4: its content is not what was recorded); while no server runs, put a backup in its place, or move it away to begin a new log
    4: it is damaged (the signal of seq 4: its content is not what was recorded); while no server runs, put a backup in its place, or move it away to begin a new log
    5: it is damaged (the signal of seq 6: its content is not what was recorded); while no server runs, put a backup in its place, or move it away to begin a new log
    6: it is damaged (the signal of seq 6: its content is not what was recorded); while no server runs, put a backup in its place, or move it away to begin a new log
    7: it is damaged (the signal of seq 8 is missing); while no server runs, put a backup in its place, or move it away to begin a new log
    8: it is damaged (the signal of seq 8 is missing); while no server runs, put a backup in its place, or move it away to begin a new log
    9: 1 read
    ");
}

#[test]
fn the_first_signal_since_a_time_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path());
    let since = |journal: &Sqlite, at: i64| {
        let mut archive = journal.archive().unwrap().unwrap();
        let found = archive.readers[1].received_since(ReceivedAt::from_micros(at));
        found.map(|seq| seq.map(Seq::get))
    };
    assert_eq!(since(&journal, 0).unwrap(), None);
    let times = [10, 10, 20, 20, 20, 30, 40, 40];
    let entries = times.map(|at| entry("buy X 1", "stdin", at));
    journal.append(&mut batch(entries)).unwrap();
    for at in 0..45 {
        let first = times.iter().position(|received| *received >= at);
        let seq = first.map(|place| place as u64 + 1);
        assert_eq!(since(&journal, at).unwrap(), seq, "{at}");
    }
    // Of those that were received at 10 one is gone.
    other(folder.path())
        .execute_batch("DELETE FROM signals WHERE seq = 1")
        .unwrap();
    for at in [0, 10] {
        let gone = since(&journal, at).unwrap_err();
        assert!(matches!(gone, ReadError::Gone { oldest } if oldest.get() == 2));
    }
    assert_eq!(since(&journal, 11).unwrap(), Some(3));
}

fn tend_until_done(journal: &mut Sqlite) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while journal.tend().unwrap() == Tended::More {
        assert!(Instant::now() < deadline, "there is always more");
    }
}

#[test]
fn what_is_too_old_is_let_go_of_but_for_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let keeping = Keeping {
        retention: Retention {
            age: Some(Duration::from_secs(3600)),
            bytes: None,
        },
        ..Keeping::default()
    };
    let mut journal = Sqlite::open(folder.path(), keeping).unwrap();
    let old = (0..3500).map(|at| entry("buy X 1", "stdin", at));
    journal.append(&mut batch(old)).unwrap();
    let oldest = journal.archive().unwrap().unwrap().oldest;
    assert_eq!(oldest.get(), Seq::FIRST);
    tend_until_done(&mut journal);
    assert_eq!(oldest.get().get(), 3500);
    let gone = read(&journal, 3499, 10).unwrap_err();
    assert!(matches!(gone, ReadError::Gone { oldest } if oldest.get() == 3500));
    assert_eq!(read(&journal, 3500, 10).unwrap().len(), 1);
    drop(journal);

    let mut journal = Sqlite::open(folder.path(), keeping).unwrap();
    assert_eq!(journal.head(), Seq::new(3500));
    assert_eq!(journal.archive().unwrap().unwrap().oldest.get().get(), 3500);
    let now = i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap();
    let new = (0..10).map(|_| entry("buy X 1", "stdin", now));
    journal.append(&mut batch(new)).unwrap();
    tend_until_done(&mut journal);
    assert_eq!(read(&journal, 3501, 100).unwrap().len(), 10);
    assert!(read(&journal, 3500, 100).is_err());
}

#[test]
fn what_is_too_much_is_let_go_of_and_the_file_shrinks() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path());
    let long = format!(
        r#"{{"side":"buy","symbol":"X","price":1,"note":"{}"}}"#,
        "x".repeat(9000)
    );
    for _ in 0..4 {
        let batch = &mut Batch::of((0..500).map(|_| signal(&long)));
        journal.append(batch).unwrap();
    }
    drop(journal);
    let size = || {
        fs::metadata(folder.path().join("signals.db"))
            .unwrap()
            .len()
    };
    assert!(size() > 16 << 20, "{}", size());
    let keeping = Keeping {
        retention: Retention {
            age: None,
            bytes: Some(1 << 20),
        },
        ..Keeping::default()
    };
    let mut journal = Sqlite::open(folder.path(), keeping).unwrap();
    tend_until_done(&mut journal);
    let oldest = journal.archive().unwrap().unwrap().oldest.get();
    assert!(oldest > Seq::FIRST && Some(oldest) <= journal.head());
    drop(journal);
    assert!(size() < 10 << 20, "{}", size());
    assert_eq!(open(folder.path()).head(), Seq::new(2000));
}

#[test]
fn what_was_recorded_moves_into_the_database_while_the_server_runs() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path());
    let long = format!(
        r#"{{"side":"buy","symbol":"X","price":1,"note":"{}"}}"#,
        "x".repeat(60_000)
    );
    let database = || {
        fs::metadata(folder.path().join("signals.db"))
            .unwrap()
            .len()
    };
    let wal = || {
        fs::metadata(folder.path().join("signals.db-wal"))
            .unwrap()
            .len()
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while database() < 16 << 20 {
        assert!(Instant::now() < deadline, "nobody moves it");
        assert!(wal() < 512 << 20, "nobody stops it");
        let batch = &mut Batch::of((0..16).map(|_| signal(&long)));
        journal.append(batch).unwrap();
    }
}

#[test]
fn a_file_that_is_no_log_of_ours_is_left_alone_and_the_remedy_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signals.db");
    let mut said = Vec::new();
    let mut refused = || {
        let before = fs::read(&path).unwrap();
        let why = Sqlite::open(folder.path(), Keeping::default()).unwrap_err();
        said.push(why.to_string());
        assert_eq!(fs::read(&path).unwrap(), before);
        fs::remove_file(&path).unwrap();
    };
    fs::write(&path, "garbage ".repeat(1000)).unwrap();
    refused();
    let foreign = Connection::open(&path).unwrap();
    foreign.execute_batch("CREATE TABLE t (x)").unwrap();
    drop(foreign);
    refused();
    drop(open(folder.path()));
    other(folder.path())
        .execute_batch("PRAGMA user_version = 1000")
        .unwrap();
    refused();
    drop(open(folder.path()));
    let mut bytes = fs::read(&path).unwrap();
    bytes[..100].fill(b'#');
    fs::write(&path, bytes).unwrap();
    refused();
    let mut journal = open(folder.path());
    let lines = (0..1000).map(|_| signal("buy X 1"));
    journal.append(&mut Batch::of(lines)).unwrap();
    drop(journal);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    refused();
    let said = said
        .join("\n")
        .replace(folder.path().to_str().unwrap(), "DATA");
    insta::assert_snapshot!(said, @"
    DATA/signals.db: it is no SQLite database, or its beginning is damaged; put a backup in its place, or move it away to begin a new log
    DATA/signals.db: it is a database of another program; move it away, or name another folder
    DATA/signals.db: a newer signalcast wrote it (schema 1000, this one knows 1); run that version, or name another folder
    DATA/signals.db: it is no SQLite database, or its beginning is damaged; put a backup in its place, or move it away to begin a new log
    DATA/signals.db: it is damaged (database disk image is malformed); while no server runs, put a backup in its place, or move it away to begin a new log
    ");
}

#[test]
fn a_log_that_somebody_has_locked_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let locker = other(folder.path());
    locker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let why = Sqlite::open(folder.path(), Keeping::default()).unwrap_err();
    let said = why
        .to_string()
        .replace(folder.path().to_str().unwrap(), "DATA");
    insta::assert_snapshot!(said, @"DATA/signals.db: another program has locked it; end what that program does in it");
}

#[test]
fn a_server_says_what_is_wrong_with_its_log_and_opens_no_port() {
    let folder = Folder::new();
    fs::create_dir(folder.path("data")).unwrap();
    fs::write(folder.path("data/signals.db"), "garbage ".repeat(1000)).unwrap();
    let output = folder.run("serve --listen 127.0.0.1:0");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(common::text(&output.stdout), "");
    let said = common::text(&output.stderr);
    let refusal = said
        .lines()
        .find(|line| line.starts_with("signalcast: "))
        .unwrap();
    insta::assert_snapshot!(refusal, @"signalcast: data_dir: data/signals.db: it is no SQLite database, or its beginning is damaged; put a backup in its place, or move it away to begin a new log");
}

#[test]
fn seqs_go_on_after_a_restart_of_the_server() {
    let folder = Arc::new(Folder::new());
    for round in 0..2 {
        let mut command = folder.command("serve --listen 127.0.0.1:0 --source stdin --exit-on-eof");
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(LINES.join("\n").as_bytes()).unwrap();
        drop(stdin);
        assert!(child.wait().unwrap().success(), "{round}");
    }
    let log = open(&folder.path("data"));
    // Two of them have an id.
    assert_eq!(log.head(), Seq::new(5 + 3));
    assert_eq!(read(&log, 1, 100).unwrap().len(), 8);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_was_recorded_is_sent_again_byte_for_byte(
        lines in prop::collection::vec(line(), 1..50),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = open(folder.path());
        let entries = (0..).zip(&lines).map(|(at, line)| entry(line, "stdin", at));
        let recorded = journal.append(&mut batch(entries)).unwrap().recorded;
        prop_assert_eq!(shown(&read(&journal, 1, 100).unwrap()), shown(&recorded));
    }
}

fn line() -> impl Strategy<Value = String> {
    let symbol = "[A-Za-z0-9/:=^<>é💰]{1,12}";
    let price = "-?(0|[1-9][0-9]{0,9})(\\.[0-9]{1,12})?([eE][+-]?[0-9])?";
    let extra = prop::option::of(r#""[ a-zé,:{}]{0,9}""#);
    let parts = (symbol, price, 0..99_999_999_999_u64, extra, any::<bool>());
    parts.prop_map(|(symbol, price, time, extra, is_test)| {
        let extra = extra.map_or(String::new(), |value| format!(r#","x": {value}, "y":[ ]"#));
        format!(
            r#"{{"side":"buy","symbol":"{symbol}","price":{price},"time":{time},"is_test":{is_test}{extra}}}"#
        )
    })
}
