//! What it costs to write a stretch of the log in each form: the first is ready in its segment and
//! only copied, the others are made once for each group of clients and pass.
//!
//!     cargo bench --bench frames
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark fails by panicking"
)]

use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use signalcast::hub::{Segment, View};
use signalcast::journal::{Batch, Journal, Memory};
use signalcast::shard::Run;
use signalcast::signal::{PriceForm, Protocol, Seq, Signal, TimeUnit, Timestamp};

const LINE: &str = r#"{"type":"buy","content":{"symbol":"BTCUSDT","price":75000.123456789,"timestamp":1720000000},"is_test":false}"#;

const SIGNALS: usize = 512;

fn frames_in_each_form(criterion: &mut Criterion) {
    let now = Timestamp::new(1_720_000_000).unwrap();
    let signal = Signal::parse_line(LINE.as_bytes(), TimeUnit::Seconds, now);
    let mut batch = Batch::of(vec![signal.unwrap().unwrap(); SIGNALS]);
    let recorded = Memory::new().append(&mut batch).unwrap().recorded;
    let segment = Segment::of(&recorded, Instant::now());

    let mut group = criterion.benchmark_group("a run of 512 signals, per signal");
    group.throughput(Throughput::Elements(SIGNALS as u64));
    for (form, protocol, prices) in [
        ("v1", Protocol::V1, PriceForm::Number),
        ("v1, prices as strings", Protocol::V1, PriceForm::String),
        ("v2", Protocol::V2, PriceForm::Number),
        ("v2, prices as strings", Protocol::V2, PriceForm::String),
    ] {
        let view = View {
            protocol,
            prices,
            ..View::default()
        };
        let mut run = Run::default();
        group.bench_function(form, |bencher| {
            bencher.iter(|| {
                run.begin(Seq::FIRST);
                run.take(&segment, &view, now);
                run.bytes().len()
            });
        });
    }
}

criterion_group!(benches, frames_in_each_form);
criterion_main!(benches);
