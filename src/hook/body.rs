use std::error::Error;

use super::{Hook, made_id};
use crate::signal::{
    BYTE_ORDER_MARK, BodyLines, Document, RefusedLine, Signal, TimeUnit, Timestamp,
};

pub(super) fn read(
    hook: &Hook,
    body: &[u8],
    unit: TimeUnit,
    received_at: Timestamp,
) -> Result<Vec<(usize, Signal)>, Vec<RefusedLine>> {
    let mut found = BodyLines::default();
    let made = made_id::Body::new(&hook.name, body);
    for (line, text) in lines(body) {
        let signal = hook.read_line(text, unit, received_at);
        let signal = signal.map(|signal| Some(signal?.or_id(|| made.id(line as u64))));
        found.take(line, signal.map_err(|why| why.to_string()));
    }
    found.all("there is no signal in it; write one in the message")
}

impl Hook {
    /// None if nothing stands on the line.
    fn read_line(
        &self,
        line: &[u8],
        unit: TimeUnit,
        received_at: Timestamp,
    ) -> Result<Option<Signal>, Box<dyn Error>> {
        let words = &self.reading.words;
        let Some(mapping) = &self.reading.mapping else {
            return Ok(Signal::parse_line_with(line, unit, received_at, words)?);
        };
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        let text = std::str::from_utf8(line).map_err(|_| "not UTF-8; write it in UTF-8")?;
        Ok(Some(mapping.read(
            text,
            &self.name,
            words,
            unit,
            received_at,
        )?))
    }
}

