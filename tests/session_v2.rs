//! What a client of `signalcast.v2` is told besides signals, and in which form it gets a test.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod shard;

use std::time::{Duration, Instant};

use common::frames::TEXT;
use serde_json::Value;
use shard::kept::{Grip, Kept};
use shard::{Options, Peer, Rig};
use signalcast::hub::View;
use signalcast::journal::Batch;
use signalcast::signal::{PriceForm, Protocol, Seq, Signal, SymbolFilter, TimeUnit, Timestamp};

const BEAT: Duration = Duration::from_millis(200);

fn rig(heartbeat: Duration) -> (Rig, Grip) {
    let journal = Kept::new();
    let grip = journal.grip();
    let options = Options {
        heartbeat,
        ..Options::default()
    };
    (Rig::start(Box::new(journal), options), grip)
}

fn publish(rig: &mut Rig, symbol: &str, signals: usize) {
    let line = format!("buy {symbol} 1 7");
    let now = Timestamp::new(7).unwrap();
    let signal = Signal::parse_line(line.as_bytes(), TimeUnit::Seconds, now);
    rig.publish(Batch::of(vec![signal.unwrap().unwrap(); signals]));
}

fn v2() -> View {
    View {
        protocol: Protocol::V2,
        ..View::default()
    }
}

