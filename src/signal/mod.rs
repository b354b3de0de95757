//! What a signal is: its parts, the shapes in which a line may bring it, and its text on the wire.
//! Nothing here does I/O or reads a clock.

use std::time::Duration;

mod canonical;
mod digits;
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
mod stored;
mod symbol;
mod timestamp;
mod value;
mod wire;

#[cfg(test)]
mod properties;

pub use id::{Id, InvalidId};
pub use invalid::InvalidSignal;
pub use pattern::{InvalidPattern, SymbolFilter};
pub use price::{InvalidPrice, Price};
pub use received_at::{InvalidTime, ReceivedAt};
pub use seq::Seq;
pub use side::{InvalidSide, Side};
pub use stored::{NotAsRecorded, StoredSignal};
pub use symbol::{InvalidSymbol, Symbol};
pub use timestamp::{InvalidTimestamp, TimeUnit, Timestamp};
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
    valid_for: Option<Duration>,
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

    /// The least that a signal is.
    fn live(side: Side, symbol: Symbol, price: Price, timestamp: Timestamp) -> Self {
        Self {
            side,
            symbol,
            price,
            timestamp,
            is_test: false,
            id: None,
            valid_for: None,
            extra: Box::default(),
        }
    }

    /// Valid for this long at most (`signals.max_age`), or less if it says so itself.
    #[must_use]
    pub fn with_max_age(mut self, max_age: Option<Duration>) -> Self {
        self.valid_for = match (self.valid_for, max_age) {
            (Some(own), Some(most)) => Some(own.min(most)),
            (own, most) => own.or(most),
        };
        self
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

    /// How long it is worth anything, counted from its timestamp; without it, for ever.
    pub fn valid_for(&self) -> Option<Duration> {
        self.valid_for
    }

    /// Its timestamp and how long it is valid from there on: from then on it is stale.
    pub fn stale_after(&self) -> Option<Timestamp> {
        let valid_for = self.valid_for?;
        Some(self.timestamp.saturating_add(valid_for))
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
                valid_for: seconds(own),
                ..Signal::live(Side::Buy, symbol, price, Timestamp::new(1000).unwrap())
            };
            let stale = signal.with_max_age(seconds(most)).stale_after();
            assert_eq!(stale.map(Timestamp::get), stale_after);
        }
    }
}
