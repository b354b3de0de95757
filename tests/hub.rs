//! What the hot tail gives to readers: exactly what they are entitled to, or the news that it is
//! gone.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;
use signalcast::hub::{Follower, Hub, LeftTail, Segment, View, frame};
use signalcast::journal::{Batch, Journal, Memory};
use signalcast::shard::Run;
use signalcast::signal::{Seq, Signal, SymbolFilter, TimeUnit, Timestamp};

const SYMBOLS: [&str; 4] = ["BTCUSDT", "BTCEUR", "ETHUSDT", "X"];
const TIMESTAMP: u64 = 1_720_000_000;

/// What happens to a hub with two followers.
#[derive(Clone, Debug)]
enum Event {
    /// Signals of these symbols are published together, each with this many bytes of extras, some
    /// of them valid for so many seconds.
    Publish(Vec<(usize, usize, Option<u64>)>),
    /// The same small signal so many times, one by one: small segments, which are joined.
    Trickle(usize),
    /// A follower takes about so many bytes.
    Advance(usize, usize),
    /// Somebody reads all from a place, given in thousandths of the log, at a time.
    Read {
        follower: usize,
        place: u64,
        filter: usize,
        age: u64,
    },
}

fn event() -> impl Strategy<Value = Event> {
    let signal = (
        0..SYMBOLS.len(),
        prop_oneof![4 => 0..200_usize, 1 => 0..3000_usize],
    );
    let signal = (signal, prop::option::weighted(0.2, 1..100_u64));
    let signal = signal.prop_map(|((symbol, extra), valid_for)| (symbol, extra, valid_for));
    let filter = 0..filters().len();
    prop_oneof![
        3 => prop::collection::vec(signal.clone(), 1..40).prop_map(Event::Publish),
        // More than one segment holds.
        1 => prop::collection::vec(signal, 500..1100).prop_map(Event::Publish),
        2 => (1..700_usize).prop_map(Event::Trickle),
        4 => (0..2_usize, 0..200_000_usize).prop_map(|(which, bytes)| Event::Advance(which, bytes)),
        6 => (0..2_usize, 0..=1100_u64, filter, 0..120_u64).prop_map(
            |(follower, place, filter, age)| Event::Read { follower, place, filter, age }
        ),
    ]
}

fn filters() -> Vec<SymbolFilter> {
    let matching = |patterns: &[&str]| {
        SymbolFilter::matching(patterns.iter().map(|&pattern| pattern.to_owned())).unwrap()
    };
    vec![
        SymbolFilter::All,
        matching(&[]),
        matching(&["BTC*"]),
        matching(&["*USDT", "X"]),
    ]
}

/// A signal that was published, as the readers are to see it.
struct Published {
    symbol: &'static str,
    stale_from: Option<u64>,
    frame: Vec<u8>,
}

/// The log as it should be.
struct Model {
    journal: Memory,
    hub: Hub,
    log: Vec<Published>,
}

