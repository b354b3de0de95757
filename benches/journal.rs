//! What the log costs: signals into `signals.db`, beside a bare loop over the same table, and out
//! of it again.
//!
//!     cargo bench --bench journal
//!
//! It writes about a gigabyte to the folder for temporary files (`TMPDIR`), which should be on the
//! disk that is of interest.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark fails by panicking"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use aws_lc_rs::rand;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rusqlite::{Connection, params};
use signalcast::journal::{Batch, Journal, Keeping, Sqlite};
use signalcast::signal::{Id, Seq, Signal, TimeUnit, Timestamp};
use tempfile::TempDir;
use uuid::Builder;

/// Whether signals come with ids, and so have to be looked for in the index.
#[derive(Clone, Copy)]
enum Ids {
    Made,
    /// The worst case: each is at another place of the index.
    Random,
}

const CONTENT: &str = r#"{"symbol":"BTCUSDT","price":75000.123456789,"timestamp":1720000000}"#;

/// Signals of one measurement: enough for several transactions of the largest batch.
const SIGNALS: usize = 40_960;

fn line(ids: Ids) -> String {
    match ids {
        Ids::Made => format!(r#"{{"type":"buy","content":{CONTENT},"is_test":false}}"#),
        Ids::Random => {
            let id = random_id();
            format!(r#"{{"type":"buy","id":"{id}","content":{CONTENT},"is_test":false}}"#)
        }
    }
}

fn random_id() -> Id {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).unwrap();
    Builder::from_random_bytes(bytes).into_uuid().into()
}

fn parse(line: &str) -> Signal {
    let now = Timestamp::new(1_720_000_000).unwrap();
    Signal::parse_line(line.as_bytes(), TimeUnit::Seconds, now)
        .unwrap()
        .unwrap()
}

/// Lines to the log, parsing included.
fn append(journal: &mut Sqlite, batch: usize, ids: Ids) -> Duration {
    let lines: Vec<String> = (0..SIGNALS).map(|_| line(ids)).collect();
    let start = Instant::now();
    for lines in lines.chunks(batch) {
        let mut batch = Batch::of(lines.iter().map(|line| parse(line)));
        journal.append(&mut batch).unwrap();
    }
    start.elapsed()
}

/// The same table, and nothing else: no parsing, no checks, no ids made, one connection that does
/// its checkpoints itself.
struct Bare {
    db: Connection,
    next: i64,
}

impl Bare {
    fn open(folder: &Path) -> Self {
        // The schema is the log's own.
        drop(Sqlite::open(folder, Keeping::default()).unwrap());
        let db = Connection::open(folder.join("signals.db")).unwrap();
        db.execute_batch("PRAGMA synchronous = normal").unwrap();
        Self { db, next: 1 }
    }

    fn append(&mut self, batch: usize, ids: Ids) -> Duration {
        let given: Vec<String> = (0..SIGNALS).map(|_| random_id().to_string()).collect();
        let is_given = matches!(ids, Ids::Random);
        let start = Instant::now();
        for given in given.chunks(batch) {
            let transaction = self.db.transaction().unwrap();
            let mut insert = transaction.prepare_cached(INSERT).unwrap();
            for id in given {
                let (seq, never) = (self.next, None::<i64>);
                let time = 1_720_000_000_i64;
                insert
                    .execute(params![
                        seq,
                        id,
                        is_given,
                        "buy",
                        "BTCUSDT",
                        "75000.123456789",
                        time,
                        false,
                        never,
                        "stdin",
                        time * 1_000_000,
                        CONTENT
                    ])
                    .unwrap();
                self.next += 1;
            }
            drop(insert);
            transaction.commit().unwrap();
        }
        start.elapsed()
    }
}

const INSERT: &str =
    "INSERT INTO signals VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";

fn into_the_log(criterion: &mut Criterion) {
    for (ids, named) in [(Ids::Made, "without ids"), (Ids::Random, "with random ids")] {
        let mut group = criterion.benchmark_group(format!("signals into the log, {named}"));
        group.throughput(Throughput::Elements(SIGNALS as u64));
        group.sample_size(10);
        for batch in [1, 64, 1000, 4096] {
            group.bench_function(format!("lines, {batch} a commit"), |bencher| {
                let folder = TempDir::new().unwrap();
                let mut journal = Sqlite::open(folder.path(), Keeping::default()).unwrap();
                bencher.iter_custom(|rounds| {
                    (0..rounds).map(|_| append(&mut journal, batch, ids)).sum()
                });
            });
            group.bench_function(format!("bare loop, {batch} a commit"), |bencher| {
                let folder = TempDir::new().unwrap();
                let mut bare = Bare::open(folder.path());
                bencher.iter_custom(|rounds| (0..rounds).map(|_| bare.append(batch, ids)).sum());
            });
        }
    }
}

fn out_of_the_log(criterion: &mut Criterion) {
    let folder = TempDir::new().unwrap();
    let mut journal = Sqlite::open(folder.path(), Keeping::default()).unwrap();
    append(&mut journal, 4096, Ids::Made);
    let mut archive = journal.archive().unwrap().unwrap();
    let mut group = criterion.benchmark_group("signals out of the log");
    group.throughput(Throughput::Elements(SIGNALS as u64));
    for most in [512, 4096] {
        group.bench_function(format!("{most} at once"), |bencher| {
            bencher.iter(|| {
                let mut next = Seq::FIRST;
                loop {
                    let read = archive.readers[0].read(next, most).unwrap();
                    let Some(last) = read.last() else { break };
                    next = last.seq().next();
                }
                assert_eq!(next.get(), SIGNALS as u64 + 1);
            });
        });
    }
}

criterion_group!(benches, into_the_log, out_of_the_log);
criterion_main!(benches);
