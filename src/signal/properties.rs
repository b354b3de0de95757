//! Rules that hold for any input, tried out on random ones.

use std::collections::HashSet;
use std::fmt;

use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::json::Scanner;
use super::{
    Id, PriceForm, SideWords, Signal, StoredSignal, TimeUnit, Timestamp, canonical, object,
};

fn read(line: &str) -> Result<Option<Signal>, String> {
    let received_at = Timestamp::new(1_720_000_000).unwrap();
    Signal::parse_line(line.as_bytes(), TimeUnit::Seconds, received_at)
        .map_err(|why| why.to_string())
}

fn wire(signal: &Signal) -> String {
    let mut out = Vec::new();
    signal.write_v1(&mut out);
    String::from_utf8(out).unwrap()
}

/// JSON that serde_json reads too, and in which no object has a key twice.
struct NoRepeatedKeys;

impl<'de> Deserialize<'de> for NoRepeatedKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for NoRepeatedKeys {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut keys = HashSet::new();
        while let Some((key, Self)) = map.next_entry::<String, Self>()? {
            if !keys.insert(key) {
                return Err(serde::de::Error::custom("a key stands twice"));
            }
        }
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }
}

fn string() -> impl Strategy<Value = String> {
    prop_oneof![
        "\"[a-h]{0,3}\"",
        r#""([ a-zé💰,:{}\[\]]|\\["\\/bfnrt]|\\u00[0-9a-fA-F]{2}|\\ud83d\\ude00){0,6}""#,
    ]
}

fn blanks() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(String::new()), 1 => "[ \t\r\n]{1,2}"]
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        string(),
        "-?(0|[1-9][0-9]{0,9})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,2})?",
        "true|false|null",
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let element = (blanks(), inner.clone(), blanks());
        let element = element.prop_map(|(before, value, after)| before + &value + &after);
        prop_oneof![
            prop::collection::vec(element, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            object(member(string(), inner)),
        ]
    })
}

fn member(
    key: impl Strategy<Value = String>,
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = String> {
    let parts = (blanks(), key, blanks(), blanks(), value, blanks());
    parts.prop_map(|(a, key, b, c, value, d)| format!("{a}{key}{b}:{c}{value}{d}"))
}

fn object(member: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(",")))
}

fn pick(values: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(values).prop_map(str::to_owned)
}

