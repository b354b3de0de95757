use super::fields::Fields;
use super::json::Scanner;
use super::{Id, Price, Side, Signal, Symbol, Timestamp, Validity};

/// A signal as the log keeps it: some of its parts, to be looked at with any tool, and the value
/// of `content` as clients get it.
#[derive(Clone, Debug)]
pub struct StoredSignal<'a> {
    /// `buy` or `sell`.
    pub side: &'a str,
    /// Read from its text by the caller, who sees the same ones again and again.
    pub symbol: Symbol,
    /// The exact digits.
    pub price: &'a str,
    /// Unix seconds.
    pub timestamp: i64,
    /// Whether nobody may trade on it.
    pub is_test: bool,
    /// The id that its source gave.
    pub id: Option<Id>,
    /// Unix seconds; `None`: never. 0: it is void.
    pub stale_after: Option<i64>,
    /// [`Signal::write_content`], the price as a number.
    pub content: &'a str,
}

/// A stored signal that no line can have become: somebody has changed it, or the disk has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its {0} is not what was recorded")]
pub struct NotAsRecorded(&'static str);

impl Signal {
    /// The signal that was stored. What is written of it is, byte for byte, what was written of
    /// it before.
    ///
    /// # Errors
    /// Its parts don't belong together, or are none that a signal has.
    pub fn from_stored(stored: StoredSignal<'_>) -> Result<Self, NotAsRecorded> {
        let side = match stored.side {
            "buy" => Side::Buy,
            "sell" => Side::Sell,
            _ => return Err(NotAsRecorded("type")),
        };
        let price = price(stored.price).ok_or(NotAsRecorded("price"))?;
        let timestamp = time(stored.timestamp).ok_or(NotAsRecorded("timestamp"))?;
        let validity = validity(stored.stale_after, timestamp);
        let extra = extra(&stored).ok_or(NotAsRecorded("content"))?;
        Ok(Self {
            side,
            symbol: stored.symbol,
            price,
            timestamp,
            is_test: stored.is_test,
            id: stored.id,
            validity: validity.ok_or(NotAsRecorded("stale_after"))?,
            extra: extra.into(),
        })
    }
}

/// A price as [`Price`] writes it: no exponent, no sign on zero.
fn price(text: &str) -> Option<Price> {
    let is_plain = text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-'));
    let is_negative_zero =
        text.starts_with('-') && text.bytes().all(|byte| matches!(byte, b'0' | b'.' | b'-'));
    if !is_plain || is_negative_zero {
        return None;
    }
    text.parse().ok()
}

fn time(seconds: i64) -> Option<Timestamp> {
    Timestamp::new(u64::try_from(seconds).ok()?)
}

fn validity(stale_after: Option<i64>, timestamp: Timestamp) -> Option<Validity> {
    let end = match stale_after {
        None => None,
        Some(seconds) => Some(time(seconds)?),
    };
    Validity::ending(end, timestamp)
}

/// What stands in the content after the timestamp, if everything before it is as it must be.
fn extra<'a>(stored: &StoredSignal<'a>) -> Option<&'a str> {
    let rest = stored.content.strip_prefix(r#"{"symbol":""#)?;
    let rest = without_symbol(rest, stored.symbol.as_str())?;
    let rest = rest.strip_prefix(r#"","price":"#)?;
    let rest = rest.strip_prefix(stored.price)?;
    let rest = rest.strip_prefix(r#","timestamp":"#)?;
    let rest = without_number(rest, stored.timestamp)?;
    let extra = rest.strip_suffix('}')?;
    (extra.is_empty() || is_as_kept(stored.content, extra)).then_some(extra)
}

/// What follows the symbol, which is written with the fewest escapes.
fn without_symbol<'a>(text: &'a str, symbol: &str) -> Option<&'a str> {
    if !symbol.contains(['"', '\\']) {
        return text.strip_prefix(symbol);
    }
    symbol.chars().try_fold(text, |rest, c| {
        let rest = match c {
            '"' | '\\' => rest.strip_prefix('\\')?,
            _ => rest,
        };
        rest.strip_prefix(c)
    })
}

fn without_number(text: &str, number: i64) -> Option<&str> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit())?;
    let (digits, rest) = text.split_at(end);
    let is_plain = digits.len() == 1 || !digits.starts_with('0');
    (is_plain && digits.parse() == Ok(number)).then_some(rest)
}

