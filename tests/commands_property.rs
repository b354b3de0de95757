//! Whatever a client asks for, in whatever order, while signals flow and the log lets go of old
//! ones: each signal that passes comes in order, once after each `resumed`, and what lies behind an
//! answer on the wire is as the answer says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod shard;

use std::collections::VecDeque;

use common::frames::{CLOSE, TEXT};
use common::jwt::{token, with};
use proptest::prelude::*;
use serde_json::{Value, json};
use shard::kept::{Grip, Kept};
use shard::{Options, Peer, Rig};
use signalcast::hub::{Tests, View};
use signalcast::journal::Batch;
use signalcast::signal::{Protocol, Seq, Signal, SymbolFilter, TimeUnit, Timestamp};

/// The first passes every filter of [`ALLOWED`], and the one that asks for all.
const SYMBOLS: [&str; 4] = ["BTCUSDT", "BTCEUR", "ETHUSDT", "X"];

/// What a client may ask for; `None`: it does not say.
const ASKED: [Option<&[&str]>; 5] = [
    None,
    Some(&[]),
    Some(&["*USDT"]),
    Some(&["X", "BTCEUR"]),
    Some(&["BTC*", "X*X", "*"]),
];

/// What tokens allow.
const ALLOWED: [Option<&[&str]>; 3] = [None, Some(&["BTC*"]), Some(&["*USDT", "X"])];

/// The key with which the rig's tokens are signed.
const KEY: &str = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk";

#[derive(Clone, Copy, Debug)]
struct Said {
    symbol: usize,
    is_test: bool,
    /// How long its frame is.
    note: usize,
}

/// What happens.
#[derive(Clone, Debug)]
enum Event {
    Publish(Vec<Said>),
    /// Somebody comes, for this and with a token for that, from a place in thousandths of what is
    /// kept.
    Come {
        filter: Filter,
        place: u64,
    },
    Say {
        who: usize,
        wish: Wish,
    },
    /// One of those that are there reads so many bytes.
    Read {
        who: usize,
        bytes: usize,
    },
    /// What is before a place, in thousandths of the log, is kept no more.
    Retain(u64),
}

#[derive(Clone, Copy, Debug)]
enum Wish {
    Ping,
    Subscribe {
        asked: usize,
        tests: bool,
    },
    /// In thousandths of the log.
    Resume(u64),
    Auth {
        allowed: usize,
    },
}

#[derive(Clone, Copy, Debug)]
struct Filter {
    asked: usize,
    allowed: usize,
    tests: bool,
}

fn said() -> impl Strategy<Value = Said> {
    let note = prop_oneof![8 => 0..60_usize, 1 => 60..3000_usize];
    let said = (0..SYMBOLS.len(), prop::bool::weighted(0.2), note);
    said.prop_map(|(symbol, is_test, note)| Said {
        symbol,
        is_test,
        note,
    })
}

fn filter() -> impl Strategy<Value = Filter> {
    let filter = (0..ASKED.len(), 0..ALLOWED.len(), any::<bool>());
    filter.prop_map(|(asked, allowed, tests)| Filter {
        asked,
        allowed,
        tests,
    })
}

