//! A client that is behind what memory holds goes on from the log, whatever happens meanwhile.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod shard;

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use common::PATIENCE;
use common::frames::{PING, PONG, TEXT};
use shard::kept::{Grip, Kept};
use shard::{Options, Peer, Rig};
use signalcast::hub::View;
use signalcast::journal::{Batch, Memory};
use signalcast::signal::{Seq, Signal, SymbolFilter, TimeUnit, Timestamp};

/// Signals whose prices count them.
fn batch(prices: std::ops::Range<u64>) -> Batch {
    let now = Timestamp::new(7).unwrap();
    let parse = |line: String| Signal::parse_line(line.as_bytes(), TimeUnit::Seconds, now);
    Batch::of(prices.map(|price| parse(format!("buy X {price} 7")).unwrap().unwrap()))
}

fn publish(rig: &mut Rig, signals: u64) {
    let from = rig.log.len() as u64;
    rig.publish(batch(from..from + signals));
}

fn expect(peer: &mut Peer, prices: std::ops::Range<u64>) {
    for price in prices {
        assert_eq!(peer.text(), common::wire("buy", "X", &price.to_string(), 7));
    }
}

fn seq(place: u64) -> Seq {
    Seq::new(place).unwrap()
}

fn kept() -> (Rig, Grip) {
    let journal = Kept::new();
    let grip = journal.grip();
    (Rig::start(Box::new(journal), Options::default()), grip)
}

/// Waits for something that another thread does.
fn until(done: impl Fn() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < PATIENCE, "never");
        thread::yield_now();
    }
}

#[test]
fn who_begins_anywhere_gets_the_rest_and_then_what_comes() {
    let (mut rig, _grip) = kept();
    publish(&mut rig, 3000);
    for start in [1, 2, 511, 512, 513, 1024, 2999, 3000, 3001] {
        let mut peer = rig.connect(&View::default(), seq(start));
        expect(&mut peer, start - 1..3000);
    }
    let mut live = rig.connect(&View::default(), seq(3001));
    live.send(TEXT, b"test");
    assert!(live.text().contains("1.50"), "it stands at the head");
    publish(&mut rig, 1);
    expect(&mut live, 3000..3001);
}

#[test]
fn what_is_in_the_log_and_not_yet_published_comes_when_it_is() {
    let (mut rig, _grip) = kept();
    publish(&mut rig, 600);
    publish(&mut rig, 1);
    let ahead = rig.record(batch(601..611));
    let mut behind = rig.connect(&View::default(), seq(590));
    expect(&mut behind, 589..601);
    behind.send(TEXT, b"test");
    assert!(behind.text().contains("1.50"), "nothing of it yet");
    rig.announce(&ahead);
    expect(&mut behind, 601..611);
}

#[test]
fn while_the_log_is_read_pings_commands_and_live_clients_go_on() {
    let (mut rig, grip) = kept();
    publish(&mut rig, 2000);
    grip.hang(true);
    let mut behind = rig.connect(&View::default(), seq(1));
    until(|| grip.reads() == 1);
    behind.send(PING, b"x");
    assert_eq!(behind.next(), Some((PONG, b"x".to_vec())));
    behind.send(TEXT, b"test");
    assert!(behind.text().contains("1.50"));
    let mut live = rig.connect(&View::default(), seq(2001));
    live.send(TEXT, b"test");
    assert!(live.text().contains("1.50"), "it stands at the head");
    publish(&mut rig, 10);
    expect(&mut live, 2000..2010);
    assert_eq!(grip.reads(), 1, "the same reading goes on");
    grip.hang(false);
    expect(&mut behind, 0..2010);
}

#[test]
fn who_is_admitted_no_more_is_let_go_while_the_log_is_read() {
    let (mut rig, grip) = kept();
    publish(&mut rig, 2000);
    grip.hang(true);
    let mut behind = rig.connect(&View::default(), seq(1));
    until(|| grip.reads() == 1);
    rig.revoke_everybody();
    assert_eq!(behind.close_code(), 1008);
    grip.hang(false);
}

#[test]
fn a_client_that_goes_away_while_the_log_is_read_leaves_the_others_what_they_wait_for() {
    let (mut rig, grip) = kept();
    publish(&mut rig, 2000);
    grip.hang(true);
    let mut others = Vec::new();
    let first = rig.connect(&View::default(), seq(1));
    until(|| grip.reads() == 1);
    for _ in 0..10 {
        others.push(rig.connect(&View::default(), seq(1)));
    }
    drop(first);
    grip.hang(false);
    for other in &mut others {
        expect(other, 0..2000);
    }
}

