//! Whatever the log, the view and the place to begin: a client gets exactly what it is entitled
//! to, once, in order, across the border between log and hot tail, while signals flow.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod shard;

use std::fmt::Write as _;

use proptest::prelude::*;
use shard::kept::{Grip, Kept};
use shard::{Options, Peer, Rig};
use signalcast::hub::{Framing, Stale, Tests, View};
use signalcast::journal::{Batch, Entry, Journal, Keeping, Sqlite};
use signalcast::signal::{
    PriceForm, Protocol, ReceivedAt, Seq, Signal, SymbolFilter, TimeUnit, Timestamp,
};

use common::frames::{CLOSE, TEXT};

const TIMESTAMP: u64 = 1_720_000_000;

/// The first passes every filter.
const SYMBOLS: [&str; 4] = ["BTCUSDT", "BTCEUR", "ETHUSDT", "X"];

/// Names, and how JSON writes them.
const SOURCES: [(&str, &str); 3] = [
    ("stdin", r#""stdin""#),
    (r#"file:a "b"\c.jsonl"#, r#""file:a \"b\"\\c.jsonl""#),
    ("file:é\u{1}\n", r#""file:é\u0001\n""#),
];

/// What is said of a signal.
#[derive(Clone, Debug)]
struct Said {
    symbol: usize,
    price: String,
    is_test: bool,
    validity: Validity,
    source: usize,
    note: usize,
    id: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Validity {
    Endless,
    Over,
    Far,
}

/// What happens.
#[derive(Clone, Debug)]
enum Event {
    Publish(Vec<Said>),
    /// Somebody comes, with this view, from a place in thousandths of what is kept.
    Come {
        view: usize,
        place: u64,
    },
    /// One of those that are there reads so many bytes.
    Read {
        who: usize,
        bytes: usize,
    },
    /// What is before a place, in thousandths of the log, is kept no more.
    Retain(u64),
}

fn said() -> impl Strategy<Value = Said> {
    let validity = prop_oneof![
        6 => Just(Validity::Endless), 1 => Just(Validity::Over), 1 => Just(Validity::Far)
    ];
    let price = (0..1_000_000_u64, 0..9_usize).prop_map(|(whole, zeros)| match zeros {
        0 => whole.to_string(),
        zeros => format!("-{whole}.1{}", "0".repeat(zeros)),
    });
    let note = prop_oneof![8 => 0..60_usize, 1 => 60..3000_usize];
    let rest = (0..SOURCES.len(), note, any::<bool>());
    let said = (
        0..SYMBOLS.len(),
        price,
        prop::bool::weighted(0.2),
        validity,
        rest,
    );
    said.prop_map(
        |(symbol, price, is_test, validity, (source, note, id))| Said {
            symbol,
            price,
            is_test,
            validity,
            source,
            note,
            id,
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => prop::collection::vec(said(), 1..60).prop_map(Event::Publish),
        2 => prop::collection::vec(said(), 400..700).prop_map(Event::Publish),
        4 => (0..views().len(), 0..=1000_u64).prop_map(|(view, place)| Event::Come { view, place }),
        6 => (0..50_usize, 1..40_000_usize).prop_map(|(who, bytes)| Event::Read { who, bytes }),
        1 => (0..=1000_u64).prop_map(Event::Retain),
    ]
}

/// Every mixture of what can be asked for.
fn views() -> Vec<View> {
    let only = |pattern: &str| SymbolFilter::matching([pattern.to_owned()]).unwrap();
    let mut views = Vec::new();
    let forms = [
        (Protocol::V1, Framing::WebSocket),
        (Protocol::V2, Framing::WebSocket),
        (Protocol::V2, Framing::Events),
    ];
    for bits in 0..96_u8 {
        let set = |bit: u8| bits & (1 << bit) != 0;
        let (protocol, framing) = forms[usize::from(bits / 32)];
        views.push(View {
            protocol,
            framing,
            prices: if set(0) {
                PriceForm::String
            } else {
                PriceForm::Number
            },
            allowed: if set(1) {
                only("BTC*")
            } else {
                SymbolFilter::All
            },
            symbols: if set(2) {
                only("*USDT")
            } else {
                SymbolFilter::All
            },
            tests: if set(3) { Tests::LeftOut } else { Tests::Sent },
            stale: if set(4) {
                Stale::Marked
            } else {
                Stale::LeftOut
            },
        });
    }
    views
}

/// The log as it should be, and those who read it.
struct Model {
    rig: Rig,
    said: Vec<Said>,
    grip: Option<Grip>,
    readers: Vec<Reader>,
}

struct Reader {
    peer: Peer,
    view: View,
    from: usize,
}

impl Model {
    fn publish(&mut self, said: Vec<Said>) {
        let mut batch = Batch::default();
        for said in &said {
            let received_at = TIMESTAMP * 1_000_000 + (self.said.len() as u64) * 333_333;
            batch.entries.push(Entry {
                signal: said.signal(self.said.len() + batch.entries.len()),
                source: SOURCES[said.source].0.into(),
                received_at: ReceivedAt::from_micros(i64::try_from(received_at).unwrap()),
            });
        }
        self.rig.publish(batch);
        self.said.extend(said);
    }

    /// How much of the log is kept no more.
    fn gone(&self) -> usize {
        let oldest = self.grip.as_ref().map_or(1, |grip| grip.oldest.get().get());
        usize::try_from(oldest - 1).unwrap()
    }

    fn go(&mut self, event: Event) {
        match event {
            Event::Publish(said) => self.publish(said),
            Event::Come { view, place } => {
                let kept = (self.said.len() - self.gone()) as u64;
                let from = self.gone() as u64 + kept * place / 1000;
                let view = views()[view].clone();
                let next = Seq::new(from + 1).unwrap();
                let peer = self.rig.connect(&view, next);
                let from = usize::try_from(from).unwrap();
                self.readers.push(Reader { peer, view, from });
            }
            Event::Read { who, bytes } => {
                let count = self.readers.len().max(1);
                if let Some(reader) = self.readers.get_mut(who % count) {
                    reader.peer.read_some(bytes);
                }
            }
            Event::Retain(place) => {
                if let Some(grip) = &self.grip {
                    let place = Seq::new(1 + self.said.len() as u64 * place / 1000).unwrap();
                    grip.oldest.move_to(grip.oldest.get().max(place));
                }
            }
        }
    }

    /// What somebody is entitled to, text by text, with the place of each.
    fn entitled(&self, view: &View, from: usize) -> Vec<(usize, String)> {
        let shown = |said: &Said| {
            let symbol = SYMBOLS[said.symbol];
            view.allowed.matches(symbol)
                && view.symbols.matches(symbol)
                && (!said.is_test || view.tests == Tests::Sent)
                && (said.validity != Validity::Over || view.stale == Stale::Marked)
        };
        let log = self.said.iter().enumerate().skip(from);
        log.filter(|(_, said)| shown(said))
            .map(|(place, _)| (place, self.text(view, place)))
            .collect()
    }

    /// One signal as it goes on the wire.
    fn text(&self, view: &View, place: usize) -> String {
        let (said, recorded) = (&self.said[place], &self.rig.log[place]);
        let quote = if view.prices == PriceForm::String {
            "\""
        } else {
            ""
        };
        let mut text = r#"{"type":"buy""#.to_owned();
        if view.protocol == Protocol::V2 {
            let id = if said.id {
                format!("given-{place}")
            } else {
                recorded.id().to_string()
            };
            write!(text, r#","seq":{},"id":"{id}""#, place + 1).unwrap();
        }
        let (symbol, price, note) = (SYMBOLS[said.symbol], &said.price, "x".repeat(said.note));
        write!(
            text,
            r#","content":{{"symbol":"{symbol}","price":{quote}{price}{quote},"timestamp":{TIMESTAMP},"note":"{note}"}},"is_test":{}"#,
            said.is_test
        )
        .unwrap();
        if view.protocol == Protocol::V2 {
            let source = SOURCES[said.source].1;
            let micros = recorded.received_at().micros();
            let received_at = jiff::Timestamp::from_microsecond(micros).unwrap();
            write!(
                text,
                r#","source":{source},"received_at":"{received_at:.6}""#
            )
            .unwrap();
            if said.validity == Validity::Over {
                text.push_str(r#","stale":true"#);
            }
        }
        text + "}"
    }

    /// Lets everybody read to the end.
    fn settle(mut self) {
        let last = Said {
            symbol: 0,
            price: "1".to_owned(),
            is_test: false,
            validity: Validity::Endless,
            source: 0,
            note: 0,
            id: false,
        };
        self.publish(vec![last]);
        for mut reader in std::mem::take(&mut self.readers) {
            if reader.view.protocol == Protocol::V2 {
                let first = reader.peer.text();
                assert!(
                    first.starts_with(r#"{"type":"connection_established","#),
                    "{first}"
                );
            }
            for (place, expected) in self.entitled(&reader.view, reader.from) {
                let (first, payload) = reader.peer.next().expect("the connection goes on");
                if first == CLOSE {
                    assert_eq!(payload[..2], 1013_u16.to_be_bytes());
                    assert!(self.gone() > reader.from, "nothing is gone");
                    break;
                }
                let payload = String::from_utf8(payload).unwrap();
                assert_eq!(first, TEXT, "{payload}");
                assert!(
                    payload == expected,
                    "at {place}: {payload} instead of {expected}"
                );
                reader.from = place + 1;
            }
        }
    }
}

impl Said {
    fn signal(&self, place: usize) -> Signal {
        let note = "x".repeat(self.note);
        let mut line = format!(
            r#"{{"side":"buy","symbol":"{}","price":"{}","timestamp":{TIMESTAMP},"note":"{note}","is_test":{}"#,
            SYMBOLS[self.symbol], self.price, self.is_test
        );
        match self.validity {
            Validity::Endless => {}
            Validity::Over => line.push_str(r#","valid_for":1"#),
            Validity::Far => line.push_str(r#","valid_for":9000000000"#),
        }
        if self.id {
            write!(line, r#","id":"given-{place}""#).unwrap();
        }
        line.push('}');
        let now = Timestamp::new(TIMESTAMP).unwrap();
        let signal = Signal::parse_line(line.as_bytes(), TimeUnit::Seconds, now);
        signal.unwrap().unwrap()
    }
}

fn play(journal: Box<dyn Journal>, grip: Option<Grip>, tail_bytes: usize, events: Vec<Event>) {
    let options = Options {
        tail_bytes,
        ..Options::default()
    };
    let mut model = Model {
        rig: Rig::start(journal, options),
        said: Vec::new(),
        grip,
        readers: Vec::new(),
    };
    for event in events {
        model.go(event);
    }
    model.settle();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_client_gets_what_it_is_entitled_to_once_and_in_order_from_wherever_it_begins(
        tail_bytes in prop_oneof![Just(0), 1_000..300_000_usize],
        events in prop::collection::vec(event(), 1..60),
        in_sqlite in any::<bool>(),
    ) {
        if in_sqlite {
            let folder = tempfile::tempdir().unwrap();
            let journal = Sqlite::open(folder.path(), Keeping::default()).unwrap();
            play(Box::new(journal), None, tail_bytes, events);
        } else {
            let journal = Kept::new();
            let grip = journal.grip();
            play(Box::new(journal), Some(grip), tail_bytes, events);
        }
    }
}
