use std::time::Instant;

use super::*;
use crate::hub::Hub;
use crate::journal::{Batch, Journal, Memory};
use crate::metrics::Registry;
use crate::signal::{Signal, SymbolFilter, TimeUnit};

#[tokio::test]
async fn who_gets_nothing_of_a_long_tail_looks_at_a_little_of_it_at_once() {
    const SIGNALS: usize = 20_000;
    let (mut hub, mut followers) = Hub::new(None, 64 << 20, 1);
    let metrics = Passes::new(&Registry::default(), 0);
    let shard = Shard::new(followers.remove(0), metrics);
    let line = Signal::parse_line(b"buy X 1 7", TimeUnit::Seconds, clock::now());
    let signals = std::iter::repeat_n(line.unwrap().unwrap(), SIGNALS);
    let recorded = Memory::new().append(&mut Batch::of(signals)).unwrap();
    hub.publish(&recorded.recorded, Instant::now());
    let mut pass = Pass::new();
    while pass.go(&shard).await == Progress::More {}

    let view = View {
        symbols: SymbolFilter::matching(["NOPE"]).unwrap(),
        ..View::default()
    };
    let (mut run, mut next) = (Run::default(), Seq::FIRST);
    while next < shard.next() {
        shard.catch_up(&mut run, next, &view, None).unwrap();
        assert!(run.bytes().is_empty());
        let looked_at = run.next().get() - next.get();
        // The last segment is finished.
        assert!(
            (1..=2 * CATCH_UP_SIGNALS).contains(&looked_at),
            "{looked_at}"
        );
        next = run.next();
    }
}
