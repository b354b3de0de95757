//! What a line costs until it is a signal, in each of the shapes that are accepted, and until it is
//! refused.
//!
//!     cargo bench --bench signal
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark fails by panicking"
)]

mod parts;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use parts::signals::{LINE, now, parse};
use signalcast::signal::{Signal, TimeUnit};

const FLAT: &str = r#"{"side":"buy","ticker":"BTCUSDT","price":"75000.12","time":"2024-07-03T09:46:40Z","qty":1.5}"#;

const TEXT: &str = "buy BTCUSDT 75000.12 1720000000";

/// What a strategy may well say of its orders besides.
const LONG: &str = r#"{"type":"sell","id":"01J1VQ5W8Z6T3N9X4K7M2B0C5D","content":{"symbol":"BTC/USDT:USDT","price":75000.10,"timestamp":1720000000,"quantity":0.250,"stop_loss":73500.00,"take_profit":[76000,77500],"strategy":{"name":"mean reversion","timeframe":"15m","confidence":0.87},"note":"third entry"},"is_test":false,"valid_for":30}"#;

const REFUSED: &str =
    r#"{"type":"hold","content":{"symbol":"BTCUSDT","price":75000.12,"timestamp":1720000000}}"#;

const BYTES: usize = 1_000_000;

fn parse_lines(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse 1 MB of lines");
    for (shape, line) in [
        ("as on the wire", LINE),
        ("with keys of the strategy's own", LONG),
        ("flat", FLAT),
        ("text", TEXT),
    ] {
        let lines = BYTES / line.len();
        group.throughput(throughput(line, lines));
        group.bench_function(shape, |bencher| {
            bencher.iter(|| {
                for _ in 0..lines {
                    black_box(parse(black_box(line)));
                }
            });
        });
    }
    let lines = BYTES / REFUSED.len();
    group.throughput(throughput(REFUSED, lines));
    group.bench_function("refused, with the reason as text", |bencher| {
        bencher.iter(|| {
            for _ in 0..lines {
                let line = black_box(REFUSED).as_bytes();
                let refused = Signal::parse_line(line, TimeUnit::Seconds, now());
                black_box(refused.unwrap_err().to_string());
            }
        });
    });
}

fn throughput(line: &str, lines: usize) -> Throughput {
    Throughput::ElementsAndBytes {
        elements: lines as u64,
        bytes: (lines * line.len()) as u64,
    }
}

criterion_group!(benches, parse_lines);
criterion_main!(benches);