/// A key of the strategy's own; some seem to say that the signal is a test.
fn own_key() -> impl Strategy<Value = String> {
    let test = pick(&["\"test\"", "\"isTest\"", r#""is\u005ftest""#]);
    prop_oneof![19 => string(), 1 => test]
}

/// Members that a line may have; most lines made of them are accepted.
fn flat_line() -> impl Strategy<Value = String> {
    let symbol = pick(&[
        r#""BTCUSDT""#,
        r#""BTC\/USDT""#,
        r#""\"\\é💰""#,
        r#""\u0041""#,
    ]);
    let price = pick(&["75000.00", "\"-0.10\"", "1e-8", "-0.00", "7.5E+3", "0e5"]);
    let time = pick(&[
        "0",
        "1720000000",
        "\"7\"",
        "\"2024-07-03T09:46:40.5+02:00\"",
    ]);
    let fields = (
        member(
            pick(&["\"side\"", "\"action\"", "\"type\""]),
            pick(&["\"buy\"", "\"SHORT\""]),
        ),
        member(pick(&["\"symbol\"", "\"ticker\"", "\"pair\""]), symbol),
        member(pick(&["\"price\"", r#""pr\u0069ce""#]), price),
        prop::option::of(member(pick(&["\"timestamp\"", "\"time\""]), time)),
        prop::option::of(member(Just("\"is_test\"".into()), pick(&["true", "false"]))),
        prop::collection::vec(member(own_key(), json()), 0..4),
    );
    fields
        .prop_map(|(side, symbol, price, time, is_test, others)| {
            let optional = time.into_iter().chain(is_test);
            let members = [side, symbol, price].into_iter().chain(optional);
            members.chain(others).collect::<Vec<_>>()
        })
        .prop_shuffle()
        .prop_map(|members| format!("{{{}}}", members.join(",")))
}

fn content_line() -> impl Strategy<Value = String> {
    let content = (
        member(
            Just("\"symbol\"".into()),
            pick(&["\"A\"", r#""\u0041/\"""#]),
        ),
        member(Just("\"price\"".into()), pick(&["1.10", "\"1.10\"", "1e3"])),
        prop::collection::vec(member(own_key(), json()), 0..4),
    );
    let content = content
        .prop_map(|(symbol, price, others)| {
            let members = [symbol, price].into_iter();
            members.chain(others).collect::<Vec<_>>()
        })
        .prop_shuffle();
    (content, pick(&["\"buy\"", "\"Sell\""])).prop_map(|(content, side)| {
        format!("{{\"content\":{{{}}},\"type\":{side}}}", content.join(","))
    })
}

/// A line as clients get it, with a blank here and there.
fn canonical_line() -> impl Strategy<Value = String> {
    let parts = (
        "(buy|sell)",
        "[A-Z0-9/:=^é]{1,12}",
        "-?(0|[1-9][0-9]{0,9})(\\.[0-9]{1,9})?([eE][+-]?[0-9])?",
        "0|[1-9][0-9]{0,10}",
        any::<bool>(),
        prop::collection::vec(any::<bool>(), 7),
    );
    parts.prop_map(|(side, symbol, price, timestamp, is_test, blanks)| {
        let mut blanks = blanks.iter().map(|&is| if is { " " } else { "" });
        let mut b = || blanks.next().unwrap();
        format!(
            "{{\"type\":{}\"{side}\",{}\"content\":{}{{\"symbol\":{}\"{symbol}\",{}\
             \"price\":{price},\"timestamp\":{timestamp}}},{}\"is_test\":{}{is_test}}}",
            b(),
            b(),
            b(),
            b(),
            b(),
            b(),
            b(),
        )
    })
}

/// A text and one place in it changed.
fn damaged(text: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let piece = "[\\x00-\\x20\"\\\\{}\\[\\],:0-9eE.+\\-tnuaéd]{0,2}";
    let parts = (text, any::<prop::sample::Index>(), 0..3_usize, piece);
    parts.prop_map(|(text, at, removed, piece)| {
        let characters: Vec<char> = text.chars().collect();
        let at = at.index(characters.len() + 1);
        let rest = characters.iter().skip(at + removed);
        characters[..at]
            .iter()
            .copied()
            .chain(piece.chars())
            .chain(rest.copied())
            .collect()
    })
}

/// Nothing is wrong with these lines but that random keys may be alike, or like `is_test`.
fn check_whole(line: &str) -> Result<(), TestCaseError> {
    if let Err(why) = read(line) {
        let known = ["stands twice", "is_test"];
        let is_known = known.iter().any(|known| why.contains(known));
        prop_assert!(is_known, "{}: {}", line, why);
    }
    check_accepted(line)
}

/// What is accepted becomes a frame that is JSON, and is read back as itself.
fn check_accepted(line: &str) -> Result<(), TestCaseError> {
    let Ok(Some(signal)) = read(line) else {
        return Ok(());
    };
    let text = wire(&signal);
    if let Err(why) = serde_json::from_str::<NoRepeatedKeys>(&text) {
        // It has floats only; what a strategy writes is kept as it is.
        let is_too_big = why.to_string().starts_with("number out of range");
        prop_assert!(is_too_big, "{}: {}", text, why);
    }
    let again = read(&text).map(|again| again.as_ref().map(wire));
    prop_assert_eq!(again, Ok(Some(text)));
    check_line(signal.clone())?;
    check_stored(&signal)
}

/// What another server makes of a signal that is brought to it is that signal.
fn check_line(signal: Signal) -> Result<(), TestCaseError> {
    let id: Id = "an-id".parse().unwrap();
    let signal = signal.or_id(|| id);
    let mut void = signal.clone();
    void.make_void();
    for signal in [signal, void] {
        let mut line = Vec::new();
        signal.write_line(signal.id().unwrap(), &mut line);
        let line = String::from_utf8(line).unwrap();
        prop_assert_eq!(read(&line), Ok(Some(signal)), "{}", line);
    }
    Ok(())
}

/// What is made of a signal's columns in the log is that signal.
fn check_stored(signal: &Signal) -> Result<(), TestCaseError> {
    let mut content = Vec::new();
    signal.write_content(PriceForm::Number, &mut content);
    let content = String::from_utf8(content).unwrap();
    let seconds = |time: Timestamp| i64::try_from(time.get()).unwrap();
    let stored = StoredSignal {
        side: signal.side().as_str(),
        symbol: signal.symbol().clone(),
        price: &signal.price().to_string(),
        timestamp: seconds(signal.timestamp()),
        is_test: signal.is_test(),
        id: signal.id().copied(),
        stale_after: signal.stale_after().map(seconds),
        content: &content,
    };
    let again = Signal::from_stored(stored.clone());
    prop_assert_eq!(again.as_ref(), Ok(signal), "{}", content);
    let mut void = signal.clone();
    void.make_void();
    let stale_after = void.stale_after().map(seconds);
    let again = Signal::from_stored(StoredSignal {
        stale_after,
        ..stored
    });
    prop_assert_eq!(again, Ok(void), "{}", content);
    Ok(())
}

/// What is read the short way is read alike the long way.
fn check_canonical(line: &str) -> Result<bool, TestCaseError> {
    let short = canonical::read(line, TimeUnit::Seconds);
    if let Some(short) = &short {
        let long = object::read(line, TimeUnit::Seconds, Timestamp::MAX, &SideWords::NONE);
        let long = long.map_err(|why| why.to_string());
        prop_assert_eq!(long.as_ref(), Ok(short), "{}", line);
    }
    Ok(short.is_some())
}

#[test]
fn the_short_way_reads_no_line_of_which_a_part_is_missing() {
    let line =
        r#"{"type":"buy","content":{"symbol":"X","price":1.5,"timestamp":7},"is_test":false}"#;
    assert!(check_canonical(line).unwrap());
    for end in 0..line.len() {
        check_canonical(&line[..end]).unwrap();
        check_canonical(&format!("{}{}", &line[..end], &line[end + 1..])).unwrap();
    }
}

/// serde_json's check of the grammar is looser in three ways, and in no other.
fn check_grammar(text: &str) -> Result<(), TestCaseError> {
    let mut scanner = Scanner::new(text);
    let ours = scanner.any_object().and_then(|()| scanner.end());
    let theirs = serde_json::from_str::<IgnoredAny>(text);
    match (ours, theirs) {
        (Ok(()), theirs) => prop_assert!(theirs.is_ok(), "only ours takes {}", text),
        (Err(_), Err(_)) => {}
        (Err(why), Ok(_)) => {
            let why = why.to_string();
            let known = ["stands twice", "surrogate", "levels"];
            prop_assert!(
                known.iter().any(|known| why.contains(known)),
                "{}: {}",
                text,
                why
            );
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(line in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Signal::parse_line(&line, TimeUnit::Milliseconds, Timestamp::MAX);
    }

    #[test]
    fn any_text_is_read_without_a_panic(line in "\\PC*", damaged in damaged(flat_line())) {
        let _ = read(&line);
        let _ = read(&format!("{{{line}"));
        let _ = read(&damaged);
    }

    #[test]
    fn flat_json_becomes_one_frame(line in flat_line()) {
        check_whole(&line)?;
    }

    #[test]
    fn content_becomes_one_frame(line in content_line()) {
        check_whole(&line)?;
    }

    #[test]
    fn a_line_as_clients_get_it_is_read_the_short_way(line in canonical_line()) {
        prop_assert!(check_canonical(&line)?, "{}", line);
    }

    #[test]
    fn the_short_way_reads_nothing_else_than_the_long_one(
        once in damaged(canonical_line()),
        twice in damaged(damaged(canonical_line())),
    ) {
        check_canonical(&once)?;
        check_canonical(&twice)?;
    }

    #[test]
    fn damaged_lines_are_refused_or_become_one_frame(
        flat in damaged(flat_line()),
        content in damaged(content_line()),
    ) {
        check_accepted(&flat)?;
        check_accepted(&content)?;
    }

    #[test]
    fn the_grammar_is_that_of_serde_json(
        whole in object(member(string(), json())),
        damaged in damaged(object(member(string(), json()))),
    ) {
        check_grammar(&whole)?;
        // What does not start an object never reaches the scanner.
        if damaged.starts_with('{') {
            check_grammar(&damaged)?;
        }
    }

    #[test]
    fn text_is_read_as_it_is_written(
        symbol in "[A-Z0-9/:=^]{1,12}",
        price in "(0|[1-9][0-9]{0,9})(\\.[0-9]{1,8})?",
        timestamp in 0..99_999_999_999_u64,
        is_test: bool,
    ) {
        let test = if is_test { " test" } else { "" };
        let line = format!("buy {symbol} {price} {timestamp}{test}");
        let signal = read(&line).unwrap().unwrap();
        prop_assert_eq!(
            wire(&signal),
            format!(
                "{{\"type\":\"buy\",\"content\":{{\"symbol\":\"{symbol}\",\"price\":{price},\
                 \"timestamp\":{timestamp}}},\"is_test\":{is_test}}}"
            )
        );
    }
}
