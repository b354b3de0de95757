//! A feed that is written and rotated all the time, a server that comes and goes, and bots that
//! come back to it with the last seq they have: what tests of crashes and restarts are made of.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "each test file compiles its own copy and uses a part of it; a test that cannot go on fails"
)]

mod bots;
mod mortal;
mod random;
mod writer;

use rusqlite::{Connection, OpenFlags};

use crate::common::Folder;

pub use bots::Bots;
pub use mortal::Mortal;
pub use random::{Random, seed};
pub use writer::{Rotation, Writer, Written};

/// Every line is in the log exactly once, in the order of its file, under the seq under which every
/// bot has it.
pub fn check(folder: &Folder, written: &Written, bots: &[Vec<u64>], rotation: Rotation) {
    let path = folder.path("data/signals.db");
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let count: i64 = db
        .query_row("SELECT count(*) FROM signals", [], |row| row.get(0))
        .unwrap();
    let mut select = db
        .prepare("SELECT seq, CAST(price AS INTEGER) FROM signals ORDER BY seq")
        .unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    let rows: Vec<(i64, i64)> = rows.unwrap().map(Result::unwrap).collect();
    let seqs: Vec<i64> = rows.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(seqs, (1..=count).collect::<Vec<_>>(), "seqs without gaps");
    let log: Vec<u64> = rows.iter().map(|(_, line)| line.unsigned_abs()).collect();
    for (bot, lines) in bots.iter().enumerate() {
        assert!(*lines == log, "bot {bot} has something else than the log");
    }
    let mut places = vec![None; usize::try_from(written.last().unwrap().end).unwrap()];
    for (place, line) in log.iter().enumerate() {
        let known = &mut places[usize::try_from(*line).unwrap()];
        assert_eq!(known.replace(place), None, "line {line} is there twice");
    }
    for file in written {
        let of_file: Vec<Option<usize>> = file
            .clone()
            .map(|line| places[usize::try_from(line).unwrap()])
            .collect();
        let lost = of_file.iter().position(Option::is_none);
        assert_eq!(lost, None, "a line of {file:?} is lost");
        assert!(of_file.is_sorted(), "the lines of {file:?} are in order");
    }
    if rotation == Rotation::Rename {
        assert!(log.is_sorted(), "files come one after the other");
    }
}
