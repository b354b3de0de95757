//! What it costs to publish what was recorded: its frames, a link of the chain, the joining of small
//! segments, the news for the shards. What a shard does with it is not counted.
//!
//!     cargo bench --bench hub
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark fails by panicking"
)]

mod parts;

use std::time::Instant;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use parts::signals::batch;
use signalcast::hub::Hub;
use signalcast::journal::{Journal, Memory};

/// As large as the server's is by default.
const TAIL_BYTES: usize = 64 << 20;

/// Publications between two looks of the shard: few enough that no more is in memory than a server
/// would have there.
const UNSEEN: u64 = 256;

fn publish(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish in the hub");
    for signals in [1, 64] {
        group.throughput(Throughput::Elements(signals as u64));
        let (mut hub, mut followers) = Hub::new(None, TAIL_BYTES, 1);
        let (mut journal, mut taken) = (Memory::new(), Vec::new());
        let mut next_batch = || {
            followers[0].advance(usize::MAX, &mut taken);
            taken.clear();
            journal.append(&mut batch(signals)).unwrap().recorded
        };
        group.bench_function(format!("signals in a batch: {signals}"), |bencher| {
            bencher.iter_batched_ref(
                &mut next_batch,
                |recorded| hub.publish(recorded, Instant::now()),
                BatchSize::NumIterations(UNSEEN),
            );
        });
    }
}

criterion_group!(benches, publish);
criterion_main!(benches);