impl Model {
    fn publish(&mut self, signals: &[(usize, usize, Option<u64>)]) {
        let now = Timestamp::new(TIMESTAMP).unwrap();
        let mut batch = Vec::new();
        for &(symbol, extra, valid_for) in signals {
            let symbol = SYMBOLS[symbol];
            let (price, note) = (self.log.len(), "x".repeat(extra));
            let validity = valid_for.map_or(String::new(), |seconds| {
                format!(r#","valid_for":{seconds}"#)
            });
            let line = format!(
                r#"{{"side":"buy","symbol":"{symbol}","price":{price},"timestamp":{TIMESTAMP},"note":"{note}"{validity}}}"#
            );
            let signal = Signal::parse_line(line.as_bytes(), TimeUnit::Seconds, now)
                .unwrap()
                .unwrap();
            let mut bytes = Vec::new();
            frame::write_text(&mut bytes, |out| signal.write_v1(out));
            let stale_from = valid_for.map(|seconds| TIMESTAMP + seconds);
            self.log.push(Published {
                symbol,
                stale_from,
                frame: bytes,
            });
            batch.push(signal);
        }
        self.hub.publish(
            &self.journal.append(&mut Batch::of(batch)).unwrap().recorded,
            Instant::now(),
        );
    }

    /// The frames from a place up to another that somebody with this filter gets at this time.
    fn entitled(&self, places: std::ops::Range<Seq>, filter: &SymbolFilter, now: u64) -> Vec<u8> {
        let index = |seq: Seq| usize::try_from(seq.get() - 1).unwrap();
        self.log[index(places.start)..index(places.end)]
            .iter()
            .filter(|signal| filter.matches(signal.symbol))
            .filter(|signal| signal.stale_from.is_none_or(|from| now < from))
            .flat_map(|signal| signal.frame.iter().copied())
            .collect()
    }
}

/// All that a follower's tail gives to a reader that stands at `from`.
fn read(follower: &Follower, from: Seq, filter: &SymbolFilter, now: u64) -> Result<Run, LeftTail> {
    let mut run = Run::default();
    run.begin(from);
    for segment in follower.tail().from(from)? {
        run.take(segment, &View::of(filter), Timestamp::new(now).unwrap());
    }
    Ok(run)
}

/// What a tail holds, from its oldest place.
fn held(follower: &Follower) -> (Seq, Vec<Arc<Segment>>) {
    let next = follower.tail().next();
    // The first place that is there; those before it are all gone, those behind it are not.
    let (mut gone, mut there) = (0, next.get());
    while there - gone > 1 {
        let middle = gone + (there - gone) / 2;
        match follower.tail().from(Seq::new(middle).unwrap()) {
            Ok(_) => there = middle,
            Err(LeftTail) => gone = middle,
        }
    }
    let oldest = Seq::new(there).unwrap();
    (
        oldest,
        follower
            .tail()
            .from(oldest)
            .unwrap()
            .map(Arc::clone)
            .collect(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_reader_gets_exactly_what_it_is_entitled_to_or_hears_that_it_is_gone(
        limit in prop_oneof![Just(0), 1_000..2_000_000_usize],
        events in prop::collection::vec(event(), 1..60),
    ) {
        let (hub, mut followers) = Hub::new(None, limit, 2);
        let mut model = Model { journal: Memory::new(), hub, log: Vec::new() };
        let filters = filters();
        for event in events {
            match event {
                Event::Publish(signals) => model.publish(&signals),
                Event::Trickle(count) => {
                    for index in 0..count {
                        model.publish(&[(index % SYMBOLS.len(), 0, None)]);
                    }
                }
                Event::Advance(which, most_bytes) => {
                    let follower = &mut followers[which];
                    let from = follower.tail().next();
                    let mut new = Vec::new();
                    follower.advance(most_bytes, &mut new);
                    // What a pass writes: all that is new, each signal once.
                    let bytes: Vec<u8> = new.iter().flat_map(|segment| segment.bytes()).copied().collect();
                    let next = follower.tail().next();
                    prop_assert!(bytes == model.entitled(from..next, &SymbolFilter::All, 0));

                    let (oldest, segments) = held(follower);
                    let footprint: usize = segments.iter().map(|segment| segment.footprint()).sum();
                    prop_assert!(footprint <= limit || segments.len() == 1, "{footprint} of {limit}");
                    // Segments are let go of whole, so at most the largest is missing to the limit.
                    let largest = 2 * (64 * 1024 + 512 * 3500);
                    prop_assert!(oldest == Seq::FIRST || footprint + largest > limit);
                }
                Event::Read { follower, place, filter, age } => {
                    let follower = &followers[follower];
                    let next = follower.tail().next();
                    let (oldest, _) = held(follower);
                    let from = Seq::new(1 + (next.get() - 1) * place / 1000).unwrap();
                    let now = TIMESTAMP + age;
                    match read(follower, from, &filters[filter], now) {
                        Err(LeftTail) => prop_assert!(from < oldest || next < from),
                        Ok(run) => {
                            prop_assert!(oldest <= from);
                            prop_assert_eq!(run.next(), next);
                            prop_assert!(run.bytes() == model.entitled(from..next, &filters[filter], now));
                        }
                    }
                }
            }
        }
        // Both have the same in the end, whatever their pace.
        for follower in &mut followers {
            follower.advance(usize::MAX, &mut Vec::new());
            prop_assert_eq!(follower.tail().next().get() - 1, model.log.len() as u64);
        }
        let [one, two] = &followers[..] else { unreachable!("there are two") };
        prop_assert_eq!(held(one).0, held(two).0);
    }
}

#[test]
fn an_empty_tail_of_a_log_that_goes_on_has_nothing_of_the_past() {
    let (_hub, followers) = Hub::new(Seq::new(1000), 1 << 20, 1);
    let tail = followers[0].tail();
    assert_eq!(tail.next(), Seq::new(1001).unwrap());
    let is_gone = |seq| tail.from(Seq::new(seq).unwrap()).is_err();
    assert!(is_gone(1) && is_gone(1000) && is_gone(1002));
    assert_eq!(tail.from(tail.next()).unwrap().count(), 0);
}
