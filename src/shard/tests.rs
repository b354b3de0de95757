use std::time::Instant;

use proptest::prelude::*;

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

/// A segment of signals whose prices have so many digits.
fn segment(digits: &[usize]) -> Segment {
    let signals = digits.iter().map(|&digits| {
        let line = format!("buy X {} 7", "7".repeat(digits));
        let signal = Signal::parse_line(line.as_bytes(), TimeUnit::Seconds, clock::now());
        signal.unwrap().unwrap()
    });
    let recorded = Memory::new().append(&mut Batch::of(signals)).unwrap();
    Segment::of(&recorded.recorded, Instant::now())
}

proptest! {
    #[test]
    fn frames_that_are_copied_as_they_lie_are_those_that_pass_one_by_one(
        digits in prop::collection::vec(1..20_usize, 1..40),
        from in 0..40_u64,
        end in 1..45_u64,
        most_bytes in prop_oneof![0..3000_usize, Just(usize::MAX)],
    ) {
        let (segment, view) = (segment(&digits), View::default());
        prop_assert!(segment.is_ready_for(&view));
        let from = Seq::FIRST.plus(from % digits.len() as u64);
        let end = from.plus(end);
        let frames: Vec<_> = segment.passing(from, &view, clock::now()).collect();
        let boundaries = frames.iter().scan(0, |bytes, (frame, _)| {
            *bytes += frame.bytes.len();
            Some(*bytes)
        });
        for most_bytes in boundaries.chain([most_bytes]) {
            let (mut bytes, mut next) = (Vec::new(), from);
            for (frame, freshness) in &frames {
                if frame.seq < end && bytes.len() < most_bytes {
                    frame.write(&mut bytes, &view, *freshness);
                    next = frame.seq.next();
                }
            }
            let mut run = Run::default();
            run.begin(from);
            run.take_until(end, &segment, &view, clock::now(), most_bytes);
            prop_assert_eq!((run.bytes(), run.next()), (&bytes[..], next));
            prop_assert_eq!(run.signals(), next.get() - from.get());
            let mut boundary = 0;
            for (frame, _) in &frames {
                if boundary < bytes.len() {
                    prop_assert_eq!(run.cut(boundary), Cut { rest: &[], next: frame.seq });
                }
                boundary += frame.bytes.len();
            }
        }
    }
}
