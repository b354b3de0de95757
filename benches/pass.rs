//! What a pass costs: from publishing what is new to the end of the last client's write. The shard
//! runs as in the server; clients are sockets in the same process. Beside it the least that it can
//! cost: a loop that does nothing but write the same frames to as many of the same sockets.
//!
//!     cargo bench --bench pass
//!
//! It needs 12,600 open files.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark fails by panicking"
)]

mod parts;

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use parts::clients::{self, Ends};
use parts::crowd::{Crowd, Interest, Layer, Setup};
use parts::signals::recorded;
use parts::tls::Handshakes;
use rustls::ServerConnection;
use signalcast::hub::Segment;

/// The same writes, and nothing else.
struct Bare {
    clients: Vec<(TcpStream, Option<ServerConnection>)>,
    ends: Ends,
    frames: Vec<u8>,
}

impl Bare {
    fn of(setup: Setup) -> Self {
        let handshakes = (setup.layer == Layer::Tls).then(Handshakes::new);
        let tls = || handshakes.as_ref().map(Handshakes::connection);
        let (sockets, ends) = clients::connected(setup.clients);
        let segment = Segment::of(&recorded(setup.signals), Instant::now());
        Self {
            clients: sockets.into_iter().map(|socket| (socket, tls())).collect(),
            ends,
            frames: segment.bytes().to_vec(),
        }
    }

    fn passes(&mut self, passes: u64) -> Duration {
        let mut took = Duration::ZERO;
        for _ in 0..passes {
            let start = Instant::now();
            for (socket, tls) in &mut self.clients {
                let Some(tls) = tls else {
                    socket.write_all(&self.frames).unwrap();
                    continue;
                };
                tls.writer().write_all(&self.frames).unwrap();
                while tls.wants_write() {
                    tls.write_tls(socket).unwrap();
                }
            }
            took += start.elapsed();
            self.ends.drain();
        }
        took
    }
}

fn passes(criterion: &mut Criterion) {
    for (clients, signals, named) in [
        (1_000, 1, "a pass over 1,000 sessions: one signal"),
        (1_000, 64, "a pass over 1,000 sessions: 64 signals"),
        (10_000, 1, "a pass over 10,000 sessions: one signal"),
    ] {
        let mut group = criterion.benchmark_group(named);
        group.sample_size(20);
        for (layer, named) in [(Layer::Plain, "ws"), (Layer::Tls, "wss")] {
            let setup = |interest| Setup {
                clients,
                signals,
                layer,
                interest,
            };
            let everything = setup(Interest::Everything);
            let half = setup(Interest::HalfFiltered);
            group.throughput(Throughput::Elements(everything.deliveries() as u64));
            let mut bare = None;
            group.bench_function(format!("{named}, bare loop"), |bencher| {
                let bare = bare.get_or_insert_with(|| Bare::of(everything));
                bencher.iter_custom(|passes| bare.passes(passes));
            });
            drop(bare);
            for (setup, named) in [
                (everything, named.to_owned()),
                (
                    half,
                    format!("{named}, half of them want one of 50 symbols"),
                ),
            ] {
                let mut crowd = None;
                group.throughput(Throughput::Elements(setup.deliveries() as u64));
                group.bench_function(named, |bencher| {
                    let crowd = crowd.get_or_insert_with(|| Crowd::of(setup));
                    bencher.iter_custom(|passes| crowd.passes(passes));
                });
            }
        }
    }
}

criterion_group!(benches, passes);
criterion_main!(benches);
