use super::excerpt::Excerpt;
use super::id::InvalidId;
use super::price::InvalidPrice;
use super::side::InvalidSide;
use super::symbol::InvalidSymbol;
use super::timestamp::InvalidTimestamp;

/// Why a line is no signal, and what to write instead.
///
/// What it says is fit for dead letters and answers: a lower-case fragment in which pieces of the
/// line are escaped and cut to 64 characters.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct InvalidSignal(#[from] Reason);

#[derive(Debug, thiserror::Error)]
pub(super) enum Reason {
    #[error("not UTF-8; write the feed in UTF-8")]
    NotUtf8,
    #[error("a JSON {0} is not a signal; write an object in braces, one a line")]
    NotAnObject(&'static str),
    #[error(
        "{0} does not begin a signal; write a JSON object, or text such as buy BTCUSDT 75000.00"
    )]
    NotASignal(Excerpt),
    #[error("{0} is one word too many; write SIDE SYMBOL PRICE [TIMESTAMP] [test]")]
    ExtraWord(Excerpt),

    #[error("not JSON at character {character}: found {found}, expected {expected}")]
    NotJson {
        character: usize,
        found: Excerpt,
        expected: &'static str,
    },
    #[error("not JSON: the line ends too early, expected {expected}")]
    CutOff { expected: &'static str },
    #[error("{0} is not JSON; write a finite number, or leave the key out")]
    NotFinite(Excerpt),
    #[error("{0} is half of a surrogate pair; write both halves, or the character itself")]
    LoneSurrogate(Excerpt),
    #[error("the key {0} stands twice in one object; keep one of them")]
    RepeatedKey(Excerpt),
    #[error("nested deeper than {most} levels; flatten it")]
    TooDeep { most: usize },

    #[error("{0} is missing; add {1}")]
    Missing(&'static str, &'static str),
    #[error("{0} and {1} are two names for one thing; keep one of them")]
    TwoNames(Box<str>, Box<str>),
    #[error("unknown key {key}; did you mean {nearest}?")]
    MistypedKey { key: Excerpt, nearest: &'static str },
    #[error(
        "unknown key {0} beside content; known are type, is_test, id and valid_for, \
         and all else goes inside content"
    )]
    UnknownKey(Excerpt),
    #[error(
        "is_test inside content is not false, and the signal is not a test; write is_test beside content"
    )]
    TestInContent,
    #[error(
        "the key {0} does not make the signal a test; did you mean is_test? \
         If not, write \"is_test\":false at the top, too"
    )]
    LikeIsTest(Excerpt),
    #[error("{field}: {why}")]
    Field { field: Box<str>, why: InvalidField },
}

