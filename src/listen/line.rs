//! A signal as a line for people. Numbers are copied, never computed with.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::printable::printable;

/// `2024-07-03T09:46:40Z BUY BTCUSDT 75000.00 TEST quantity=0.5`, or none if it is no signal.
pub(super) fn of(frame: &str) -> Option<String> {
    let signal: Frame<'_> = serde_json::from_str(frame).ok()?;
    let side = match &*signal.side {
        "buy" => "BUY",
        "sell" => "SELL",
        _ => return None,
    };
    let (mut symbol, mut price, mut time, mut extras) = (None, None, None, String::new());
    for (key, value) in signal.content.0 {
        let text = value.get();
        match key.as_str() {
            "symbol" => symbol = serde_json::from_str::<String>(text).ok(),
            // A server may send it as a string, for JavaScript.
            "price" => price = Some(text.trim_matches('"')),
            "timestamp" => {
                time = text
                    .parse()
                    .ok()
                    .and_then(|s| Timestamp::from_second(s).ok())
            }
            _ => {
                extras.push(' ');
                extras.push_str(&key);
                extras.push('=');
                extras.push_str(text);
            }
        }
    }
    let test = if signal.is_test { " TEST" } else { "" };
    let (time, symbol, price) = (time?, symbol?, price?);
    let stale = if signal.stale { " STALE" } else { "" };
    let line = format!("{time} {side} {symbol} {price}{test}{stale}{extras}");
    Some(printable(&line))
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type", borrow)]
    side: Cow<'a, str>,
    #[serde(borrow)]
    content: Content<'a>,
    is_test: bool,
    /// Only servers that were asked for stale signals say so.
    #[serde(default)]
    stale: bool,
}

/// The keys of `content` in their order, with their values as they stand.
struct Content<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InOrder).map(Content)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_one_line_exact_to_the_digit() {
        for (frame, line) in [
            (
                r#"{"type":"buy","content":{"symbol":"BTCUSDT","price":75000.00,"timestamp":1720000000},"is_test":false}"#,
                Some("2024-07-03T09:46:40Z BUY BTCUSDT 75000.00"),
            ),
            (
                r#"{"type":"sell","content":{"symbol":"BTC/USDT:USDT","price":0.1000000000000000000000000001,"timestamp":0,"quantity":1.50,"note":"a \"b\""},"is_test":true}"#,
                Some(
                    r#"1970-01-01T00:00:00Z SELL BTC/USDT:USDT 0.1000000000000000000000000001 TEST quantity=1.50 note="a \"b\"""#,
                ),
            ),
            (
                r#"{"type":"buy","seq":7,"id":"a","content":{"symbol":"A","price":"1.0","timestamp":0,"n":1},"is_test":true,"source":"stdin","received_at":"2026-11-20T10:00:00.123456Z","stale":true}"#,
                Some("1970-01-01T00:00:00Z BUY A 1.0 TEST STALE n=1"),
            ),
            (
                r#"{"type":"buy","content":{"symbol":"A\u001b[2J","price":"1.0","timestamp":0},"is_test":false}"#,
                Some(r"1970-01-01T00:00:00Z BUY A\u{1b}[2J 1.0"),
            ),
            (
                r#"{"type":"error","code":"unknown_command","message":"x"}"#,
                None,
            ),
            ("test", None),
        ] {
            assert_eq!(of(frame).as_deref(), line, "{frame}");
        }
    }
}
