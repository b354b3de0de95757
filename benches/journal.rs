//! What the log costs: signals into `signals.db` and into the log that keeps nothing, and a stretch
//! out of `signals.db` again. Beside it the least that it can cost: a bare loop over the same table.
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

mod parts;

use std::path::Path;
use std::time::{Duration, Instant};

use aws_lc_rs::rand;
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use parts::signals::{LINE, parse};
use rusqlite::{Connection, params};
use signalcast::journal::{Batch, Journal, Keeping, Memory, Sqlite};
use signalcast::signal::{Id, Seq};
use tempfile::TempDir;
use uuid::Builder;

/// Whether signals come with ids, and so have to be looked for in the index.
#[derive(Clone, Copy)]
enum Ids {
    Made,
    /// The worst case: each is at another place of the index.
    Random,
}

/// Signals of one measurement: enough for several transactions of the largest batch.
const SIGNALS: usize = 32_000;

/// Signals in a stretch, as clients that are far behind read the log.
const STRETCH: usize = 512;

fn random_id() -> Id {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).unwrap();
    Builder::from_random_bytes(bytes).into_uuid().into()
}

/// All signals, in batches of this size.
fn batches(size: usize, ids: Ids) -> Vec<Batch> {
    let with_id = || LINE.replacen('{', &format!(r#"{{"id":"{}","#, random_id()), 1);
    let signals: Vec<_> = match ids {
        Ids::Made => vec![parse(LINE); SIGNALS],
        Ids::Random => (0..SIGNALS).map(|_| parse(&with_id())).collect(),
    };
    let batches = signals.chunks(size);
    batches
        .map(|signals| Batch::of(signals.iter().cloned()))
        .collect()
}

fn append(journal: &mut impl Journal, mut batches: Vec<Batch>) -> Duration {
    let start = Instant::now();
    for batch in &mut batches {
        journal.append(batch).unwrap();
    }
    start.elapsed()
}

/// The same table, and nothing else: no checks, no ids made, one connection that does its
/// checkpoints itself.
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

const CONTENT: &str = r#"{"symbol":"BTCUSDT","price":75000.123456789,"timestamp":1720000000}"#;

fn into_the_log(criterion: &mut Criterion) {
    for batch in [1, 64, 1000] {
        let named = format!("append to the log, signals in a commit: {batch}");
        let mut group = criterion.benchmark_group(named);
        group.throughput(Throughput::Elements(SIGNALS as u64));
        group.sample_size(10).sampling_mode(SamplingMode::Flat);
        for (ids, named) in [(Ids::Made, ""), (Ids::Random, ", random ids")] {
            group.bench_function(format!("bare loop{named}"), |bencher| {
                let folder = TempDir::new().unwrap();
                let mut bare = Bare::open(folder.path());
                bencher.iter_custom(|rounds| (0..rounds).map(|_| bare.append(batch, ids)).sum());
            });
            group.bench_function(format!("sqlite{named}"), |bencher| {
                let folder = TempDir::new().unwrap();
                let mut log = Sqlite::open(folder.path(), Keeping::default()).unwrap();
                let mut append = || append(&mut log, batches(batch, ids));
                bencher.iter_custom(|rounds| (0..rounds).map(|_| append()).sum());
            });
            group.bench_function(format!("memory{named}"), |bencher| {
                let mut log = Memory::new();
                let mut append = || append(&mut log, batches(batch, ids));
                bencher.iter_custom(|rounds| (0..rounds).map(|_| append()).sum());
            });
        }
    }
}

fn out_of_the_log(criterion: &mut Criterion) {
    let folder = TempDir::new().unwrap();
    let mut log = Sqlite::open(folder.path(), Keeping::default()).unwrap();
    append(&mut log, batches(1000, Ids::Made));
    let mut archive = log.archive().unwrap().unwrap();
    let reader = &mut archive.readers[0];
    let mut next = Seq::FIRST;
    let mut group = criterion.benchmark_group("read the log");
    group.throughput(Throughput::Elements(STRETCH as u64));
    group.bench_function("a stretch of 512 signals", |bencher| {
        bencher.iter(|| {
            let read = reader.read(next, STRETCH).unwrap();
            assert_eq!(read.len(), STRETCH);
            let after = read[STRETCH - 1].seq().next();
            let is_more = after.get() + STRETCH as u64 <= SIGNALS as u64;
            next = if is_more { after } else { Seq::FIRST };
            read
        });
    });
}

criterion_group!(benches, into_the_log, out_of_the_log);
criterion_main!(benches);
