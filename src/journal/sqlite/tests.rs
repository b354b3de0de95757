use std::fs;
use std::time::{Duration, Instant};

use super::*;
use crate::clock;
use crate::journal::{Durability, MOST_READ_BYTES, Retention};
use crate::signal::{Signal, TimeUnit, Timestamp};

fn signals(count: usize) -> Batch {
    let signal = Signal::parse_line(b"buy X 1", TimeUnit::Seconds, Timestamp::MAX);
    let signal = signal.unwrap().unwrap();
    Batch::of(std::iter::repeat_n(signal, count))
}

fn run(folder: &Path, durability: Durability, boot: &str) -> Sqlite {
    let keeping = Keeping {
        durability,
        retention: Retention::default(),
    };
    let continuity = Continuity {
        boot: Some(boot.to_owned()),
        durability,
    };
    Sqlite::open_at(folder, keeping, &continuity).unwrap()
}

/// What is on the disk now, as a process that ends at this moment leaves it.
fn killed(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in ["signals.db", "signals.db-wal", "signals.head"] {
        fs::copy(folder.join(name), copy.path().join(name)).unwrap();
    }
    copy
}

#[test]
fn what_was_committed_outlives_a_process_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = run(folder.path(), Durability::Os, "1");
    journal.append(&mut signals(10)).unwrap();
    let left = killed(folder.path());
    let mut again = run(left.path(), Durability::Os, "1");
    assert_eq!(again.epoch(), journal.epoch());
    assert_eq!(again.head(), Seq::new(10));
    let appended = again.append(&mut signals(1)).unwrap();
    assert_eq!(appended.recorded[0].seq().get(), 11);
}

#[test]
fn a_log_whose_end_may_be_lost_gets_another_epoch() {
    for (durability, next_boot, is_new) in [
        (Durability::Os, "1", false),
        (Durability::Os, "2", true),
        (Durability::Disk, "1", false),
        (Durability::Disk, "2", false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = run(folder.path(), durability, "1");
        journal.append(&mut signals(3)).unwrap();
        let epoch = journal.epoch();
        let left = killed(folder.path());
        // What the next run has promised does not matter, but what that one had.
        for next in [Durability::Os, Durability::Disk] {
            let left = killed(left.path());
            let after = run(left.path(), next, next_boot);
            assert_eq!(after.epoch() != epoch, is_new, "{durability:?} {next_boot}");
            assert_eq!(after.head(), Seq::new(3));
            let epoch = after.epoch();
            drop(after);
            // Closed as it should be, it outlives any boot.
            assert_eq!(run(left.path(), next, "3").epoch(), epoch);
        }
    }
}

#[test]
fn a_read_ends_early_when_signals_are_large() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = run(folder.path(), Durability::Os, "1");
    let note = "x".repeat(60_000);
    let line = format!(r#"{{"side":"buy","symbol":"X","price":1,"note":"{note}"}}"#);
    let signal = Signal::parse_line(line.as_bytes(), TimeUnit::Seconds, clock::now());
    let signal = signal.unwrap().unwrap();
    let mut batch = Batch::of(std::iter::repeat_n(signal, 100));
    journal.append(&mut batch).unwrap();
    let mut archive = journal.archive().unwrap().unwrap();
    let mut seen = 0;
    while seen < 100 {
        let from = Seq::FIRST.plus(seen);
        let read = archive.readers[0].read(from, 512).unwrap();
        assert_eq!(read[0].seq(), from);
        let bytes = read.len() * note.len();
        assert!(bytes < MOST_READ_BYTES + 2 * note.len(), "{}", read.len());
        seen += read.len() as u64;
    }
    assert_eq!(seen, 100);
    assert_eq!(archive.readers[0].read(Seq::FIRST, 1).unwrap().len(), 1);
}

#[test]
fn a_connection_that_broke_is_opened_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = run(folder.path(), Durability::Os, "1");
    journal.append(&mut signals(3)).unwrap();
    journal.db = None;
    assert_eq!(journal.tend().unwrap(), Tended::Done);
    journal.db = None;
    let source = "stdin".into();
    assert_eq!(journal.bookmarks(&source).unwrap(), None);
    let appended = journal.append(&mut signals(2)).unwrap();
    assert_eq!(appended.recorded[0].seq().get(), 4);
    let mut archive = journal.archive().unwrap().unwrap();
    assert_eq!(archive.readers[0].read(Seq::FIRST, 10).unwrap().len(), 5);
    // Another log at its place is not ours.
    let (path, away) = (folder.path().join("signals.db"), folder.path().join("away"));
    fs::rename(&path, &away).unwrap();
    fs::remove_file(folder.path().join("signals.db-wal")).unwrap();
    journal.db = None;
    drop(run(folder.path(), Durability::Os, "1"));
    assert!(matches!(
        journal.append(&mut signals(1)),
        Err(JournalError::Moved)
    ));
}

