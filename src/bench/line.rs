use std::fmt::{self, Display, Formatter};
use std::io::Write;
use std::num::NonZeroU16;

use super::moment::Moment;

/// The lines that a feed is made of: signals that say which one they are (their timestamp) and
/// when they were written (their price: seconds on the monotonic clock).
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines {
    /// How long a line is at least, without its end.
    pub(super) least_bytes: usize,
    pub(super) symbols: Symbols,
}

/// How many symbols lines have, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Symbols(pub(crate) NonZeroU16);

impl Symbols {
    #[cfg(test)]
    pub(super) const ONE: Self = Self(NonZeroU16::MIN);

    pub(super) fn count(self) -> u64 {
        self.0.get().into()
    }

    /// That of a line.
    pub(super) fn of(self, number: u64) -> Symbol {
        Symbol((self.0 > NonZeroU16::MIN).then(|| number % self.count()))
    }
}

/// One of several, or the only one. All are as long.
#[derive(Debug)]
pub(super) struct Symbol(Option<u64>);

impl Display for Symbol {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("BTCUSDT"),
            Some(number) => write!(f, "SY{number:05}"),
        }
    }
}

/// The timestamp of line 0.
pub(super) const FIRST_TIMESTAMP: u64 = 1_720_000_000;

impl Lines {
    /// Appends line `number`, written `now`.
    pub(super) fn write(self, out: &mut Vec<u8>, number: u64, now: Moment) {
        let start = out.len();
        let (seconds, nanoseconds) = (now.0 / 1_000_000_000, now.0 % 1_000_000_000);
        let timestamp = FIRST_TIMESTAMP + number;
        let symbol = self.symbols.of(number);
        write!(
            out,
            r#"{{"type":"buy","content":{{"symbol":"{symbol}","price":{seconds}.{nanoseconds:09},"timestamp":{timestamp}"#
        )
        .expect("memory takes it");
        let missing = self
            .least_bytes
            .saturating_sub(out.len() - start + END.len());
        if missing > 0 {
            out.extend_from_slice(NOTE);
            out.resize(out.len() + missing.saturating_sub(NOTE.len() + 1), b'x');
            out.push(b'"');
        }
        out.extend_from_slice(END);
        out.push(b'\n');
    }
}

const NOTE: &[u8] = br#","note":""#;
/// Nobody may trade by it, should it reach somebody who would.
const END: &[u8] = br#"},"is_test":true}"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn line(least_bytes: usize) -> String {
        let mut out = Vec::new();
        let symbols = Symbols::ONE;
        Lines {
            least_bytes,
            symbols,
        }
        .write(&mut out, 7, Moment(12_000_000_345));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_is_a_signal_with_its_number_and_its_time() {
        assert_eq!(
            line(0),
            "{\"type\":\"buy\",\"content\":{\"symbol\":\"BTCUSDT\",\"price\":12.000000345,\
             \"timestamp\":1720000007},\"is_test\":true}\n"
        );
    }

    #[test]
    fn a_longer_one_is_padded_to_the_byte_and_still_a_signal() {
        for bytes in [150, 1000, 60_000] {
            let line = line(bytes);
            assert_eq!(line.len(), bytes + 1);
            serde_json::from_str::<serde_json::Value>(&line).unwrap();
        }
    }
}
