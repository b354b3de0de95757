//! What a signal is: its parts, the shapes in which a line may bring it, and its text on the wire.
//! Nothing here does I/O or reads a clock.

use std::time::Duration;

mod body_lines;
mod canonical;
mod digits;
mod document;
mod escape;
mod excerpt;
mod fields;
mod id;
mod invalid;
mod json;
mod line;
mod member;
mod number;
mod object;
mod pattern;
mod price;
mod received_at;
mod rfc3339;
mod seq;
mod side;
mod side_words;
mod stored;
mod symbol;
mod test_mark;
mod timestamp;
mod validity;
mod value;
mod wire;

#[cfg(test)]
mod properties;

pub use body_lines::{BodyLines, RefusedLine};
pub use document::{Document, Found};
pub use id::{Id, InvalidId};
pub use invalid::InvalidSignal;
pub use line::BYTE_ORDER_MARK;
pub use pattern::{InvalidPattern, SymbolFilter};
pub use price::{InvalidPrice, Price};
pub use received_at::{InvalidTime, ReceivedAt};
pub use seq::Seq;
pub use side::{InvalidSide, Side};
pub use side_words::{InvalidSideWord, SideWord, SideWords};
pub use stored::{NotAsRecorded, StoredSignal};
pub use symbol::{InvalidSymbol, Symbol};
pub use timestamp::{InvalidTimestamp, TimeUnit, Timestamp};
pub use validity::Validity;
pub use wire::{PriceForm, Protocol};

/// One trading signal, as a strategy made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    side: Side,
    symbol: Symbol,
    price: Price,
    timestamp: Timestamp,
    is_test: bool,
    id: Option<Id>,
    validity: Validity,
    /// The strategy's own keys, ready to stand after the timestamp: `,"quantity":1.50`, each with
    /// its comma, white space between tokens removed. Every token is as it was given, and no key is
    /// there twice or one of ours.
    extra: Box<str>,
}

impl Signal {
    /// A signal that the server makes itself, so that a client can see one: it is a test.
    pub fn synthetic(side: Side, symbol: Symbol, price: Price, timestamp: Timestamp) -> Self {
        Self {
            is_test: true,
            ..Self::live(side, symbol, price, timestamp)
        }
    }

    /// A signal that is no test and says no more than it has to.
    pub fn live(side: Side, symbol: Symbol, price: Price, timestamp: Timestamp) -> Self {
        Self {
            side,
            symbol,
            price,
            timestamp,
            is_test: false,
            id: None,
            validity: Validity::Unlimited,
            extra: Box::default(),
        }
    }

    /// The same signal, which nobody may trade on if this is so.
    #[must_use]
    pub fn test_if(self, is_test: bool) -> Self {
        Self { is_test, ..self }
    }

    /// The same signal; if its source gave it no id, with this one.
    #[must_use]
    pub fn or_id(mut self, id: impl FnOnce() -> Id) -> Self {
        self.id.get_or_insert_with(id);
        self
    }

    /// Valid for this long at most (`signals.max_age`), or less if it says so itself.
    #[must_use]
    pub fn with_max_age(mut self, max_age: Option<Duration>) -> Self {
        if let Some(most) = max_age {
            self.validity = self.validity.at_most(most);
        }
        self
    }

    /// From now on it is worth nothing, whatever it says itself: it is recorded while the server is
    /// halted.
    pub fn make_void(&mut self) {
        self.validity = Validity::Void;
    }

    /// Buy or sell.
    pub fn side(&self) -> Side {
        self.side
    }

    /// What is traded.
    pub fn symbol(&self) -> &Symbol {
        &self.symbol
    }

    /// At which price.
    pub fn price(&self) -> Price {
        self.price
    }

    /// When it was made; when it was received, if it did not say.
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// Whether nobody may trade on it.
    pub fn is_test(&self) -> bool {
        self.is_test
    }

    /// The id that its source gave.
    pub fn id(&self) -> Option<&Id> {
        self.id.as_ref()
    }

    /// How long it is worth anything.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// From then on it is stale; `None`: never.
    pub fn stale_after(&self) -> Option<Timestamp> {
        self.validity.end(self.timestamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shorter_validity_wins() {
        let seconds = |seconds: Option<u64>| seconds.map(Duration::from_secs);
        for (own, most, stale_after) in [
            (None, None, None),
            (None, Some(60), Some(1060)),
            (Some(30), None, Some(1030)),
            (Some(30), Some(60), Some(1030)),
            (Some(90), Some(60), Some(1060)),
        ] {
            let (symbol, price) = ("A".parse().unwrap(), "1".parse().unwrap());
            let signal = Signal {
                validity: seconds(own).map_or(Validity::Unlimited, Validity::For),
                ..Signal::live(Side::Buy, symbol, price, Timestamp::new(1000).unwrap())
            };
            let stale = signal.with_max_age(seconds(most)).stale_after();
            assert_eq!(stale.map(Timestamp::get), stale_after);
        }
    }

    #[test]
    fn what_is_void_was_stale_at_all_times() {
        let valid = [
            Validity::Unlimited,
            Validity::For(Duration::from_secs(1)),
            Validity::For(Duration::MAX),
        ];
        for validity in valid {
            for made in [0, 1000, Timestamp::MAX.get()] {
                let (symbol, price) = ("A".parse().unwrap(), "1".parse().unwrap());
                let mut signal = Signal {
                    validity,
                    ..Signal::live(Side::Buy, symbol, price, Timestamp::new(made).unwrap())
                };
                assert_ne!(signal.stale_after(), Some(Timestamp::MIN), "{validity:?}");
                signal.make_void();
                let signal = signal.with_max_age(Some(Duration::from_secs(60)));
                assert_eq!(signal.stale_after(), Some(Timestamp::MIN));
            }
        }
    }
}