fn seq(place: u64) -> Seq {
    Seq::new(place).unwrap()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The time, which is shown to the microsecond.
fn time(value: &Value) -> String {
    let time = value.as_str().unwrap();
    let parsed: jiff::Timestamp = time.parse().unwrap();
    assert_eq!(format!("{parsed:.6}"), time);
    time.to_owned()
}

/// The first frame, checked byte for byte but for what nobody can know.
fn expect_established(peer: &mut Peer, rig: &Rig, interval: u64, first: u64, last: u64) {
    let text = peer.text();
    let said = json(&text);
    let id = said["client_id"].as_str().unwrap();
    let version = uuid::Uuid::parse_str(id).unwrap().get_version_num();
    assert_eq!(version, 7);
    let (time, epoch) = (time(&said["timestamp"]), rig.epoch);
    let expected = format!(
        r#"{{"type":"connection_established","client_id":"{id}","timestamp":"{time}","heartbeat_interval":{interval},"epoch":"{epoch}","first_seq":{first},"last_seq":{last},"sources":{{"stdin":{{"state":"waiting","last_signal_age_ms":null}}}}}}"#
    );
    assert_eq!(text, expected);
}

/// A heartbeat, the same way.
fn expect_heartbeat(peer: &mut Peer, last: u64) {
    let text = peer.text();
    let time = time(&json(&text)["timestamp"]);
    let expected = format!(
        r#"{{"type":"heartbeat","timestamp":"{time}","last_seq":{last},"sources":{{"stdin":{{"state":"waiting","last_signal_age_ms":null}}}}}}"#
    );
    assert_eq!(text, expected);
}

/// The next text that is no heartbeat; one comes only if there was time for it.
fn put_off(peer: &mut Peer, last: &mut Instant) -> Value {
    loop {
        let said = json(&peer.text());
        let quiet = last.elapsed();
        *last = Instant::now();
        if said["type"] != "heartbeat" {
            return said;
        }
        assert!(quiet > BEAT / 2, "after {quiet:?}: {said}");
    }
}

#[test]
fn the_first_frame_says_which_log_it_is_and_what_it_holds() {
    let (mut rig, grip) = rig(Duration::from_secs(30));
    let mut peer = rig.connect(&v2(), seq(1));
    expect_established(&mut peer, &rig, 30_000, 1, 0);
    publish(&mut rig, "X", 700);
    for next in [701, 1, 650] {
        let mut peer = rig.connect(&v2(), seq(next));
        expect_established(&mut peer, &rig, 30_000, 1, 700);
        if next < 701 {
            assert_eq!(json(&peer.text())["seq"], next, "signals come behind it");
        }
    }
    publish(&mut rig, "X", 10);
    grip.oldest.move_to(seq(600));
    let mut peer = rig.connect(&v2(), seq(711));
    expect_established(&mut peer, &rig, 30_000, 600, 710);
}

#[test]
fn a_client_of_v1_is_told_nothing() {
    let (mut rig, _grip) = rig(BEAT);
    let mut told = rig.connect(&v2(), seq(1));
    let mut peer = rig.connect(&View::default(), seq(1));
    expect_established(&mut told, &rig, 200, 1, 0);
    for _ in 0..3 {
        expect_heartbeat(&mut told, 0);
    }
    publish(&mut rig, "X", 1);
    assert_eq!(peer.text(), common::wire("buy", "X", "1", 7));
}

#[test]
fn a_test_is_answered_in_the_form_of_the_view() {
    let (rig, _grip) = rig(Duration::from_secs(30));
    for (prices, price) in [
        (PriceForm::Number, "1.50"),
        (PriceForm::String, r#""1.50""#),
    ] {
        for protocol in [Protocol::V1, Protocol::V2] {
            let view = View {
                protocol,
                prices,
                // It is answered whatever the filter.
                symbols: SymbolFilter::matching(["A"]).unwrap(),
                ..View::default()
            };
            let mut peer = rig.connect(&view, seq(1));
            if protocol == Protocol::V2 {
                peer.text();
            }
            for side in ["buy", "sell"] {
                peer.send(TEXT, b"test");
                let text = peer.text();
                let said = json(&text);
                let timestamp = &said["content"]["timestamp"];
                let content =
                    format!(r#"{{"symbol":"X","price":{price},"timestamp":{timestamp}}}"#);
                let expected = match protocol {
                    Protocol::V1 => {
                        format!(r#"{{"type":"{side}","content":{content},"is_test":true}}"#)
                    }
                    Protocol::V2 => {
                        let id = said["id"].as_str().unwrap();
                        assert_eq!(uuid::Uuid::parse_str(id).unwrap().get_version_num(), 7);
                        let time = time(&said["received_at"]);
                        format!(
                            r#"{{"type":"{side}","id":"{id}","content":{content},"is_test":true,"source":"test","received_at":"{time}"}}"#
                        )
                    }
                };
                assert_eq!(text, expected);
            }
        }
    }
}

#[test]
fn a_heartbeat_comes_when_nothing_was_sent_for_the_interval_and_says_what_was_sent() {
    let (mut rig, _grip) = rig(BEAT);
    let view = View {
        symbols: SymbolFilter::matching(["A"]).unwrap(),
        ..v2()
    };
    let mut peer = rig.connect(&view, seq(1));
    expect_established(&mut peer, &rig, 200, 1, 0);
    let established = Instant::now();
    expect_heartbeat(&mut peer, 0);
    assert!(established.elapsed() > BEAT / 2);
    // What the filter leaves out is nothing sent, and behind it all the same.
    publish(&mut rig, "B", 3);
    let mut said = json(&peer.text());
    while said["last_seq"] == 0 {
        said = json(&peer.text());
    }
    assert_eq!(said["last_seq"], 3);
    // Each signal and each answer puts it off.
    let (mut signals, begin) = (3, Instant::now());
    let mut last = begin;
    while begin.elapsed() < BEAT * 4 {
        publish(&mut rig, "A", 1);
        signals += 1;
        assert_eq!(put_off(&mut peer, &mut last)["seq"], signals);
    }
    while begin.elapsed() < BEAT * 8 {
        peer.send(TEXT, b"test");
        assert_eq!(put_off(&mut peer, &mut last)["source"], "test");
    }
    expect_heartbeat(&mut peer, signals);
}

#[test]
fn who_goes_elsewhere_in_the_log_does_not_depend_on_what_it_left_behind() {
    let (mut rig, grip) = rig(Duration::from_secs(30));
    publish(&mut rig, "X", 600);
    publish(&mut rig, "X", 1);
    grip.hang(true);
    let mut peer = rig.connect(&v2(), seq(1));
    expect_established(&mut peer, &rig, 30_000, 1, 601);
    // It waits for the first stretch of the log, of which retention takes its place.
    while grip.reads() == 0 {
        std::thread::yield_now();
    }
    peer.send(TEXT, br#"{"type":"resume","after_seq":550}"#);
    let resumed = r#"{"type":"resumed","from_seq":551,"to_seq":601}"#;
    assert_eq!(peer.text(), resumed);
    grip.oldest.move_to(seq(551));
    grip.hang(false);
    for place in 551..=601 {
        assert_eq!(json(&peer.text())["seq"], place);
    }
}

#[test]
fn who_is_behind_hears_no_heartbeat_until_it_has_everything() {
    let (mut rig, grip) = rig(BEAT);
    publish(&mut rig, "X", 600);
    publish(&mut rig, "X", 1);
    let mut live = rig.connect(&v2(), seq(602));
    grip.hang(true);
    let mut behind = rig.connect(&v2(), seq(1));
    expect_established(&mut live, &rig, 200, 1, 601);
    expect_established(&mut behind, &rig, 200, 1, 601);
    for _ in 0..5 {
        expect_heartbeat(&mut live, 601);
    }
    grip.hang(false);
    for place in 1..=601 {
        assert_eq!(json(&behind.text())["seq"], place);
    }
    expect_heartbeat(&mut behind, 601);
}