/// Whether the strategy's own keys are JSON as [`Signal`] keeps it: it will be sent as it is.
fn is_as_kept(content: &str, extra: &str) -> bool {
    let mut scanner = Scanner::new(content);
    let mut fields = Fields::default();
    let read = fields.read_content(&mut scanner);
    read.and_then(|()| scanner.end()).is_ok() && fields.extra == extra
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(content: &str) -> StoredSignal<'_> {
        StoredSignal {
            side: "buy",
            symbol: r#"A"\B"#.parse().unwrap(),
            price: "1.50",
            timestamp: 7,
            is_test: false,
            id: None,
            stale_after: None,
            content,
        }
    }

    const CONTENT: &str = r#"{"symbol":"A\"\\B","price":1.50,"timestamp":7,"quantity":1.0}"#;

    #[test]
    fn a_stored_signal_is_written_as_before() {
        let signal = Signal::from_stored(StoredSignal {
            stale_after: Some(9),
            ..stored(CONTENT)
        })
        .unwrap();
        let mut out = Vec::new();
        signal.write_content(crate::signal::PriceForm::Number, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), CONTENT);
        assert_eq!(signal.stale_after(), Timestamp::new(9));
    }

    #[test]
    fn what_is_void_is_void_when_it_is_read_back() {
        for (timestamp, content) in [
            (7, CONTENT.to_owned()),
            (0, CONTENT.replace("\"timestamp\":7", "\"timestamp\":0")),
        ] {
            let signal = Signal::from_stored(StoredSignal {
                timestamp,
                stale_after: Some(0),
                ..stored(&content)
            });
            assert_eq!(signal.unwrap().validity(), Validity::Void);
        }
        for (stale_after, validity) in [
            (None, Validity::Unlimited),
            (Some(8), Validity::For(std::time::Duration::from_secs(1))),
        ] {
            let signal = Signal::from_stored(StoredSignal {
                stale_after,
                ..stored(CONTENT)
            });
            assert_eq!(signal.unwrap().validity(), validity);
        }
    }

    #[test]
    fn what_no_line_can_have_become_is_an_error() {
        for content in [
            "",
            "{}",
            r#"{"symbol":"A","price":1.50,"timestamp":7}"#,
            r#"{"symbol":"A\"\\B","price":1.5,"timestamp":7}"#,
            r#"{"symbol":"A\"\\B","price":1.500,"timestamp":7}"#,
            r#"{"symbol":"A\"\\B","price":1.50,"timestamp":8}"#,
            r#"{"symbol":"A\"\\B","price":1.50,"timestamp":07}"#,
            r#"{"symbol":"A\"\\B","price":1.50,"timestamp":7"#,
            r#"{"symbol":"A\"\\B","price":1.50,"timestamp":7,}"#,
            r#"{"symbol":"A\"\\B","price":1.50,"timestamp":7,"a":}"#,
            r#"{"symbol":"A\"\\B","price":1.50,"timestamp":7,"a":1,"a":2}"#,
            r#"{"symbol":"A\"\\B","price":1.50,"timestamp":7,"price":1.50}"#,
            r#"{"symbol":"A\"\\B","price":1.50,"timestamp":7,"a": 1}"#,
            r#"{"symbol":"A\"\\B","price":1.50,"timestamp":7}}"#,
            r#"{"symbol":"A\"\\B","price":1.50,"timestamp":7},{"a":1}"#,
        ] {
            let refused = Signal::from_stored(stored(content));
            assert_eq!(refused, Err(NotAsRecorded("content")), "{content}");
        }
        let refused = |change: fn(&mut StoredSignal<'_>)| {
            let mut stored = stored(CONTENT);
            change(&mut stored);
            Signal::from_stored(stored).unwrap_err().to_string()
        };
        let said = |what: &str| format!("its {what} is not what was recorded");
        assert_eq!(refused(|stored| stored.side = "Buy"), said("type"));
        for price in ["1.5e0", "-0", "-0.00", "1..5", "", "007"] {
            let mut stored = stored(CONTENT);
            stored.price = price;
            let why = Signal::from_stored(stored).unwrap_err();
            assert_eq!(why, NotAsRecorded("price"), "{price}");
        }
        assert_eq!(refused(|stored| stored.price = "2"), said("content"));
        assert_eq!(refused(|stored| stored.timestamp = -1), said("timestamp"));
        assert_eq!(
            refused(|stored| stored.timestamp = 100_000_000_000),
            said("timestamp")
        );
        let stale = |stored: &mut StoredSignal<'_>| stored.stale_after = Some(6);
        assert_eq!(refused(stale), said("stale_after"));
    }
}