/// The lines of a body, or all of it as one if it is one JSON text.
fn lines(body: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    let is_one = matches!(body.trim_ascii_start(), [b'{' | b'[', ..])
        && std::str::from_utf8(body).is_ok_and(Document::is_all_of);
    let lines = body.split(move |byte| *byte == b'\n' && !is_one);
    (1..).zip(lines)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Mapping, Place, Reading, Secret};
    use super::*;
    use crate::signal::{Price, SideWords};

    const NOW: u64 = 99;

    fn hook(mapping: Option<Mapping>, words: &[&str]) -> Hook {
        Hook {
            name: "tv".parse().unwrap(),
            secret: Secret::of(b"0123456789abcdef"),
            allow: Vec::new(),
            reading: Reading {
                mapping,
                words: SideWords::new(words.iter().map(|word| word.parse().unwrap())),
            },
        }
    }

    fn mapping() -> Mapping {
        Mapping {
            symbol: Place::At("/t".parse().unwrap()),
            side: Place::At("/o/action".parse().unwrap()),
            price: Place::At("/p/0".parse().unwrap()),
            timestamp: Some(Place::At("/time".parse().unwrap())),
            id: None,
            is_test: None,
        }
    }

    fn read(hook: &Hook, body: &str) -> Result<Vec<(usize, Signal)>, String> {
        let refused = |lines: Vec<RefusedLine>| {
            let lines = lines
                .iter()
                .map(|RefusedLine { line, reason }| format!("{line}: {reason}"));
            lines.collect::<Vec<_>>().join("\n")
        };
        let now = Timestamp::new(NOW).unwrap();
        hook.read(body.as_bytes(), TimeUnit::Seconds, now)
            .map_err(refused)
    }

    fn wire(signal: &Signal) -> String {
        let mut out = Vec::new();
        signal.write_v1(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn one(hook: &Hook, body: &str) -> Signal {
        let mut signals = read(hook, body).unwrap();
        assert_eq!(signals.len(), 1, "{body}");
        signals.remove(0).1
    }

    fn frame(side: &str, price: &str, timestamp: u64) -> String {
        format!(
            r#"{{"type":"{side}","content":{{"symbol":"BTCUSDT","price":{price},"timestamp":{timestamp}}},"is_test":false}}"#
        )
    }

    #[test]
    fn without_a_mapping_a_body_is_lines_of_a_feed() {
        let hook = hook(None, &["exit=sell"]);
        for (body, expected) in [
            ("buy BTCUSDT 75000.00", frame("buy", "75000.00", NOW)),
            (
                "\u{feff}\r\n exit BTCUSDT 75000.00 2024-07-03T09:46:40Z\r\n\n",
                frame("sell", "75000.00", 1_720_000_000),
            ),
            (
                "{\n  \"action\": \"Exit\",\n  \"ticker\": \"BTCUSDT\",\n  \"price\": 0.10\n}\n",
                frame("sell", "0.10", NOW),
            ),
            (
                r#"{"type":"exit","content":{"symbol":"BTCUSDT","price":"1e-8"}}"#,
                frame("sell", "0.00000001", NOW),
            ),
        ] {
            assert_eq!(wire(&one(&hook, body)), expected, "{body}");
        }
        let lines = "# two\nbuy A 1\n\n{\"side\":\"sell\",\"symbol\":\"B\",\"price\":2}\n";
        let signals = read(&hook, lines).unwrap();
        let places: Vec<_> = signals.iter().map(|(line, _)| *line).collect();
        assert_eq!(places, [2, 4]);
    }

    #[test]
    fn a_mapping_picks_the_parts_and_leaves_the_rest() {
        let hook = hook(Some(mapping()), &["-1=sell"]);
        let body = |side: &str, price: &str, time: &str| {
            format!(
                r#" {{ "t" : "BTCUSDT", "o" : {{ "action" : {side} }}, "x" : {{ "is_test" : true }}, "p" : [{price}, 1], "time" : {time}, "id" : 5 }} "#
            )
        };
        for (side, price, time, expected) in [
            (r#""Buy""#, "75000.00", "7", frame("buy", "75000.00", 7)),
            ("-1", r#""0.10""#, r#""7""#, frame("sell", "0.10", 7)),
            (
                r#""SHORT""#,
                "123456789012345678.1234567890",
                r#""1970-01-01T00:00:07.9Z""#,
                frame("sell", "123456789012345678.1234567890", 7),
            ),
        ] {
            let body = body(side, price, time);
            assert_eq!(wire(&one(&hook, &body)), expected, "{body}");
            let over_lines = body.replace(',', ",\n");
            assert_eq!(wire(&one(&hook, &over_lines)), expected, "{over_lines}");
        }
        let two = format!("{}\r\n\n{}", body("true", "1", "7"), body("-1", "2", "8"));
        assert_eq!(
            read(&hook, &two).unwrap_err(),
            r#"1: side at /o/action: "true" is not a side; write "buy" or "sell", or name the word in the hook's words"#
        );
        let two = two.replace("true", r#""long""#);
        assert_eq!(read(&hook, &two).unwrap().len(), 2);
    }

    #[test]
    fn a_sender_may_count_in_milliseconds() {
        let now = Timestamp::new(NOW).unwrap();
        let mapped = r#"{"t":"A","o":{"action":"buy"},"p":[1],"time":7999}"#;
        for (hook, body) in [
            (hook(None, &[]), "buy A 1 7999"),
            (hook(Some(mapping()), &[]), mapped),
        ] {
            let signals = hook.read(body.as_bytes(), TimeUnit::Milliseconds, now);
            assert_eq!(signals.unwrap()[0].1.timestamp().get(), 7);
        }
    }

    #[test]
    fn constants_stand_for_what_a_sender_does_not_say() {
        let mapping = Mapping {
            symbol: Place::Constant("BTCUSDT".parse().unwrap()),
            side: Place::Constant(crate::signal::Side::Sell),
            timestamp: None,
            is_test: Some(Place::Constant(true)),
            ..mapping()
        };
        let signal = one(&hook(Some(mapping), &[]), r#"{"p":["75000.00"]}"#);
        let expected = frame("sell", "75000.00", NOW).replace("false", "true");
        assert_eq!(wire(&signal), expected);
    }

    #[test]
    fn what_a_mapped_body_says_of_a_test_counts_or_is_refused() {
        let with = |is_test| {
            let mapping = Mapping {
                timestamp: None,
                is_test,
                ..mapping()
            };
            hook(Some(mapping), &[])
        };
        let at = |pointer: &str| Some(Place::At(pointer.parse().unwrap()));
        let body = |mark: &str| {
            format!(r#"{{{mark},"t":"A","o":{{"action":"buy"}},"x":{{"is_test":true}},"p":[1]}}"#)
        };
        for mark in [
            r#""is_test":true"#,
            r#""is\u005ftest":"false""#,
            r#""is_test":null"#,
            r#""is_test":0"#,
            r#""isTest":1"#,
            r#""test":{}"#,
        ] {
            let body = body(mark);
            let why = read(&with(None), &body).unwrap_err();
            assert!(
                why.contains("map.is_test") && why.contains("=false"),
                "{why}"
            );
            assert!(!one(&with(Some(Place::Constant(false))), &body).is_test());
            assert!(one(&with(at("/x/is_test")), &body).is_test());
        }
        for mark in [
            r#""is_test":false"#,
            r#""test":false"#,
            r#""test":0"#,
            r#""test":null"#,
            r#""tests":1"#,
        ] {
            assert!(!one(&with(None), &body(mark)).is_test(), "{mark}");
        }
        assert!(one(&with(at("/is_test")), &body(r#""is_test":true"#)).is_test());
        assert!(!one(&with(at("/is_test")), &body(r#""is_test":false"#)).is_test());
    }

    #[test]
    fn what_a_sender_knows_a_signal_by_is_its_id_or_makes_one() {
        let mapping = Mapping {
            timestamp: None,
            id: Some("/id".parse().unwrap()),
            ..mapping()
        };
        let hook = hook(Some(mapping), &[]);
        let id = |id: &str, more: &str| {
            let body =
                format!(r#"{{"t":"A","o":{{"action":"buy"}},"p":[1],"id":{id},"more":"{more}"}}"#);
            read(&hook, &body).map(|signals| signals[0].1.id().unwrap().as_str().to_owned())
        };
        assert_eq!(id(r#""order-17""#, "").unwrap(), "order-17");
        assert_eq!(id("17", "").unwrap(), "17");
        let long = r#""Long Entry @ 2024-07-03T09:46:40Z on BTCUSDT""#;
        assert_eq!(id(long, "a").unwrap(), id(long, "b").unwrap());
        assert_ne!(id(long, "").unwrap(), id(r#""Long Entry""#, "").unwrap());
        assert_eq!(id(long, "").unwrap().len(), 36);
        let unfilled = r#""{{strategy.order.id}}""#;
        for wrong in ["null", r#""""#, r#"" ""#, unfilled, "[]", "true"] {
            assert!(
                id(wrong, "").unwrap_err().starts_with("1: id at /id: "),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_body_that_comes_again_is_the_same_signals() {
        let hook = hook(None, &[]);
        let ids = |body: &str| -> Vec<String> {
            let signals = read(&hook, body).unwrap();
            let ids = signals
                .iter()
                .map(|(_, signal)| signal.id().unwrap().to_string());
            ids.collect()
        };
        assert_eq!(ids("buy A 1"), ids("buy A 1"));
        assert_ne!(ids("buy A 1"), ids("buy A 1 7"));
        // Twice in one body is two.
        let twice = ids("buy A 1\nbuy A 1");
        assert_ne!(twice[0], twice[1]);
        assert_eq!(twice, ids("buy A 1\nbuy A 1"));
        assert_eq!(
            ids(r#"{"side":"buy","symbol":"A","price":1,"id":"a-1"}"#),
            ["a-1"]
        );
    }

    #[test]
    fn all_lines_that_are_wrong_are_told_with_what_to_do() {
        let plain = hook(None, &[]);
        for (body, expected) in [
            ("", "1: there is no signal in it; write one in the message"),
            (
                "\n# x\n",
                "1: there is no signal in it; write one in the message",
            ),
            (
                "buy A 1\nBTCUSDT Crossing 75000\nsell A\n",
                "2: \"BTCUSDT\" does not begin a signal; write a JSON object, or text such as buy BTCUSDT 75000.00\n3: price is missing; add it after the symbol: buy SYMBOL PRICE",
            ),
            (
                "{\"side\":\"buy\",\n\"symbol\":\"A\",\n\"price\":}",
                r#"1: not JSON at character 38: found "}", expected a JSON value (text needs double quotes)"#,
            ),
        ] {
            assert_eq!(read(&plain, body).unwrap_err(), expected, "{body}");
        }
        let mapped = hook(Some(mapping()), &[]);
        for (body, expected) in [
            (
                "buy A 1",
                r#"1: not JSON at character 1: found "b", expected a JSON value (text needs double quotes)"#,
            ),
            (
                "{}",
                "1: side at /o/action: there is nothing; send it, or change where the hook looks for it",
            ),
            (
                r#"{"t":"A","o":{"action":[]},"p":[1],"time":7}"#,
                r#"1: side at /o/action: found an array; write "buy" or "sell""#,
            ),
            (
                r#"{"t":7203,"o":{"action":"buy"},"p":[1],"time":7}"#,
                "1: symbol at /t: found a number; write a string",
            ),
            (
                r#"{"t":"A","o":{"action":"buy"},"p":["1,000"],"time":7}"#,
                r#"1: price at /p/0: "1,000" is not a number; write a decimal such as 75000.00"#,
            ),
            (
                r#"{"t":"A","o":{"action":"buy"},"p":[1],"time":null}"#,
                "1: timestamp at /time: found null; write Unix seconds, or RFC 3339 in quotes",
            ),
            (
                r#"{"t":"A","t":"B"}"#,
                r#"1: the key "t" stands twice in one object; keep one of them"#,
            ),
        ] {
            assert_eq!(read(&mapped, body).unwrap_err(), expected, "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_body_panics(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            text in r#"([\[\]{}:,"\\ \n\r]|buy|"t"|"o"|"action"|"p"|"time"|[0-9.eE-]){0,60}"#,
        ) {
            let now = Timestamp::new(NOW).unwrap();
            for hook in [hook(None, &["exit=sell"]), hook(Some(mapping()), &["exit=sell"])] {
                for body in [&*bytes, text.as_bytes()] {
                    match hook.read(body, TimeUnit::Seconds, now) {
                        Ok(signals) => prop_assert!(!signals.is_empty()),
                        Err(refused) => prop_assert!(!refused.is_empty()),
                    }
                }
            }
        }

        #[test]
        fn a_price_comes_through_as_it_was_written(
            whole in "0|[1-9][0-9]{0,13}",
            fraction in "[0-9]{0,14}",
            is_negative in any::<bool>(),
            is_quoted in any::<bool>(),
        ) {
            let sign = if is_negative { "-" } else { "" };
            let point = if fraction.is_empty() { "" } else { "." };
            let price = format!("{sign}{whole}{point}{fraction}");
            let quote = if is_quoted { "\"" } else { "" };
            let body = format!(
                r#"{{"t":"A","o":{{"action":"buy"}},"p":[{quote}{price}{quote}],"time":7}}"#
            );
            let signal = one(&hook(Some(mapping()), &[]), &body);
            let is_zero = price.bytes().all(|byte| matches!(byte, b'0' | b'.' | b'-'));
            let expected = if is_zero { price.trim_start_matches('-') } else { &price };
            prop_assert_eq!(signal.price().to_string(), expected);
            prop_assert_eq!(signal.price(), expected.parse::<Price>().unwrap());
        }
    }
}
