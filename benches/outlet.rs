//! What one client costs apart from the kernel: the outlet writes to a socket in memory that takes
//! everything. Beside it what rustls takes by itself.
//!
//!     cargo bench --bench outlet
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark fails by panicking"
)]

mod parts;

use std::hint::black_box;
use std::io::{self, ErrorKind, Write};
use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use parts::signals::{now, recorded};
use parts::tls::Handshakes;
use signalcast::hub::{Segment, View};
use signalcast::shard::{Offered, Outlet, Run, Socket};
use signalcast::signal::Seq;

/// Takes everything and says nothing.
struct Memory;

impl Socket for Memory {
    fn try_read(&self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(black_box(bytes).len())
    }
}

fn offers(criterion: &mut Criterion) {
    for signals in [1, 64] {
        let segment = Segment::of(&recorded(signals), Instant::now());
        let mut run = Run::default();
        run.begin(Seq::FIRST);
        run.take(&segment, &View::default(), now());
        let named = format!("write a run to one client in memory, signals in it: {signals}");
        let mut group = criterion.benchmark_group(named);
        group.throughput(Throughput::ElementsAndBytes {
            elements: signals as u64,
            bytes: run.bytes().len() as u64,
        });
        let handshakes = Handshakes::new();
        for (layer, tls) in [("ws", None), ("wss", Some(handshakes.connection()))] {
            let mut outlet = Outlet::new(tls);
            group.bench_function(layer, |bencher| {
                bencher.iter(|| {
                    let offered = outlet.offer(&Memory, black_box(&run)).unwrap();
                    assert_eq!(offered, Offered::Taken);
                });
            });
        }
        let mut tls = handshakes.connection();
        group.bench_function("rustls alone", |bencher| {
            bencher.iter(|| {
                tls.writer().write_all(black_box(run.bytes())).unwrap();
                while tls.wants_write() {
                    tls.write_tls(&mut io::sink()).unwrap();
                }
            });
        });
    }
}

criterion_group!(benches, offers);
criterion_main!(benches);