/// Why a value does not fit where it stands.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvalidField {
    #[error("found {found}; write {expected}")]
    Kind {
        found: &'static str,
        expected: &'static str,
    },
    #[error("{0} is not a duration; write whole seconds above 0, such as 30")]
    ValidFor(Excerpt),
    #[error(transparent)]
    Side(#[from] InvalidSide),
    #[error(transparent)]
    Symbol(#[from] InvalidSymbol),
    #[error(transparent)]
    Price(#[from] InvalidPrice),
    #[error(transparent)]
    Timestamp(#[from] InvalidTimestamp),
    #[error(transparent)]
    Id(#[from] InvalidId),
}

impl InvalidField {
    /// Says where it is.
    pub(super) fn of(self, field: &str) -> InvalidSignal {
        let field = field.into();
        Reason::Field { field, why: self }.into()
    }
}

#[cfg(test)]
mod tests {
    use crate::signal::{Signal, TimeUnit, Timestamp};

    fn refusal(line: &[u8]) -> String {
        let received_at = Timestamp::new(99).unwrap();
        Signal::parse_line(line, TimeUnit::Seconds, received_at)
            .expect_err("this line is no signal")
            .to_string()
    }

    #[test]
    fn every_refusal_says_what_is_wrong_and_what_to_write() {
        let refusals: &[(&[u8], &str)] = &[
            (
                b"buy BTC\xff 1",
                "not UTF-8; write the feed in UTF-8",
            ),
            (
                b"[1]",
                "a JSON array is not a signal; write an object in braces, one a line",
            ),
            (
                br#""buy""#,
                "a JSON string is not a signal; write an object in braces, one a line",
            ),
            (
                b"-1",
                "a JSON number is not a signal; write an object in braces, one a line",
            ),
            (
                b"true",
                "a JSON boolean is not a signal; write an object in braces, one a line",
            ),
            (
                b"null",
                "a JSON null is not a signal; write an object in braces, one a line",
            ),
            (
                b"hold BTCUSDT 1",
                r#""hold" does not begin a signal; write a JSON object, or text such as buy BTCUSDT 75000.00"#,
            ),
            (
                b"buy",
                "symbol is missing; add it after the side: buy SYMBOL PRICE",
            ),
            (
                b"buy BTCUSDT",
                "price is missing; add it after the symbol: buy SYMBOL PRICE",
            ),
            (
                b"buy BTCUSDT 75,000",
                r#"price: "75,000" is not a number; write a decimal such as 75000.00"#,
            ),
            (
                b"buy BTCUSDT inf",
                r#"price: "inf" is not a finite number; write a decimal, or no line when there is no price"#,
            ),
            (
                b"buy BTCUSDT 1 soon",
                r#"timestamp: "soon" is not a time; write Unix seconds such as 1720000000 or RFC 3339 such as 2024-07-03T09:46:40Z"#,
            ),
            (
                b"buy BTCUSDT 1 2024-07-03T09:46:40",
                r#"timestamp: "2024-07-03T09:46:40" has no offset; add Z for UTC, or one such as +02:00"#,
            ),
            (
                b"buy BTCUSDT 1 1720000000123",
                r#"timestamp: "1720000000123" looks like milliseconds; write seconds, or add ?unit=ms to the source"#,
            ),
            (
                b"buy BTCUSDT 1 1720000000123456",
                r#"timestamp: "1720000000123456" is after the year 5138; write Unix seconds, nothing finer"#,
            ),
            (
                b"buy BTCUSDT 1 -1",
                r#"timestamp: "-1" is before 1970; write a time from 1970-01-01T00:00:00Z on"#,
            ),
            (
                b"buy BTCUSDT 1 test 1720000000",
                r#""1720000000" is one word too many; write SIDE SYMBOL PRICE [TIMESTAMP] [test]"#,
            ),
            (
                b"buy BTC\xc2\xa0USDT 1",
                r#"symbol: "BTC\u{a0}USDT" holds U+00A0; leave out white space, control and format characters"#,
            ),
            (
                b"{",
                "not JSON: the line ends too early, expected a key in double quotes",
            ),
            (
                b"{'side': 'buy'}",
                r#"not JSON at character 2: found "'", expected a key in double quotes"#,
            ),
            (
                br#"{"side":"buy",}"#,
                r#"not JSON at character 15: found "}", expected no comma before the end"#,
            ),
            (
                br#"{"side":buy}"#,
                r#"not JSON at character 9: found "b", expected a JSON value (text needs double quotes)"#,
            ),
            (
                br#"{"side":"buy"} x"#,
                r#"not JSON at character 16: found "x", expected nothing after the object (one signal a line)"#,
            ),
            (
                b"{\"side\":\"a\tb\"}",
                r#"not JSON at character 11: found "\t", expected an escape such as \n for a control character"#,
            ),
            (
                br#"{"side":"\x"}"#,
                r#"not JSON at character 10: found "\\", expected an escape: \" \\ \/ \b \f \n \r \t or \u and four hex digits"#,
            ),
            (
                br#"{"side":"\ud800"}"#,
                r#""\\ud800" is half of a surrogate pair; write both halves, or the character itself"#,
            ),
            (
                br#"{"price":NaN}"#,
                r#""NaN" is not JSON; write a finite number, or leave the key out"#,
            ),
            (
                br#"{"price":-Infinity}"#,
                r#""Infinity" is not JSON; write a finite number, or leave the key out"#,
            ),
            (
                br#"{"price":01}"#,
                r#"not JSON at character 10: found "0", expected a number without leading zeros"#,
            ),
            (
                br#"{"is_test":True}"#,
                r#"not JSON at character 12: found "T", expected true, false or null, in lower case"#,
            ),
            (
                br#"{"a":1,"a":2}"#,
                r#"the key "a" stands twice in one object; keep one of them"#,
            ),
            (
                br#"{"a":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["#,
                "nested deeper than 32 levels; flatten it",
            ),
            (
                br#"{"side":"buy","action":"buy"}"#,
                "side and action are two names for one thing; keep one of them",
            ),
            (
                br#"{"content":[]}"#,
                "content: found an array; write an object with symbol, price and timestamp",
            ),
            (
                br#"{"content":{}}"#,
                r#"the side is missing; add "type":"buy" or "type":"sell""#,
            ),
            (
                br#"{"type":"buy"}"#,
                r#"the symbol is missing; add "symbol":"BTCUSDT""#,
            ),
            (
                br#"{"type":"buy","symbol":"A"}"#,
                r#"the price is missing; add "price":75000.00"#,
            ),
            (
                br#"{"type":"hold","symbol":"A","price":1}"#,
                r#"type: "hold" is not a side; write "buy" or "sell""#,
            ),
            (
                br#"{"type":1,"symbol":"A","price":1}"#,
                r#"type: found a number; write "buy" or "sell""#,
            ),
            (
                br#"{"type":"buy","symbol":"","price":1}"#,
                "symbol: an empty symbol; write 1 to 64 characters",
            ),
            (
                br#"{"type":"buy","symbol":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","price":1}"#,
                r#"symbol: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"… is too long; write 1 to 64 characters"#,
            ),
            (
                br#"{"type":"buy","symbol":7,"price":1}"#,
                "symbol: found a number; write a string",
            ),
            (
                br#"{"type":"buy","symbol":"A","price":{}}"#,
                "price: found an object; write a number",
            ),
            (
                br#"{"type":"buy","symbol":"A","price":1e-29}"#,
                r#"price: "1e-29" has more than 28 decimal places; write fewer"#,
            ),
            (
                br#"{"type":"buy","symbol":"A","price":1e28}"#,
                r#"price: "1e28" has more than 28 digits written out; write fewer"#,
            ),
            (
                br#"{"type":"buy","symbol":"A","price":1,"time":1.5}"#,
                r#"time: "1.5" is not an integer; leave out the fraction and the exponent"#,
            ),
            (
                br#"{"type":"buy","symbol":"A","price":1,"time":null}"#,
                "time: found null; write Unix seconds, or RFC 3339 in quotes",
            ),
            (
                br#"{"type":"buy","symbol":"A","price":1,"is_test":"true"}"#,
                "is_test: found a string; write true or false, without quotes",
            ),
            (
                br#"{"type":"buy","symbol":"A","price":1,"id":7}"#,
                "id: found a number; write a string of 1 to 36 characters, or leave the key out",
            ),
            (
                br#"{"type":"buy","symbol":"A","price":1,"id":"a b"}"#,
                r#"id: "a b" is not an id; write 1 to 36 of A-Z a-z 0-9 _ -"#,
            ),
            (
                br#"{"type":"buy","symbol":"A","price":1,"valid_for":0}"#,
                r#"valid_for: "0" is not a duration; write whole seconds above 0, such as 30"#,
            ),
            (
                br#"{"type":"buy","symbol":"A","price":1,"valid_for":"30"}"#,
                "valid_for: found a string; write whole seconds above 0, or leave the key out",
            ),
            (
                br#"{"type":"buy","content":{},"is_tset":true}"#,
                r#"unknown key "is_tset"; did you mean is_test?"#,
            ),
            (
                br#"{"type":"buy","content":{},"strategy":true}"#,
                r#"unknown key "strategy" beside content; known are type, is_test, id and valid_for, and all else goes inside content"#,
            ),
            (
                br#"{"type":"buy","content":{"symbol":"A","price":1,"is_test":true}}"#,
                "is_test inside content is not false, and the signal is not a test; write is_test beside content",
            ),
            (
                br#"{"type":"buy","symbol":"A","price":1,"isTest":true}"#,
                r#"the key "isTest" does not make the signal a test; did you mean is_test? If not, write "is_test":false at the top, too"#,
            ),
            (
                br#"{"type":"buy","content":{},"seq":null}"#,
                "seq: found null; write its value, or leave the key out",
            ),
        ];
        for (line, expected) in refusals {
            assert_eq!(refusal(line), *expected);
        }
    }
}
