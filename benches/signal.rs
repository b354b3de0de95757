//! What a signal costs before it is published: from a line to a signal, and to a ready frame.
//!
//!     cargo bench --bench signal
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark fails by panicking"
)]

use std::hint::black_box;
use std::time::Instant;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use signalcast::hub::Segment;
use signalcast::journal::{Batch, Journal, Memory};
use signalcast::signal::{Signal, TimeUnit, Timestamp};

/// The line of the size that the other figures are for: 109 bytes.
const LINE: &str = r#"{"type":"buy","content":{"symbol":"BTCUSDT","price":75000.123456789,"timestamp":1720000000},"is_test":false}"#;

const LINES: u64 = 10_000;

fn parse(line: &str) -> Signal {
    let now = Timestamp::new(1_720_000_000).unwrap();
    Signal::parse_line(line.as_bytes(), TimeUnit::Seconds, now)
        .unwrap()
        .unwrap()
}

fn lines_to_signals(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse 1 MB of signals");
    group.throughput(Throughput::Elements(LINES));
    for (shape, line) in [
        ("as on the wire", LINE),
        (
            "flat",
            r#"{"side":"buy","ticker":"BTCUSDT","price":"75000.12","time":"2024-07-03T09:46:40Z","qty":1.5}"#,
        ),
        ("text", "buy BTCUSDT 75000.12 1720000000"),
    ] {
        group.bench_function(shape, |bencher| {
            bencher.iter(|| {
                for _ in 0..LINES {
                    black_box(parse(black_box(line)));
                }
            });
        });
    }
}

fn signals_to_frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("record and frame signals, in batches");
    for batch in [1, 64, 512] {
        group.throughput(Throughput::Elements(batch));
        group.bench_function(batch.to_string(), |bencher| {
            let mut journal = Memory::new();
            let signals = || Batch::of((0..batch).map(|_| parse(LINE)));
            bencher.iter_batched_ref(
                signals,
                |signals| Segment::of(&journal.append(signals).unwrap().recorded, Instant::now()),
                BatchSize::SmallInput,
            );
        });
    }
}

criterion_group!(benches, lines_to_signals, signals_to_frames);
criterion_main!(benches);