#[test]
fn a_flood_does_not_outrun_what_is_let_go_of() {
    let folder = tempfile::tempdir().unwrap();
    let keeping = Keeping {
        retention: Retention {
            age: None,
            bytes: Some(1 << 20),
        },
        ..Keeping::default()
    };
    let mut journal = Sqlite::open(folder.path(), keeping).unwrap();
    for _ in 0..20 {
        journal.append(&mut signals(4096)).unwrap();
        // As if a second had passed.
        journal.retaining.forget_the_time();
        journal.tend().unwrap();
    }
    let (oldest, head) = (journal.oldest.get(), journal.head().unwrap());
    let kept = head.get() - oldest.get();
    assert!(kept < 3 * 4096, "{kept}");
}

#[test]
fn a_database_that_was_emptied_does_not_take_its_write_ahead_log_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = run(folder.path(), Durability::Os, "1");
    journal.append(&mut signals(10)).unwrap();
    let left = killed(folder.path());
    let empty = |folder: &Path| fs::write(folder.join("signals.db"), "").unwrap();
    empty(left.path());
    let wal = || {
        fs::metadata(left.path().join("signals.db-wal"))
            .unwrap()
            .len()
    };
    let before = wal();
    let refused = Sqlite::open(left.path(), Keeping::default()).unwrap_err();
    assert!(
        matches!(refused.why, JournalError::NotADatabase),
        "{refused}"
    );
    assert_eq!(wal(), before);
    // The same under a log that is in use.
    empty(folder.path());
    let deadline = Instant::now() + Duration::from_secs(10);
    let why = loop {
        match journal.append(&mut signals(1)) {
            Err(why) => break why,
            Ok(_) => assert!(Instant::now() < deadline, "nobody notices"),
        }
    };
    assert!(matches!(why, JournalError::Moved), "{why}");
}

#[test]
fn a_signal_that_is_missing_in_the_middle_holds_up_no_id_that_looks_made() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = run(folder.path(), Durability::Os, "1");
    let appended = journal.append(&mut signals(100)).unwrap();
    let made = appended.recorded[30].id();
    let db = journal.db.as_ref().unwrap();
    // Where a search looks first.
    db.execute("DELETE FROM signals WHERE seq = 50", [])
        .unwrap();
    let line = format!(r#"{{"id":"{made}","side":"buy","symbol":"X","price":1}}"#);
    let signal = Signal::parse_line(line.as_bytes(), TimeUnit::Seconds, Timestamp::MAX);
    let mut batch = Batch::of(signal.unwrap());
    let duplicates = journal.append(&mut batch).unwrap().duplicates;
    assert_eq!((duplicates.len(), duplicates[0].seq.get()), (1, 31));
}

#[test]
fn neighbours_that_differ_in_one_thing_are_each_recorded_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = run(folder.path(), Durability::Os, "1");
    let expected: Vec<(&str, &str, &str)> = [
        ("buy", "A", "one"),
        ("buy", "A", "two"),
        ("sell", "A", "two"),
        ("sell", "B", "two"),
        ("sell", "B", "two"),
        ("buy", "A", "one"),
    ]
    .repeat(2);
    let entry = |&(side, symbol, source): &(&str, &str, &str)| {
        let line = format!("{side} {symbol} 1");
        let signal = Signal::parse_line(line.as_bytes(), TimeUnit::Seconds, Timestamp::MAX);
        let mut batch = Batch::of(signal.unwrap());
        batch.entries[0].source = source.into();
        batch.entries.remove(0)
    };
    let mut batch = Batch::default();
    batch.entries.extend(expected.iter().map(entry));
    journal.append(&mut batch).unwrap();

    let db = journal.db.as_ref().unwrap();
    let mut select = db
        .prepare("SELECT type, symbol, source FROM signals ORDER BY seq")
        .unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    let found: Vec<(String, String, String)> = rows.unwrap().map(Result::unwrap).collect();
    let found = found.iter().map(|(a, b, c)| (&**a, &**b, &**c));
    assert!(found.eq(expected));
}
