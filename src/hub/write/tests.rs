use std::time::Instant;

use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

use super::*;
use crate::hub::Segment;
use crate::journal::{Batch, Entry, Journal, Memory, Recorded};
use crate::signal::{ReceivedAt, Seq, Signal, TimeUnit, Timestamp};

const FORMS: [(Protocol, PriceForm); 4] = [
    (Protocol::V1, PriceForm::Number),
    (Protocol::V1, PriceForm::String),
    (Protocol::V2, PriceForm::Number),
    (Protocol::V2, PriceForm::String),
];

/// Lines and their sources, recorded behind another signal.
fn record(lines: &[(&str, &str)], micros: i64) -> Vec<Recorded> {
    let now = Timestamp::new(7).unwrap();
    let mut batch = Batch::default();
    for (line, source) in [&[("buy FIRST 1 7", "stdin")], lines].concat() {
        let signal = Signal::parse_line(line.as_bytes(), TimeUnit::Seconds, now);
        batch.entries.push(Entry {
            signal: signal.unwrap().unwrap(),
            source: source.into(),
            received_at: ReceivedAt::from_micros(micros),
        });
    }
    Memory::new().append(&mut batch).unwrap().recorded
}

/// What a frame says in this form.
fn said(segment: &Segment, seq: Seq, form: (Protocol, PriceForm), freshness: Freshness) -> String {
    let view = View {
        protocol: form.0,
        prices: form.1,
        ..View::default()
    };
    let frame = segment.from(seq).next().unwrap();
    let mut out = Vec::new();
    frame.write(&mut out, &view, freshness);
    String::from_utf8(frame::payload(&out).to_vec()).unwrap()
}