fn wish() -> impl Strategy<Value = Wish> {
    prop_oneof![
        1 => Just(Wish::Ping),
        4 => (0..ASKED.len(), any::<bool>())
            .prop_map(|(asked, tests)| Wish::Subscribe { asked, tests }),
        4 => (0..=1100_u64).prop_map(Wish::Resume),
        1 => (0..ALLOWED.len()).prop_map(|allowed| Wish::Auth { allowed }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => prop::collection::vec(said(), 1..60).prop_map(Event::Publish),
        2 => prop::collection::vec(said(), 400..700).prop_map(Event::Publish),
        2 => (filter(), 0..=1000_u64).prop_map(|(filter, place)| Event::Come { filter, place }),
        8 => (0..50_usize, wish()).prop_map(|(who, wish)| Event::Say { who, wish }),
        6 => (0..50_usize, 1..40_000_usize).prop_map(|(who, bytes)| Event::Read { who, bytes }),
        1 => (0..=1000_u64).prop_map(Event::Retain),
    ]
}

impl Filter {
    fn passes(&self, said: &Said) -> bool {
        let symbol = SYMBOLS[said.symbol];
        let asked = patterns(ASKED[self.asked]);
        let allowed = patterns(ALLOWED[self.allowed]);
        asked.matches(symbol) && allowed.matches(symbol) && (self.tests || !said.is_test)
    }

    fn view(&self) -> View {
        View {
            protocol: Protocol::V2,
            allowed: patterns(ALLOWED[self.allowed]),
            symbols: patterns(ASKED[self.asked]),
            tests: if self.tests {
                Tests::Sent
            } else {
                Tests::LeftOut
            },
            ..View::default()
        }
    }
}

fn patterns(of: Option<&[&str]>) -> SymbolFilter {
    of.map_or(SymbolFilter::All, |patterns| {
        SymbolFilter::matching(patterns.iter().copied()).unwrap()
    })
}

/// The log, and those who read it.
struct Model {
    rig: Rig,
    said: Vec<Said>,
    grip: Grip,
    readers: Vec<Reader>,
}

struct Reader {
    peer: Peer,
    filter: Filter,
    /// What it has sent that is not answered yet, and how much was published then.
    sent: VecDeque<(Wish, u64)>,
    /// The place of the signal that it is to be sent next lies between these: how much was passed
    /// over by a filter that holds no more nobody can see.
    earliest: u64,
    latest: u64,
    /// The head that it was told last.
    head: u64,
}

impl Model {
    fn publish(&mut self, said: Vec<Said>) {
        let signals = said.iter().map(|said| {
            let line = format!(
                r#"{{"side":"buy","symbol":"{}","price":1,"timestamp":7,"note":"{}","is_test":{}}}"#,
                SYMBOLS[said.symbol],
                "x".repeat(said.note),
                said.is_test
            );
            let now = Timestamp::new(7).unwrap();
            let signal = Signal::parse_line(line.as_bytes(), TimeUnit::Seconds, now);
            signal.unwrap().unwrap()
        });
        self.rig.publish(Batch::of(signals.collect::<Vec<_>>()));
        self.said.extend(said);
    }

    fn published(&self) -> u64 {
        self.said.len() as u64
    }

    fn go(&mut self, event: Event) {
        match event {
            Event::Publish(said) => self.publish(said),
            Event::Come { filter, place } => {
                let oldest = self.grip.oldest.get().get();
                let kept = self.published() + 1 - oldest;
                let next = oldest + kept * place / 1000;
                let mut peer = self.rig.connect(&filter.view(), Seq::new(next).unwrap());
                let first = peer.text();
                assert!(first.contains("connection_established"), "{first}");
                self.readers.push(Reader {
                    peer,
                    filter,
                    sent: VecDeque::new(),
                    earliest: next,
                    latest: next,
                    head: 0,
                });
            }
            Event::Say { who, wish } => {
                let (published, count) = (self.published(), self.readers.len().max(1));
                if let Some(reader) = self.readers.get_mut(who % count) {
                    reader.say(wish, published);
                }
            }
            Event::Read { who, bytes } => {
                let count = self.readers.len().max(1);
                if let Some(reader) = self.readers.get_mut(who % count) {
                    reader.peer.read_some(bytes);
                }
            }
            Event::Retain(place) => {
                let place = Seq::new(1 + self.published() * place / 1000).unwrap();
                let oldest = &self.grip.oldest;
                oldest.move_to(oldest.get().max(place));
            }
        }
    }

    /// Lets everybody read to the end.
    fn settle(mut self) {
        let mut readers = std::mem::take(&mut self.readers);
        let all = Wish::Subscribe {
            asked: 0,
            tests: true,
        };
        for reader in &mut readers {
            reader.say(all, self.published());
        }
        readers.retain_mut(|reader| {
            while !reader.sent.is_empty() {
                if !reader.follow(&self) {
                    return false;
                }
            }
            true
        });
        self.publish(vec![Said {
            symbol: 0,
            is_test: false,
            note: 0,
        }]);
        for mut reader in readers {
            while reader.earliest <= self.published() {
                if !reader.follow(&self) {
                    break;
                }
            }
        }
    }

    /// The first place from this one on whose signal passes; behind the log if there is none.
    fn next_passing(&self, filter: &Filter, from: u64) -> u64 {
        let from = usize::try_from(from - 1).unwrap();
        let passing = self.said[from..]
            .iter()
            .position(|said| filter.passes(said));
        passing.map_or(self.published() + 1, |ahead| (from + ahead + 1) as u64)
    }
}

impl Reader {
    fn say(&mut self, wish: Wish, published: u64) {
        let command = wish.command(published);
        self.peer.send(TEXT, command.to_string().as_bytes());
        self.sent.push_back((wish, published));
    }

    /// Looks at what it gets next. False when that is the end, for which there must be a reason.
    fn follow(&mut self, model: &Model) -> bool {
        let (first, payload) = self.peer.next().expect("the connection goes on");
        if first == CLOSE {
            assert_eq!(payload[..2], 1013_u16.to_be_bytes());
            let oldest = model.grip.oldest.get().get();
            assert!(oldest > self.earliest, "nothing that it needs is gone");
            return false;
        }
        let text = String::from_utf8(payload).unwrap();
        let frame: Value = serde_json::from_str(&text).unwrap();
        if frame["seq"].is_u64() {
            self.signal(model, frame["seq"].as_u64().unwrap());
        } else {
            let (wish, published) = self.sent.pop_front().expect("nothing was asked for");
            self.answer(model, wish, published, &frame);
        }
        true
    }

    fn signal(&mut self, model: &Model, seq: u64) {
        let said = &model.said[usize::try_from(seq - 1).unwrap()];
        assert!(
            self.filter.passes(said),
            "{seq} does not pass {:?}",
            self.filter
        );
        assert!(seq >= self.earliest, "{seq} comes again");
        let missed = model.next_passing(&self.filter, self.latest.min(seq));
        assert_eq!(missed, seq, "one is missing");
        (self.earliest, self.latest) = (seq + 1, seq + 1);
        self.head = self.head.max(seq);
    }

    fn answer(&mut self, model: &Model, wish: Wish, published: u64, frame: &Value) {
        match wish {
            Wish::Ping => assert_eq!(frame["type"], "pong"),
            Wish::Subscribe { asked, tests } => {
                let all: &[&str] = &["*"];
                let expected = json!({
                    "type": "subscribed", "symbols": ASKED[asked].unwrap_or(all), "tests": tests
                });
                assert_eq!(*frame, expected);
                self.refilter(
                    model,
                    Filter {
                        asked,
                        tests,
                        ..self.filter
                    },
                );
            }
            Wish::Auth { allowed } => {
                assert_eq!(frame["type"], "authenticated", "{frame}");
                self.refilter(
                    model,
                    Filter {
                        allowed,
                        ..self.filter
                    },
                );
            }
            Wish::Resume(_) => self.resumed(model, wish.after(published), published, frame),
        }
    }

    /// What does not pass by the filter that held may have been passed over by now.
    fn refilter(&mut self, model: &Model, filter: Filter) {
        self.latest = model.next_passing(&self.filter, self.latest);
        self.filter = filter;
    }

    fn resumed(&mut self, model: &Model, after: u64, published: u64, frame: &Value) {
        let oldest = model.grip.oldest.get().get();
        if frame["type"] == "error" {
            assert_eq!(frame["code"], "history_gone");
            let too_old = after + 1 < oldest;
            assert!(too_old || after > published, "{after} was there: {frame}");
            return;
        }
        let to_seq = frame["to_seq"].as_u64().unwrap();
        let expected = json!({ "type": "resumed", "from_seq": after + 1, "to_seq": to_seq });
        assert_eq!(*frame, expected);
        assert!(after <= to_seq && to_seq <= model.published(), "{frame}");
        assert!(
            self.head <= to_seq,
            "{} was sent before: {frame}",
            self.head
        );
        self.head = to_seq;
        (self.earliest, self.latest) = (after + 1, after + 1);
    }
}

impl Wish {
    fn command(self, published: u64) -> Value {
        match self {
            Self::Ping => json!({ "type": "ping" }),
            Self::Subscribe { asked, tests } => {
                let mut command = json!({ "type": "subscribe", "tests": tests });
                if let Some(patterns) = ASKED[asked] {
                    command["symbols"] = json!(patterns);
                }
                command
            }
            Self::Resume(_) => json!({ "type": "resume", "after_seq": self.after(published) }),
            Self::Auth { allowed } => {
                let claims = with(
                    "symbols",
                    ALLOWED[allowed].map_or(json!(["*"]), |of| json!(of)),
                );
                json!({ "type": "auth", "token": token(&claims, KEY) })
            }
        }
    }

    /// The last signal that it says it has, when so many were published.
    fn after(self, published: u64) -> u64 {
        match self {
            Self::Resume(place) => published * place / 1000,
            _ => 0,
        }
    }
}

proptest! {
    // A case that fails takes as long as a test is patient, so few smaller ones are looked for.
    #![proptest_config(ProptestConfig {
        cases: 48,
        max_shrink_time: 120_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn each_signal_that_passes_comes_in_order_and_once_after_each_resumed(
        tail_bytes in prop_oneof![Just(0), 1_000..300_000_usize],
        events in prop::collection::vec(event(), 1..80),
    ) {
        let journal = Kept::new();
        let grip = journal.grip();
        let options = Options { tail_bytes, ..Options::default() };
        let rig = Rig::start(Box::new(journal), options);
        let mut model = Model { rig, said: Vec::new(), grip, readers: Vec::new() };
        for event in events {
            model.go(event);
        }
        model.settle();
    }
}
