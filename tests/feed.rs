//! What is written into a feed, and what becomes of it: the same frame for every client, or a
//! dead letter. The lines around one that can't be read don't notice it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::ops::RangeInclusive;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

mod common;

use common::jwt::now;
use common::{Folder, Reader, TestClient, TestServer, wire};

const AT: u64 = 1_720_000_000;

fn buy(symbol: &str) -> String {
    wire("buy", symbol, "75000.00", AT)
}

fn line(symbol: &str) -> String {
    format!("buy {symbol} 75000.00 {AT}\n")
}

/// The next signal, which must be this one.
async fn expect(client: &mut TestClient, symbol: &str) {
    assert_eq!(client.text().await, buy(symbol));
}

/// Whatever was written before a signal that a client has got is here.
fn dead_letters(server: &TestServer) -> Vec<Value> {
    let text = server.folder.read("data/dead-letters.jsonl");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A dead letter without its time, which must be of now.
fn without_time(mut letter: Value) -> Value {
    let time = letter.as_object_mut().unwrap().remove("time").unwrap();
    let time = time.as_str().unwrap();
    assert_eq!(time.len(), "2026-11-20T10:00:00.123456Z".len(), "{time}");
    let second = time.parse::<jiff::Timestamp>().unwrap().as_second();
    assert!(
        second.abs_diff(i64::try_from(now()).unwrap()) < 60,
        "{time}"
    );
    letter
}

fn sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[tokio::test]
async fn every_accepted_line_reaches_every_client_as_the_same_frame() {
    const PLAIN: &str = r#"{"type":"buy","content":{"symbol":"BTCUSDT","price":75000.00,"timestamp":1720000000},"is_test":false}"#;
    const SELL: &str = r#"{"type":"sell","content":{"symbol":"BTCUSDT","price":75000.00,"timestamp":1720000000},"is_test":false}"#;
    const TEST: &str = r#"{"type":"buy","content":{"symbol":"BTCUSDT","price":75000.00,"timestamp":1720000000},"is_test":true}"#;
    const MORE: &str = r#"{"type":"buy","content":{"symbol":"BTCUSDT","price":75000.00,"timestamp":1720000000,"quantity":0.50,"stop_loss":{"at":1e3}},"is_test":false}"#;
    let lines = [
        // With content: the wire's own form, is_test and quotes as one likes.
        (PLAIN, PLAIN),
        (TEST, TEST),
        (MORE, MORE),
        (
            r#"{"type":"buy","content":{"symbol":"BTCUSDT","price":75000.00,"timestamp":1720000000}}"#,
            PLAIN,
        ),
        (
            r#"{"type":"LONG","content":{"price":"75000.00","timestamp":"2024-07-03T09:46:40Z","symbol":"BTCUSDT"}}"#,
            PLAIN,
        ),
        (
            r#"{"type":"Short","content":{"symbol":"BTCUSDT","price":7.500000e4,"timestamp":1720000000}}"#,
            SELL,
        ),
        (
            r#"{ "content" : { "quantity" : 0.50, "symbol":"BTCUSDT", "price":75000.00, "timestamp":1720000000, "stop_loss":{ "at" : 1e3 } } , "type":"buy" }"#,
            MORE,
        ),
        (
            r#"{"type":"buy","seq":7,"id":"v2-1","content":{"symbol":"BTCUSDT","price":75000.00,"timestamp":1720000000},"is_test":false,"source":"stdin","received_at":"2026-11-20T10:00:00.123456Z"}"#,
            PLAIN,
        ),
        (
            r#"{"type":"buy","id":"x-1","valid_for":999999999999,"content":{"symbol":"BTCUSDT","price":75000.00,"timestamp":1720000000}}"#,
            PLAIN,
        ),
        // Flat.
        (
            r#"{"side":"buy","symbol":"BTCUSDT","price":75000.00,"timestamp":1720000000}"#,
            PLAIN,
        ),
        (
            r#"{"action":"SELL","ticker":"BTCUSDT","price":"75000.00","time":1720000000}"#,
            SELL,
        ),
        (
            r#"{"type":"long","pair":"BTCUSDT","price":75000.00,"time":"2024-07-03T11:46:40.999+02:00","is_test":true,"id":"x-2"}"#,
            TEST,
        ),
        (
            r#"{"quantity":0.50,"side":"buy","symbol":"BTCUSDT","price":75000.00,"timestamp":1720000000,"stop_loss":{"at":1e3}}"#,
            MORE,
        ),
        (
            r#"{"side":"buy","type":"limit","symbol":"BTCUSDT","price":75000.00,"time":1720000000}"#,
            r#"{"type":"buy","content":{"symbol":"BTCUSDT","price":75000.00,"timestamp":1720000000,"type":"limit"},"is_test":false}"#,
        ),
        // Text.
        ("buy BTCUSDT 75000.00 1720000000", PLAIN),
        ("short \t BTCUSDT\t75000.00  2024-07-03T09:46:40Z", SELL),
        ("LONG BTCUSDT 75000.00 1720000000 test", TEST),
        // Symbols and prices as they are in the world.
        (
            "sell EURUSD=X 0.10 0",
            r#"{"type":"sell","content":{"symbol":"EURUSD=X","price":0.10,"timestamp":0},"is_test":false}"#,
        ),
        (
            "buy BTC/USDT:USDT -37.63 99999999999",
            r#"{"type":"buy","content":{"symbol":"BTC/USDT:USDT","price":-37.63,"timestamp":99999999999},"is_test":false}"#,
        ),
        (
            r#"{"side":"buy","symbol":"\u00c9\"\\","price":1e-8,"time":1}"#,
            r#"{"type":"buy","content":{"symbol":"É\"\\","price":0.00000001,"timestamp":1},"is_test":false}"#,
        ),
    ];
    let mut server = TestServer::start("");
    let mut clients = [server.client().await, server.client().await];
    let expected: Vec<&str> = lines.iter().map(|(_, frame)| *frame).collect();
    server.feed(&lines.map(|(line, _)| format!("{line}\n")).concat());
    for client in &mut clients {
        assert_eq!(client.texts(lines.len()).await, expected);
    }
    assert_eq!(server.folder.read("data/dead-letters.jsonl"), "");
    server.stop();
}

#[tokio::test]
async fn a_line_without_a_timestamp_gets_the_time_of_its_receipt() {
    let mut server = TestServer::start("");
    let mut client = server.client().await;
    let before = now();
    server.feed("buy A 1\n{\"type\":\"buy\",\"content\":{\"symbol\":\"A\",\"price\":1}}\n{\"side\":\"buy\",\"symbol\":\"A\",\"price\":1}\n");
    for _ in 0..3 {
        let time = client.json().await["content"]["timestamp"]
            .as_u64()
            .unwrap();
        assert!((before..=now()).contains(&time), "{time}");
    }
}

#[tokio::test]
async fn each_refused_line_is_a_dead_letter_and_the_lines_after_it_arrive() {
    let deep = format!(
        r#"{{"side":"buy","symbol":"A","price":1,"deep":{}1{}}}"#,
        "[".repeat(32),
        "]".repeat(32)
    );
    let refused = [
        (
            "hold BTCUSDT 1",
            r#""hold" does not begin a signal; write a JSON object, or text such as buy BTCUSDT 75000.00"#,
        ),
        (
            "buy BTCUSDT",
            "price is missing; add it after the symbol: buy SYMBOL PRICE",
        ),
        (
            "  buy BTCUSDT 75,000\t",
            r#"price: "75,000" is not a number; write a decimal such as 75000.00"#,
        ),
        (
            "buy BTCUSDT NaN",
            r#"price: "NaN" is not a finite number; write a decimal, or no line when there is no price"#,
        ),
        (
            "buy BTCUSDT 1 1720000000123",
            r#"timestamp: "1720000000123" looks like milliseconds; write seconds, or add ?unit=ms to the source"#,
        ),
        (
            "buy BTCUSDT 1 1720000000 tset",
            r#""tset" is one word too many; write SIDE SYMBOL PRICE [TIMESTAMP] [test]"#,
        ),
        (
            "buy BTC\u{a0}USDT 1",
            r#"symbol: "BTC\u{a0}USDT" holds U+00A0; leave out white space, control and format characters"#,
        ),
        (
            r#"{"side":"buy","symbol":"A","price":1"#,
            "not JSON: the line ends too early, expected a comma or }",
        ),
        (
            r#"{"side":"buy","symbol":"A","price":NaN}"#,
            r#""NaN" is not JSON; write a finite number, or leave the key out"#,
        ),
        (
            r#"{"side":"buy","symbol":"A","price":null}"#,
            "price: found null; write a number",
        ),
        (
            r#"{"side":"buy","symbol":"A","price":1,"is_test":"true"}"#,
            "is_test: found a string; write true or false, without quotes",
        ),
        (
            r#"{"side":"buy","symbol":"A","price":1,"is_test":null}"#,
            "is_test: found null; write true or false, without quotes",
        ),
        (
            r#"{"side":"buy","symbol":"A","ticker":"A","price":1}"#,
            "symbol and ticker are two names for one thing; keep one of them",
        ),
        (
            r#"{"side":"buy","symbol":"A","price":1,"a":{"b":1,"\u0062":2}}"#,
            r#"the key "b" stands twice in one object; keep one of them"#,
        ),
        (
            r#"{"side":"buy","symbol":"\ud800","price":1}"#,
            r#""\\ud800" is half of a surrogate pair; write both halves, or the character itself"#,
        ),
        (&deep, "nested deeper than 32 levels; flatten it"),
        (
            r#"{"type":"buy","content":{"symbol":"A","price":1},"is_tset":true}"#,
            r#"unknown key "is_tset"; did you mean is_test?"#,
        ),
        (
            r#"{"side":"buy","symbol":"A","price":0.12345678901234567890123456789}"#,
            r#"price: "0.12345678901234567890123456789" has more than 28 decimal places; write fewer"#,
        ),
        (
            r#"{"side":"buy","symbol":"A","price":1,"id":"a b"}"#,
            r#"id: "a b" is not an id; write 1 to 36 of A-Z a-z 0-9 _ -"#,
        ),
        (
            r#"{"side":"buy","symbol":"A","price":1,"valid_for":1.5}"#,
            r#"valid_for: "1.5" is not a duration; write whole seconds above 0, such as 30"#,
        ),
        (
            "[1]",
            "a JSON array is not a signal; write an object in braces, one a line",
        ),
    ];
    let mut server = TestServer::start("");
    let mut client = server.client().await;
    let (mut feed, mut expected) = (String::new(), Vec::new());
    for (number, (bad, reason)) in (1_usize..).zip(&refused) {
        let position = json!({ "line": 2 * number - 1, "offset": feed.len() });
        expected.push(
            json!({ "source": "stdin", "position": position, "reason": reason, "line": bad }),
        );
        feed.push_str(&format!("{bad}\n{}", line(&format!("S{number}"))));
    }
    server.feed(&feed);
    for number in 1..=refused.len() {
        expect(&mut client, &format!("S{number}")).await;
    }
    let letters: Vec<Value> = dead_letters(&server)
        .into_iter()
        .map(without_time)
        .collect();
    assert_eq!(letters, expected);
    let file = fs::metadata(server.folder.path("data/dead-letters.jsonl")).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    let log = server.stop();
    assert!(
        log.contains(r#"line refused at=stdin:1 source=stdin reason="\"hold\" does not begin"#),
        "{log}"
    );
    assert!(
        log.contains("lines were refused source=stdin count=21"),
        "{log}"
    );
}

#[tokio::test]
async fn what_is_not_utf_8_is_kept_in_base64() {
    let mut server = TestServer::start("");
    let mut client = server.client().await;
    let mut feed = server.take_feed();
    std::io::Write::write_all(
        &mut feed,
        b"buy CAF\xc9 1\n# caf\xe9, a comment\nbuy A 75000.00 1720000000\n",
    )
    .unwrap();
    expect(&mut client, "A").await;
    let letter = without_time(dead_letters(&server).remove(0));
    assert_eq!(dead_letters(&server).len(), 1);
    assert_eq!(
        letter,
        json!({
            "source": "stdin",
            "position": { "line": 1, "offset": 0 },
            "reason": "not UTF-8; write the feed in UTF-8",
            "line_base64": BASE64.encode(b"buy CAF\xc9 1"),
        })
    );
}

#[tokio::test]
async fn a_line_of_65536_bytes_is_read_and_a_longer_one_is_a_dead_letter() {
    const MOST: usize = 65_536;
    let padded =
        |length: usize| format!("{}{}", " ".repeat(length - line("A").len() + 1), line("A"));
    let giant = format!("buy {}", "é".repeat(100_000));
    let mut server = TestServer::start("--source stdin --source file:feed.txt");
    let mut client = server.client().await;
    server
        .folder
        .append("feed.txt", &format!("{giant}\n{}", line("FILE")));
    expect(&mut client, "FILE").await;
    server.feed(&format!(
        "{}{}{giant}\r\n{}",
        padded(MOST),
        padded(MOST + 1),
        line("B")
    ));
    expect(&mut client, "A").await;
    expect(&mut client, "B").await;

    let letters: Vec<Value> = dead_letters(&server)
        .into_iter()
        .map(without_time)
        .collect();
    let reason = |length| {
        format!(
            "the line is {length} bytes long, at most 65536 are allowed; \
             write one signal a line, each line ended by a newline"
        )
    };
    // The cut would fall into a character.
    let head = format!("buy {}", "é".repeat((MOST - 4) / 2));
    assert_eq!(letters.len(), 3);
    assert_eq!(
        letters[0],
        json!({
            "source": "file:feed.txt",
            "position": { "file": "feed.txt", "line": 1, "offset": 0 },
            "reason": reason(200_004),
            "line": head,
            "length": 200_004,
            "sha256": sha256(giant.as_bytes()),
        })
    );
    let long = padded(MOST + 1);
    assert_eq!(
        letters[1],
        json!({
            "source": "stdin",
            "position": { "line": 2, "offset": MOST + 1 },
            "reason": reason(MOST + 1),
            "line": long[..MOST],
            "length": MOST + 1,
            "sha256": sha256(long.trim_end_matches('\n').as_bytes()),
        })
    );
    assert_eq!(
        letters[2]["position"],
        json!({ "line": 3, "offset": 2 * MOST + 3 })
    );
    assert_eq!(letters[2]["length"], 200_004);
    assert_eq!(
        letters[2]["sha256"],
        sha256(giant.as_bytes()),
        "the line end is no part of it"
    );
}

#[tokio::test]
async fn blanks_comments_marks_and_line_ends_do_not_count() {
    let mut server = TestServer::start("");
    let mut client = server.client().await;
    let feed = format!(
        "\u{feff}{}\r\n\n \t \r\n# a comment\n  # buy NOT 1\r\n  \t{}   \r\nhold\r\n{}",
        line("A").trim_end(),
        line("B").trim_end(),
        line("C").trim_end(),
    );
    server.feed(&feed);
    expect(&mut client, "A").await;
    expect(&mut client, "B").await;
    // The last one has no newline: it counts when there is nothing after it.
    drop(server.take_feed());
    expect(&mut client, "C").await;
    let letters = dead_letters(&server);
    assert_eq!(letters.len(), 1);
    let offset = feed.find("hold").unwrap();
    assert_eq!(
        letters[0]["position"],
        json!({ "line": 7, "offset": offset })
    );
    assert_eq!(
        letters[0]["line"], "hold",
        "the line end is no part of the line"
    );
}

#[tokio::test]
async fn the_server_goes_on_serving_when_standard_input_has_ended() {
    let mut server = TestServer::start("--source stdin --source file:later.txt");
    let mut client = server.client().await;
    drop(server.take_feed());
    server.logged("source ended").await;
    server.folder.append("later.txt", &line("LATER"));
    expect(&mut client, "LATER").await;
    let mut newcomer = server.client().await;
    server.folder.append("later.txt", &line("AGAIN"));
    expect(&mut newcomer, "AGAIN").await;
}

#[tokio::test]
async fn refused_lines_are_counted_and_the_log_is_not_flooded() {
    let mut server = TestServer::start("");
    let mut client = server.client().await;
    let start = Instant::now();
    server.feed(&format!("{}{}", "hold it 1\n".repeat(5000), line("A")));
    expect(&mut client, "A").await;
    let seconds = start.elapsed().as_secs();
    assert_eq!(dead_letters(&server).len(), 5000);
    let log = server.stop();
    let told = log.matches("line refused").count() as u64;
    assert!(
        (1..=seconds + 2).contains(&told),
        "{told} in {seconds} s:\n{log}"
    );
    assert!(
        log.contains("lines were refused source=stdin count=5000"),
        "{log}"
    );
}

#[tokio::test]
async fn a_second_signal_with_an_id_is_dropped_and_counted_also_from_another_source() {
    let with_id = |id: &str, symbol: &str| {
        format!(
            "{{\"side\":\"buy\",\"symbol\":\"{symbol}\",\"price\":75000.00,\"time\":{AT},\"id\":\"{id}\"}}\n"
        )
    };
    let mut server = TestServer::start("--source stdin --source file:feed.txt");
    let mut client = server.client().await;
    server.feed(
        &[
            with_id("one", "A"),
            with_id("one", "AGAIN"),
            with_id("two", "B"),
            with_id("ONE", "C"),
        ]
        .concat(),
    );
    for symbol in ["A", "B", "C"] {
        expect(&mut client, symbol).await;
    }
    server.folder.append(
        "feed.txt",
        &[with_id("two", "AGAIN"), with_id("three", "D")].concat(),
    );
    expect(&mut client, "D").await;
    server.feed(&[with_id("three", "AGAIN"), line("E"), line("E")].concat());
    expect(&mut client, "E").await;
    expect(&mut client, "E").await;
    assert_eq!(
        server.folder.read("data/dead-letters.jsonl"),
        "",
        "a duplicate is no mistake"
    );
    let log = server.stop();
    assert!(log.contains("were dropped duplicates=3"), "{log}");
}

#[tokio::test]
async fn a_source_may_count_in_milliseconds() {
    let mut server = TestServer::start(
        "--source stdin?unit=ms --source file:ms.txt?unit=ms --source file:s.txt",
    );
    let mut client = server.client().await;
    let text = "buy A 75000.00 1720000000999\n{\"side\":\"buy\",\"symbol\":\"A\",\"price\":75000.00,\"time\":\"2024-07-03T09:46:40Z\"}\n";
    server.feed(text);
    expect(&mut client, "A").await;
    expect(&mut client, "A").await;
    server.folder.append("ms.txt", text);
    expect(&mut client, "A").await;
    expect(&mut client, "A").await;
    server.folder.append(
        "s.txt",
        "buy B 75000.00 1720000000999\nbuy B 75000.00 1720000000\n",
    );
    expect(&mut client, "B").await;
    let letters = dead_letters(&server);
    assert_eq!(letters.len(), 1);
    assert_eq!(
        letters[0]["position"],
        json!({ "file": "s.txt", "line": 1, "offset": 0 })
    );
}

#[tokio::test]
async fn files_that_are_there_are_followed_from_their_end_or_their_start() {
    let folder = Arc::new(Folder::new());
    folder.append(
        "live/a.jsonl",
        &format!("{}{}buy HALF", line("OLD"), line("OLD")),
    );
    folder.append("all.jsonl", &line("FIRST"));
    let server = TestServer::start_in(
        folder,
        "--wait-clients 1 --source file:live/*.jsonl --source file:all.jsonl?from=start",
    );
    let mut client = server.client().await;
    expect(&mut client, "FIRST").await;
    // What was half a line at the start is one now.
    server.folder.append(
        "live/a.jsonl",
        &format!(" 75000.00 {AT}\nhold\n{}", line("NEW")),
    );
    expect(&mut client, "HALF").await;
    expect(&mut client, "NEW").await;
    let letters = dead_letters(&server);
    let offset = 2 * line("OLD").len() + line("HALF").len();
    assert_eq!(
        letters[0]["position"],
        json!({ "file": "live/a.jsonl", "line": 4, "offset": offset })
    );
    assert_eq!(letters[0]["source"], "file:live/*.jsonl");
    server.stop();
}

#[tokio::test]
async fn files_that_appear_later_are_followed_from_their_start() {
    let server = TestServer::start("--source file:live/*.jsonl --source file:deep/er/one.jsonl");
    let mut client = server.client().await;
    server.folder.append("live/ignored.txt", &line("IGNORED"));
    server.folder.append("live/.hidden.jsonl", &line("HIDDEN"));
    server.folder.append("live/a.jsonl", &line("A"));
    expect(&mut client, "A").await;
    server.folder.append("deep/er/one.jsonl", &line("ONE"));
    expect(&mut client, "ONE").await;
    // Made elsewhere and moved here, as careful writers do.
    server.folder.append("b.tmp", &line("B"));
    fs::rename(
        server.folder.path("b.tmp"),
        server.folder.path("live/b.jsonl"),
    )
    .unwrap();
    expect(&mut client, "B").await;
}

#[tokio::test]
async fn a_line_that_is_written_in_pieces_is_one_signal() {
    let mut server = TestServer::start("--source file:feed.txt --source stdin");
    let mut client = server.client().await;
    for piece in ["buy A", " 750", "00.00 17200000", "00"] {
        server.folder.append("feed.txt", piece);
        // The file was looked at: what was written to another one after it is here.
        server.feed(&line("BETWEEN"));
        expect(&mut client, "BETWEEN").await;
    }
    server
        .folder
        .append("feed.txt", &format!("\n{}", line("B")));
    expect(&mut client, "A").await;
    expect(&mut client, "B").await;
    server.feed("buy C 750");
    server.folder.append("feed.txt", &line("BETWEEN"));
    expect(&mut client, "BETWEEN").await;
    server.feed(&format!("00.00 {AT}\n"));
    expect(&mut client, "C").await;
}

#[tokio::test]
async fn each_file_keeps_its_order_whatever_comes_from_the_others() {
    const SIGNALS: usize = 3000;
    let mut server =
        TestServer::start("--source file:a.txt --source file:many/*.txt --source stdin");
    let mut client = server.client().await;
    let lines = |name: &str, numbers: RangeInclusive<usize>| -> String {
        numbers
            .map(|number| format!("buy {name} 1 {number}\n"))
            .collect()
    };
    let names = ["A", "B", "C", "STDIN"];
    for part in 0..10 {
        let numbers = part * SIGNALS / 10 + 1..=(part + 1) * SIGNALS / 10;
        server.folder.append("a.txt", &lines("A", numbers.clone()));
        server
            .folder
            .append("many/b.txt", &lines("B", numbers.clone()));
        server
            .folder
            .append("many/c.txt", &lines("C", numbers.clone()));
        server.feed(&lines("STDIN", numbers));
    }
    let mut next = names.map(|_| 1);
    for _ in 0..SIGNALS * names.len() {
        let signal = client.json().await;
        let place = names
            .iter()
            .position(|name| signal["content"]["symbol"] == *name)
            .unwrap();
        assert_eq!(signal["content"]["timestamp"], next[place]);
        next[place] += 1;
    }
    assert_eq!(next, names.map(|_| SIGNALS + 1));
    server.stop();
}

#[tokio::test]
async fn a_file_that_shrinks_is_read_from_its_start() {
    let server = TestServer::start("--source file:feed.txt");
    let mut client = server.client().await;
    server
        .folder
        .append("feed.txt", &format!("{}buy CUT 750", line("A").repeat(100)));
    for _ in 0..100 {
        expect(&mut client, "A").await;
    }
    fs::write(server.folder.path("feed.txt"), line("B")).unwrap();
    expect(&mut client, "B").await;
    server.folder.append("feed.txt", &line("C"));
    expect(&mut client, "C").await;
    // Whether the half line was seen before it was cut off is a matter of luck.
    for letter in dead_letters(&server) {
        assert_eq!(letter["position"]["line"], 101);
        assert_eq!(letter["line"], "buy CUT 750");
    }
}

#[tokio::test]
async fn the_unfinished_line_of_a_file_that_is_gone_is_a_dead_letter() {
    let mut server = TestServer::start("--source file:feed.txt --source stdin");
    let mut client = server.client().await;
    server
        .folder
        .append("feed.txt", &format!("{}buy CUT 750", line("A")));
    expect(&mut client, "A").await;
    fs::remove_file(server.folder.path("feed.txt")).unwrap();
    server.logged("line refused").await;
    server.feed(&line("B"));
    expect(&mut client, "B").await;
    let letter = without_time(dead_letters(&server).remove(0));
    assert_eq!(
        letter,
        json!({
            "source": "file:feed.txt",
            "position": { "file": "feed.txt", "line": 2, "offset": line("A").len() },
            "reason": "the line has no newline and never will (its file is gone); end each line with a newline",
            "line": "buy CUT 750",
        })
    );
}

#[tokio::test]
async fn half_a_line_on_standard_input_at_the_stop_is_a_dead_letter() {
    let mut server = TestServer::start("");
    let mut client = server.client().await;
    server.feed(&format!("{}buy CUT 750", line("A")));
    expect(&mut client, "A").await;
    let folder = Arc::clone(&server.folder);
    // Open until the end: a feed that ends has ended its last line, too.
    let feed = server.take_feed();
    server.stop();
    drop(feed);
    let letters = folder.read("data/dead-letters.jsonl");
    assert!(letters.contains(r#""reason":"the line has no newline and never will (the server stopped); end each line with a newline","line":"buy CUT 750"}"#), "{letters}");
    assert_eq!(client.texts_until_close().await, (vec![], 1001));
}

#[tokio::test]
async fn a_source_that_fails_does_not_stop_the_others() {
    let folder = Arc::new(Folder::new());
    folder.append("live/a.jsonl", "");
    let command = folder.command("serve --listen 127.0.0.1:0 --source stdin --source file:live/* --source file:live/a.jsonl/none");
    // A folder as standard input can be opened and not be read; a pipe can't be followed.
    let unreadable = Stdio::from(File::open(folder.path("live")).unwrap());
    folder.fifo("live/pipe");
    let server = TestServer::start_read(folder, command, unreadable, Reader::Attentive);
    let mut client = server.client().await;
    server.logged("source failed").await;
    server.logged("can't follow a file").await;
    server.folder.append("live/a.jsonl", &line("A"));
    expect(&mut client, "A").await;
    let log = server.stop();
    assert!(
        !log.contains("source ended"),
        "it has failed, which is something else:\n{log}"
    );
}

/// Numbers with at most 28 digits, written as a strategy or a spreadsheet would.
fn price() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        "(0|[1-9][0-9]{0,13})\\.[0-9]{1,14}",
        "0|[1-9][0-9]{0,27}",
        "0\\.[0-9]{28}",
        "[1-9]\\.[0-9]{27}",
    ];
    (any::<bool>(), number).prop_map(|(negative, number)| {
        let sign = if negative { "-" } else { "" };
        format!("{sign}{number}")
    })
}

/// No sign on zero; all else as it was written.
fn on_the_wire(price: &str) -> &str {
    match price.strip_prefix('-') {
        Some(zero) if zero.chars().all(|c| matches!(c, '0' | '.')) => zero,
        _ => price,
    }
}

#[test]
fn prices_are_exact_to_the_digit_all_the_way() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut server = TestServer::start("");
    let mut client = runtime.block_on(server.client());
    let (server, client) = (
        std::cell::RefCell::new(&mut server),
        std::cell::RefCell::new(&mut client),
    );
    let config = Config {
        cases: 16,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&prop::collection::vec(price(), 1..300), |prices| {
        let line = |(number, price): (usize, &String)| match number % 4 {
            0 => format!("buy X {price} {AT}\n"),
            1 => format!("{{\"type\":\"buy\",\"content\":{{\"symbol\":\"X\",\"price\":{price},\"timestamp\":{AT}}}}}\n"),
            2 => format!("{{\"side\":\"buy\",\"symbol\":\"X\",\"price\":\"{price}\",\"time\":{AT}}}\n"),
            _ => format!("{{\"time\":{AT},\"price\": {price} ,\"pair\":\"X\",\"action\":\"buy\"}}\n"),
        };
        server.borrow_mut().feed(&prices.iter().enumerate().map(line).collect::<String>());
        let texts = runtime.block_on(client.borrow_mut().texts(prices.len()));
        for (text, price) in texts.iter().zip(&prices) {
            prop_assert_eq!(text, &wire("buy", "X", on_the_wire(price), AT));
        }
        Ok(())
    });
    outcome.unwrap();
}