#[test]
fn each_form_is_written_to_the_byte() {
    let given = r#"{"type":"sell","content":{"symbol":"A\"\\,\"price\":","price":-0.10,"timestamp":1720000000,"n":1.50e1,"price2":3},"is_test":true,"id":"order_17-B"}"#;
    let recorded = record(&[(given, "file:a \"b\"\\c\n.jsonl")], 1_720_000_000_123_456);
    let segment = Segment::of(&recorded, Instant::now());
    let seq = Seq::FIRST.next();
    let content = |price| {
        format!(
            r#"{{"symbol":"A\"\\,\"price\":","price":{price},"timestamp":1720000000,"n":1.50e1,"price2":3}}"#
        )
    };
    for (form, price) in FORMS
        .into_iter()
        .zip(["-0.10", r#""-0.10""#].into_iter().cycle())
    {
        let content = content(price);
        let expected = match form.0 {
            Protocol::V1 => format!(r#"{{"type":"sell","content":{content},"is_test":true}}"#),
            Protocol::V2 => format!(
                r#"{{"type":"sell","seq":2,"id":"order_17-B","content":{content},"is_test":true,"source":"file:a \"b\"\\c\n.jsonl","received_at":"2024-07-03T09:46:40.123456Z"}}"#
            ),
        };
        assert_eq!(said(&segment, seq, form, Freshness::Fresh), expected);
    }
    let stale = said(&segment, seq, FORMS[2], Freshness::Stale);
    let end = r#","is_test":true,"source":"file:a \"b\"\\c\n.jsonl","received_at":"2024-07-03T09:46:40.123456Z","stale":true}"#;
    assert!(stale.ends_with(end), "{stale}");
    // A client of the first protocol is never told: it gets no stale signal at all.
    let v1 = said(&segment, seq, FORMS[0], Freshness::Stale);
    assert!(v1.ends_with(r#","is_test":true}"#), "{v1}");
}

#[test]
fn an_event_says_what_a_frame_of_v2_does() {
    let given =
        r#"{"type":"sell","content":{"symbol":"X","price":-0.10,"timestamp":1720000000},"id":"a"}"#;
    let recorded = record(&[(given, "stdin")], 0);
    let segment = Segment::of(&recorded, Instant::now());
    for (prices, freshness) in [
        (PriceForm::Number, Freshness::Fresh),
        (PriceForm::String, Freshness::Stale),
    ] {
        let view = View {
            framing: Framing::Events,
            prices,
            ..View::default()
        };
        let mut out = b"before ".to_vec();
        let frame = segment.from(Seq::FIRST.next()).next().unwrap();
        frame.write(&mut out, &view, freshness);
        let said = said(
            &segment,
            Seq::FIRST.next(),
            (Protocol::V2, prices),
            freshness,
        );
        let expected = format!("before event: signal\nid: 2\ndata: {said}\n\n");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        assert!(!segment.is_ready_for(&view));
    }
}

#[test]
fn both_sides_and_both_kinds_are_taken_apart() {
    for (side, is_test) in [
        ("buy", false),
        ("buy", true),
        ("sell", false),
        ("sell", true),
    ] {
        let line = format!("{side} X 1 7{}", if is_test { " test" } else { "" });
        let recorded = record(&[(&line, "stdin")], 0);
        let segment = Segment::of(&recorded, Instant::now());
        let text = said(&segment, Seq::FIRST.next(), FORMS[3], Freshness::Fresh);
        let id = recorded[1].id();
        assert_eq!(
            text,
            format!(
                r#"{{"type":"{side}","seq":2,"id":"{id}","content":{{"symbol":"X","price":"1","timestamp":7}},"is_test":{is_test},"source":"stdin","received_at":"1970-01-01T00:00:00.000000Z"}}"#
            )
        );
    }
}

/// The members that must be there as they were written, digit by digit.
#[derive(serde::Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    content: std::collections::HashMap<String, &'a RawValue>,
}

proptest! {
    #[test]
    fn what_a_frame_says_is_what_was_recorded(
        symbol in "[!-~À-ÿ]{1,12}",
        source in "\\PC{0,20}|[ -~\n\t\u{1}]{1,20}",
        price in "-?(0|[1-9][0-9]{0,8})(\\.[0-9]{1,9})?",
        extra in "[ -~À-ÿ]{0,200}",
        micros in 0..=ReceivedAt::MAX.micros(),
        is_test in any::<bool>(),
        stale in any::<bool>(),
    ) {
        let line = serde_json::json!({
            "side": "buy", "symbol": symbol, "price": price, "timestamp": 7, "note": extra,
            "is_test": is_test,
        });
        let recorded = record(&[(&line.to_string(), &source)], micros);
        let segment = Segment::of(&recorded, Instant::now());
        let recorded = &recorded[1];
        let received_at = recorded.received_at().to_string();
        let freshness = if stale { Freshness::Stale } else { Freshness::Fresh };
        for form in FORMS {
            let text = said(&segment, recorded.seq(), form, freshness);
            // So that it is one line of an event.
            prop_assert!(!text.contains(['\n', '\r']));
            let frame: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&frame["type"], "buy");
            prop_assert_eq!(&frame["is_test"], is_test);
            prop_assert_eq!(&frame["content"]["symbol"], symbol.as_str());
            prop_assert_eq!(&frame["content"]["timestamp"], 7);
            prop_assert_eq!(&frame["content"]["note"], extra.as_str());
            let raw: Raw<'_> = serde_json::from_str(&text).unwrap();
            let price = recorded.signal().price().to_string();
            let written = match form.1 {
                PriceForm::Number => price,
                PriceForm::String => format!("\"{price}\""),
            };
            prop_assert_eq!(raw.content["price"].get(), written);
            if form.0 == Protocol::V2 {
                prop_assert_eq!(&frame["seq"], recorded.seq().get());
                prop_assert_eq!(&frame["id"], recorded.id().as_str());
                prop_assert_eq!(&frame["source"], source.as_str());
                prop_assert_eq!(frame["received_at"].as_str(), Some(received_at.as_str()));
                prop_assert_eq!(frame.get("stale").is_some(), stale);
            } else {
                prop_assert_eq!(frame.as_object().unwrap().len(), 3);
            }
        }
    }
}
