//! The log in `data/signals.db`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::path::Path;

use signalcast::journal::{Batch, Entry, Journal, Keeping, ReadError, Recorded, Sqlite};
use signalcast::signal::{ReceivedAt, Seq, Signal, TimeUnit, Timestamp};
use signalcast::source::Bookmark;

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
        places: HashMap::new(),
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
        (seqs, appended.duplicates)
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
    // An id that was made here is nobody's.
    let made = read(&journal, 2, 1).unwrap()[0].id().to_string();
    let again = format!(r#"{{"id":"{made}","side":"buy","symbol":"X","price":1}}"#);
    assert_eq!(append(&mut journal, &[&again]), (vec![6], 0));
}

#[test]
fn bookmarks_are_kept_with_the_signals_before_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = open(folder.path());
    let bookmark = |part: &str, place: Option<&str>| Bookmark {
        source: "file:a".into(),
        part: part.into(),
        place: place.map(Into::into),
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