#[test]
fn a_log_that_cannot_be_read_is_waited_for_and_nothing_is_skipped() {
    let (mut rig, grip) = kept();
    publish(&mut rig, 2000);
    grip.broken.store(true, Ordering::SeqCst);
    let mut behind = rig.connect(&View::default(), seq(1));
    until(|| grip.reads() == 2);
    publish(&mut rig, 1);
    behind.send(TEXT, b"test");
    assert!(behind.text().contains("1.50"), "no signal before this");
    grip.broken.store(false, Ordering::SeqCst);
    expect(&mut behind, 0..2001);
}

#[test]
fn who_is_passed_by_retention_is_told_and_who_is_not_goes_on() {
    let (mut rig, grip) = kept();
    publish(&mut rig, 3000);
    grip.hang(true);
    let mut passed = rig.connect(&View::default(), seq(1));
    let mut kept = rig.connect(&View::default(), seq(2001));
    until(|| grip.reads() == 2);
    grip.oldest.move_to(seq(1500));
    grip.hang(false);
    assert_eq!(passed.close_code(), 1013);
    expect(&mut kept, 2000..3000);
}

#[test]
fn a_log_that_keeps_nothing_has_only_the_tail() {
    let journal = Box::new(Memory::new());
    let mut rig = Rig::start(journal, Options::default());
    publish(&mut rig, 1000);
    publish(&mut rig, 10);
    let mut tail = rig.connect(&View::default(), seq(1001));
    expect(&mut tail, 1000..1010);
    let mut behind = rig.connect(&View::default(), seq(1000));
    assert_eq!(behind.close_code(), 1013);
}

#[test]
fn a_drain_brings_who_is_behind_all_there_is_and_then_lets_it_go() {
    let (mut rig, grip) = kept();
    publish(&mut rig, 5000);
    grip.hang(true);
    let mut behind = rig.connect(&View::default(), seq(1));
    let mut nothing = rig.connect(&View::of(&SymbolFilter::matching([""; 0]).unwrap()), seq(1));
    until(|| grip.reads() == 1);
    rig.stop.drain.cancel();
    grip.hang(false);
    expect(&mut behind, 0..5000);
    assert_eq!(behind.close_code(), 1001);
    assert_eq!(nothing.close_code(), 1001);
}

#[test]
fn at_the_last_call_who_is_behind_is_told_to_go_after_a_whole_signal() {
    let (mut rig, grip) = kept();
    publish(&mut rig, 5000);
    let mut slow = rig.connect(&View::default(), seq(1));
    expect(&mut slow, 0..1);
    grip.hang(true);
    let mut waiting = rig.connect(&View::default(), seq(4000));
    rig.stop.last_call.cancel();
    assert_eq!(waiting.close_code(), 1001);
    let mut signals = 1;
    let code = loop {
        match slow.next().unwrap() {
            (TEXT, signal) => {
                let signal = String::from_utf8(signal).unwrap();
                assert!(
                    signal.contains(&format!(r#""price":{signals},"#)),
                    "{signal}"
                );
                signals += 1;
            }
            (_, close) => break u16::from_be_bytes([close[0], close[1]]),
        }
    };
    assert_eq!(code, 1001);
    assert!(signals < 5000, "it was not waited for");
    grip.hang(false);
}

#[test]
fn a_crowd_that_comes_back_shares_what_is_read_and_live_clients_go_on() {
    const CROWD: usize = 100;
    const BEHIND: u64 = 20_000;
    let (mut rig, grip) = kept();
    publish(&mut rig, BEHIND);
    let mut live = rig.connect(&View::default(), seq(BEHIND + 1));
    let mut crowd: Vec<Peer> = (0..CROWD)
        .map(|_| rig.connect(&View::default(), seq(1)))
        .collect();
    for n in 0..50 {
        publish(&mut rig, 1);
        // It has it before anybody of the crowd has read a byte.
        expect(&mut live, BEHIND + n..BEHIND + n + 1);
    }
    for peer in &mut crowd {
        expect(peer, 0..BEHIND + 50);
    }
    // They did not read at the same pace, so not each stretch was read once only.
    let stretches = usize::try_from(BEHIND / 512).unwrap();
    assert!(grip.reads() < 3 * stretches, "{} reads", grip.reads());
}

#[test]
fn a_client_that_takes_nothing_of_the_log_is_let_go_in_time() {
    let journal = Kept::new();
    let options = Options {
        write_timeout: Duration::from_millis(300),
        ..Options::default()
    };
    let mut rig = Rig::start(Box::new(journal), options);
    publish(&mut rig, 20_000);
    let stuck = rig.connect(&View::default(), seq(1));
    stuck.expect_reset();
}
