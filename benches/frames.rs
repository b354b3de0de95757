//! What it costs to make frames of signals, and to write a stretch of the log in each form: the
//! first is ready in its segment and only copied, the others are made once for each group of
//! clients and pass.
//!
//!     cargo bench --bench frames
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark fails by panicking"
)]

mod parts;

use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use parts::signals::{now, recorded};
use signalcast::hub::{Framing, Segment, View};
use signalcast::shard::Run;
use signalcast::signal::{PriceForm, Protocol, Seq};

const SIGNALS: usize = 512;

fn signals_to_frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("make a segment of frames");
    for signals in [1, 64, SIGNALS] {
        let recorded = recorded(signals);
        group.throughput(Throughput::Elements(signals as u64));
        group.bench_function(format!("signals: {signals}"), |bencher| {
            bencher.iter_with_large_drop(|| Segment::of(&recorded, Instant::now()));
        });
    }
}

fn frames_in_each_form(criterion: &mut Criterion) {
    let segment = Segment::of(&recorded(SIGNALS), Instant::now());
    let mut group = criterion.benchmark_group("a run of 512 signals for one group of clients");
    group.throughput(Throughput::Elements(SIGNALS as u64));
    let (frames, events) = (Framing::WebSocket, Framing::Events);
    let (numbers, strings) = (PriceForm::Number, PriceForm::String);
    for (form, protocol, framing, prices) in [
        ("v1", Protocol::V1, frames, numbers),
        ("v1, prices as strings", Protocol::V1, frames, strings),
        ("v2", Protocol::V2, frames, numbers),
        ("v2, prices as strings", Protocol::V2, frames, strings),
        ("events", Protocol::V2, events, numbers),
    ] {
        let view = View {
            protocol,
            framing,
            prices,
            ..View::default()
        };
        let mut run = Run::default();
        group.bench_function(form, |bencher| {
            bencher.iter(|| {
                run.begin(Seq::FIRST);
                run.take(&segment, &view, now());
                run.bytes().len()
            });
        });
    }
}

criterion_group!(benches, signals_to_frames, frames_in_each_form);
criterion_main!(benches);
