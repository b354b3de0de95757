//! `POST /signals`: what is brought, in which form, what is answered, and who gets it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod publishing;
mod scrape;

use std::fs;
use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use common::jwt::{claims, with};
use common::{Folder, TestServer, patiently};
use publishing::{
    JSON, NDJSON, Publisher, TEXT, accepted, bearer, client, line, next, refused, request,
};
use scrape::{MEASURED, Scrape, metrics_address};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SIGNAL: &str = r#"{"type":"buy","content":{"symbol":"BTCUSDT","price":75000.00,"timestamp":1720000000,"quantity":1.50},"is_test":false}"#;

#[tokio::test]
async fn a_signal_that_is_published_is_answered_with_its_place_and_sent_to_every_client() {
    for settings in ["", "--journal none", "--plaintext"] {
        let server = TestServer::start(settings);
        let mut client = client(&server, "/").await;
        let mut publisher = Publisher::of(&server).await;
        let answer = publisher.post(JSON, SIGNAL).await;
        assert_eq!(accepted(&answer), [(1, 1, false)]);
        let signal = client.json().await;
        let id = signal["id"].as_str().unwrap();
        let expected =
            format!(r#"{{"accepted":[{{"line":1,"seq":1,"id":"{id}","duplicate":false}}]}}"#);
        assert_eq!(answer.body, expected);
        assert_eq!(signal["source"], "http:strategy-1");
        assert_eq!(signal["content"]["quantity"].to_string(), "1.5");
        assert!(signal["received_at"].is_string());

        // The connection goes on.
        let answer = publisher.post(TEXT, "sell ETHUSDT 4000.10 test").await;
        assert_eq!(accepted(&answer), [(1, 2, false)]);
        let signal = client.json().await;
        assert_eq!(signal["type"], "sell");
        assert_eq!(signal["is_test"], true);
        server.stop();
    }
}

#[tokio::test]
async fn ten_thousand_lines_are_taken_in_one_commit_and_in_their_order() {
    const SIGNALS: usize = 10_000;
    let server = TestServer::start(MEASURED);
    let mut client = client(&server, "/").await;
    let mut publisher = Publisher::of(&server).await;
    let body: String = (0..SIGNALS)
        .map(|n| format!("# {n}\r\n") + &line(&format!("n-{n}"), &format!("S{n}")))
        .collect();
    let told = publisher.publish(NDJSON, &body).await;
    let expected: Vec<_> = (1..=SIGNALS as u64).map(|n| (2 * n, n, false)).collect();
    assert!(told == expected);
    let expected: Vec<_> = (0..SIGNALS)
        .map(|n| (n as u64 + 1, format!("S{n}")))
        .collect();
    assert!(next(&mut client, SIGNALS).await == expected);
    let scrape = Scrape::of(metrics_address(&server).await).await;
    assert_eq!(scrape.count("signalcast_journal_commit_seconds_count"), 1);
}

#[tokio::test]
async fn when_one_line_is_no_signal_every_such_line_is_told_and_nothing_is_taken() {
    let server = TestServer::start(MEASURED);
    let mut client = client(&server, "/").await;
    let good = line("good", "GOOD");
    let body = format!("{good}hold X 1\n\n{good}{{\"side\":\"buy\",\"symbol\":\"X\"}}\n\u{7}\n");
    let told = refused(&Publisher::of(&server).await.post(NDJSON, &body).await);
    let lines: Vec<u64> = told.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [2, 5, 6]);
    assert!(told[0].1.starts_with(r#""hold" does not begin a signal"#));
    assert_eq!(told[1].1, r#"the price is missing; add "price":75000.00"#);
    let address = metrics_address(&server).await;
    let scrape = Scrape::of(address).await;
    assert_eq!(scrape.count("signalcast_head_seq"), 0);
    assert_eq!(
        scrape.count(r#"signalcast_refusals_total{code="invalid_signal"}"#),
        1
    );
    assert!(!scrape.text.contains(r#"source="http"#), "{}", scrape.text);
    // Whoever sent it knows.
    let letters = fs::read_to_string(server.folder.path("data/dead-letters.jsonl"));
    assert_eq!(letters.unwrap_or_default(), "");

    // All of it is taken when it is mended, and the id is still free.
    let mut publisher = Publisher::of(&server).await;
    let told = publisher.publish(NDJSON, &good).await;
    assert_eq!(told, [(1, 1, false)]);
    assert_eq!(next(&mut client, 1).await, [(1, "GOOD".to_owned())]);
}

#[tokio::test]
async fn a_retry_is_told_where_the_first_one_is_and_each_signal_is_sent_once() {
    let folder = Arc::new(Folder::new());
    for settings in ["", "--journal none"] {
        let mut server = TestServer::start_in(folder.clone(), settings);
        let mut client = client(&server, "/").await;
        let mut publisher = Publisher::of(&server).await;
        let id = |name: &str| format!("{name}{}", settings.len());
        let (a, b, c) = (
            line(&id("a"), "A"),
            line(&id("b"), "B"),
            line(&id("c"), "C"),
        );
        let twice = format!("{a}{b}{a}");
        let told = publisher.publish(NDJSON, &twice).await;
        assert_eq!(told, [(1, 1, false), (2, 2, false), (3, 1, true)]);
        let told = publisher.publish(NDJSON, &twice).await;
        assert_eq!(told, [(1, 1, true), (2, 2, true), (3, 1, true)]);
        // Whoever brought it first.
        server.feed(&c);
        let expected = [(1, "A"), (2, "B"), (3, "C")];
        let expected = expected.map(|(seq, symbol)| (seq, symbol.to_owned()));
        assert_eq!(next(&mut client, 3).await, expected);
        let mut other = Publisher::named(&server, "strategy-2").await;
        let told = other.publish(NDJSON, &format!("buy D 1\n{c}{b}")).await;
        assert_eq!(told, [(1, 4, false), (2, 3, true), (3, 2, true)]);
        assert_eq!(next(&mut client, 1).await, [(4, "D".to_owned())]);
        server.feed(&a);
        let told = publisher.publish(TEXT, "buy E 1").await;
        assert_eq!(told, [(1, 5, false)]);
        assert_eq!(next(&mut client, 1).await, [(5, "E".to_owned())]);
        drop(client);
        server.stop();

        if settings.is_empty() {
            let server = TestServer::start_in(folder.clone(), settings);
            let told = Publisher::of(&server).await.publish(NDJSON, &twice).await;
            assert_eq!(told, [(1, 1, true), (2, 2, true), (3, 1, true)]);
            server.stop();
        }
    }
}

#[tokio::test]
async fn what_somebody_publishes_after_a_signal_was_seen_comes_after_it() {
    let mut server = TestServer::start("--server-shards 2");
    let mut client = client(&server, "/").await;
    let mut publishers = [
        Publisher::named(&server, "one").await,
        Publisher::named(&server, "two").await,
    ];
    let mut seq = 0;
    for round in 0..50 {
        for publisher in &mut publishers {
            seq += 1;
            let told = publisher.publish(TEXT, &format!("buy P{round} 1")).await;
            assert_eq!(told, [(1, seq, false)]);
        }
        seq += 1;
        server.feed(&format!("buy F{round} 1\n"));
        let last = next(&mut client, 3).await.pop().unwrap();
        assert_eq!(last, (seq, format!("F{round}")));
    }
}

#[tokio::test]
async fn many_publish_at_once_and_each_has_its_own_in_order() {
    const PUBLISHERS: usize = 200;
    const ROUNDS: usize = 5;
    let mut server = TestServer::start("--plaintext --server-shards 2");
    let mut client = client(&server, "/").await;
    let mut feed = server.take_feed();
    let feeding = std::thread::spawn(move || {
        for _ in 0..100 {
            feed.write_all("buy FEED 1\n".repeat(10).as_bytes())
                .unwrap();
        }
        feed
    });
    let publish = async |number: usize| {
        let mut publisher = Publisher::named(&server, &format!("p{number}")).await;
        let mut told = Vec::new();
        for round in 0..ROUNDS {
            let body = format!("buy P{number}-{round}-a 1\nbuy P{number}-{round}-b 1\n");
            let seqs = publisher.publish(TEXT, &body).await;
            told.extend(seqs.into_iter().map(|(_, seq, _)| seq));
        }
        told
    };
    let publishing = futures::future::join_all((0..PUBLISHERS).map(publish));
    let all = PUBLISHERS * ROUNDS * 2 + 1000;
    let (told, seen) = tokio::join!(publishing, next(&mut client, all));
    feeding.join().unwrap();

    assert!(seen.iter().map(|(seq, _)| *seq).eq(1..=all as u64));
    let symbol_at = |seq: u64| &*seen[usize::try_from(seq - 1).unwrap()].1;
    for (number, seqs) in told.iter().enumerate() {
        assert!(seqs.is_sorted());
        for (n, pair) in seqs.chunks(2).enumerate() {
            // Nobody's signals come between those that were brought together.
            assert_eq!(pair[1], pair[0] + 1);
            assert_eq!(symbol_at(pair[0]), format!("P{number}-{n}-a"));
            assert_eq!(symbol_at(pair[1]), format!("P{number}-{n}-b"));
        }
    }
}

#[tokio::test]
async fn the_content_type_says_what_is_in_the_body() {
    let server = TestServer::start("");
    let mut publisher = Publisher::of(&server).await;
    let pretty = SIGNAL.replace(',', ",\r\n  ").replace('{', "{\n");
    let one = line("x", "X").replace("\"id\":\"x\",", "");
    for (content_type, body, count) in [
        (JSON, SIGNAL.to_owned(), 1),
        (JSON, pretty.clone(), 1),
        ("application/json; charset=utf-8", pretty, 1),
        ("application/vnd.alerts+json", one.clone(), 1),
        (NDJSON, one.repeat(3), 3),
        ("application/jsonl", format!("\u{feff}{one}#\n\n{one}"), 2),
        (
            TEXT,
            "buy A 1\r\nSELL B 2 1720000000\n\nlong C 3 test".to_owned(),
            3,
        ),
        (TEXT, one, 1),
    ] {
        let told = publisher.publish(content_type, &body).await;
        assert_eq!(told.len(), count, "{content_type} {body}");
    }
    let headers = bearer(&server);
    for content_type in [
        "text/html",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
    ] {
        let answer = server
            .exchange(request(&headers, content_type, SIGNAL).as_bytes())
            .await;
        assert_eq!(
            (answer.status, &*answer.code()),
            (415, "unsupported_media_type")
        );
    }
    for lines in [
        "Content-Length: 2\r\n",
        "Content-Length: 2\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n",
    ] {
        let request = format!("POST /signals HTTP/1.1\r\nHost: x\r\n{headers}{lines}\r\n{{}}");
        let answer = server.exchange(request.as_bytes()).await;
        assert_eq!(answer.status, 415, "{lines}");
    }
    // What is said to be JSON is.
    for body in ["buy A 1", "# nothing", "", "[]", "{}\n{}"] {
        let answer = server
            .exchange(request(&headers, JSON, body).as_bytes())
            .await;
        assert_eq!(refused(&answer).len(), 1, "{body}");
    }
}

#[tokio::test]
async fn timestamps_are_seconds_unless_the_request_says_milliseconds() {
    let server = TestServer::start("");
    let mut client = client(&server, "/").await;
    let headers = bearer(&server);
    let body = "buy A 1 1720000000123";
    let post = request(&headers, TEXT, body);
    let told = refused(&server.exchange(post.as_bytes()).await);
    assert!(
        told[0].1.contains("looks like milliseconds"),
        "{}",
        told[0].1
    );
    let post = post.replace("/signals", "/signals?unit=ms");
    let (_, answer) = server.open(post.as_bytes()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(client.json().await["content"]["timestamp"], 1_720_000_000);
    for query in ["unit=us", "limit=1", "unit=s&unit=s"] {
        let post = request(&headers, TEXT, body).replace("/signals", &format!("/signals?{query}"));
        let answer = server.exchange(post.as_bytes()).await;
        assert_eq!(
            (answer.status, &*answer.code()),
            (400, "bad_request"),
            "{query}"
        );
    }
}

#[tokio::test]
async fn who_may_not_publish_is_told_so_before_anything_is_read() {
    let server = TestServer::start("--auth-failed-tries-per-minute 2");
    // Nothing of the body is ever sent.
    let head = |headers: &str| {
        format!(
            "POST /signals HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Type: text/plain\r\n\
             Content-Length: 16\r\n\r\n"
        )
    };
    let reader = format!("Authorization: Bearer {}\r\n", server.mint(&claims()));
    let good = bearer(&server);
    for (headers, status, code) in [
        (String::new(), 401, "missing_token"),
        (good.repeat(2), 400, "invalid_request"),
        (reader, 403, "insufficient_scope"),
        (
            "Authorization: Bearer bad\r\n".to_owned(),
            401,
            "invalid_token",
        ),
        (
            "Authorization: Bearer bad\r\n".to_owned(),
            401,
            "invalid_token",
        ),
        (
            "Authorization: Bearer bad\r\n".to_owned(),
            429,
            "too_many_attempts",
        ),
    ] {
        let answer = server.exchange(head(&headers).as_bytes()).await;
        assert_eq!(
            (answer.status, &*answer.code()),
            (status, code),
            "{headers}"
        );
        assert_eq!(answer.header("connection"), Some("close"));
        if status == 403 {
            let scope =
                r#"Bearer realm="signalcast", error="insufficient_scope", scope="signals:publish""#;
            assert_eq!(answer.header("www-authenticate"), Some(scope));
        }
    }
    for method in ["PUT", "DELETE", "HEAD"] {
        let request = head(&good).replace("POST", method);
        let request = request.replace("Content-Length: 16\r\n", "");
        let answer = server.exchange(request.as_bytes()).await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, Some("GET, POST"))
        );
    }
    let get = server.get("/signals", &good).await;
    assert_eq!((get.status, &*get.code()), (403, "insufficient_scope"));
}

#[tokio::test]
async fn what_is_too_large_is_refused_without_being_read_to_its_end() {
    const MOST: usize = 16 * 1024 * 1024;
    let server = TestServer::start("");
    let headers = bearer(&server);
    let head = |length: &str| {
        format!(
            "POST /signals HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Type: text/plain\r\n\
             {length}\r\n"
        )
    };
    let announced = head(&format!("Content-Length: {}\r\n", MOST + 1));
    for expect in ["", "Expect: 100-continue\r\n"] {
        let request = announced.replace("\r\n\r\n", &format!("\r\n{expect}\r\n"));
        let answer = server.exchange(request.as_bytes()).await;
        assert_eq!((answer.status, &*answer.code()), (413, "payload_too_large"));
    }
    // Its length shows only as it comes.
    let mut request = head("Transfer-Encoding: chunked\r\n").into_bytes();
    request.extend(format!("{:x}\r\n", MOST + 1).into_bytes());
    request.resize(request.len() + MOST + 1, b'\n');
    let answer = server.exchange(&request).await;
    assert_eq!((answer.status, &*answer.code()), (413, "payload_too_large"));
    // As much as is allowed, all of it blank but for its end.
    let mut request = head(&format!("Content-Length: {MOST}\r\n")).into_bytes();
    request.resize(request.len() + MOST - 7, b'\n');
    request.extend(b"buy A 1");
    let (_, answer) = server.open(&request).await;
    assert_eq!(accepted(&answer), [((MOST - 7) as u64 + 1, 1, false)]);

    let many = "buy A 1\n".repeat(10_001);
    let answer = server
        .exchange(self::request(&headers, TEXT, &many).as_bytes())
        .await;
    assert_eq!((answer.status, &*answer.code()), (413, "payload_too_large"));
    assert!(
        answer.body.contains("over 10000 signals"),
        "{}",
        answer.body
    );
    let long = format!("buy A 1 {}", " ".repeat(64 * 1024));
    let answer = server
        .exchange(self::request(&headers, TEXT, &long).as_bytes())
        .await;
    assert!(refused(&answer)[0].1.contains("at most 65536 are allowed"));
}

#[tokio::test]
async fn a_body_may_come_in_chunks_and_slowly_but_not_stall() {
    let server = TestServer::start("--limits-handshake 2s");
    let head = format!(
        "POST /signals HTTP/1.1\r\nHost: localhost\r\n{}Content-Type: text/plain\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
        bearer(&server)
    );
    let mut publisher = Publisher::of(&server).await;
    publisher.stream.write_all(head.as_bytes()).await.unwrap();
    // Longer than a whole handshake may take, twice over, at 100 KiB a second.
    let comment = format!("#{}\n", "x".repeat(1000));
    let body = format!("buy AB 1\n{}sell CD 2", comment.repeat(480));
    let mut pause = tokio::time::interval(Duration::from_millis(300));
    for piece in body.as_bytes().chunks(30 * 1024) {
        pause.tick().await;
        let piece = str::from_utf8(piece).unwrap();
        let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
        publisher.stream.write_all(chunk.as_bytes()).await.unwrap();
        publisher.stream.flush().await.unwrap();
    }
    publisher.stream.write_all(b"0\r\n\r\n").await.unwrap();
    let answer = publisher.answer().await.unwrap();
    assert_eq!(accepted(&answer), [(1, 1, false), (482, 2, false)]);

    let stalled = server.exchange(format!("{head}4\r\nbuy ").as_bytes()).await;
    assert_eq!((stalled.status, &*stalled.code()), (408, "bad_request"));
    let words = "the body comes too slowly";
    assert!(stalled.body.contains(words), "{}", stalled.body);
    let broken = server
        .exchange(format!("{head}zz\r\nbuy ").as_bytes())
        .await;
    assert_eq!(broken.status, 400, "{broken:?}");
    // Whoever hangs up in the middle has published nothing.
    let cut = head + "8\r\nbuy A 1\n\r\n8\r\nbuy";
    let mut gone = server.connect().await;
    gone.write_all(cut.as_bytes()).await.unwrap();
    gone.shutdown().await.unwrap();
    drop(gone);
    let told = Publisher::of(&server).await.publish(TEXT, "buy B 1").await;
    assert_eq!(told, [(1, 3, false)]);
}

#[tokio::test]
async fn what_is_published_is_counted_and_no_subject_becomes_a_label() {
    let server = TestServer::start(MEASURED);
    let address = metrics_address(&server).await;
    let body = line("a", "A") + &line("a", "A") + "sell B 1\n";
    for subject in ["evil", "eviler"] {
        Publisher::named(&server, subject)
            .await
            .publish(NDJSON, &body)
            .await;
    }
    let scrape = Scrape::of(address).await;
    let signals = |side: &str| {
        scrape.count(&format!(
            r#"signalcast_signals_total{{source="http",type="{side}"}}"#
        ))
    };
    assert_eq!((signals("buy"), signals("sell")), (4, 2));
    assert_eq!(scrape.count("signalcast_duplicates_total"), 3);
    assert_eq!(scrape.count("signalcast_head_seq"), 3);
    let last = r#"signalcast_source_last_signal_timestamp_seconds{source="http"}"#;
    assert!(scrape.value(last) > 1_700_000_000.0);
    assert!(!scrape.text.contains("evil"), "{}", scrape.text);
}

#[tokio::test]
async fn a_subject_of_any_length_and_any_characters_names_the_source() {
    let server = TestServer::start("");
    let mut client = client(&server, "/").await;
    for (subject, source) in [
        ("bot-1", "http:bot-1".to_owned()),
        ("büro 1/\"x\"", "http:büro 1/\"x\"".to_owned()),
        (&"é".repeat(70), format!("http:{}", "é".repeat(64))),
        ("a\u{1b}[2J\n", "http:a\\u{1b}[2J\\n".to_owned()),
    ] {
        Publisher::named(&server, subject)
            .await
            .publish(TEXT, "buy A 1")
            .await;
        assert_eq!(client.json().await["source"], *source);
    }
}

#[tokio::test]
async fn signals_max_age_and_symbols_of_readers_hold_for_what_is_published() {
    let server = TestServer::start("--signals-max-age 60s");
    let mut all = client(&server, "/?stale=true").await;
    let mut fresh = client(&server, "/?symbols=A*").await;
    let mut publisher = Publisher::of(&server).await;
    let told = publisher
        .publish(TEXT, "buy A1 1 1720000000\nbuy B1 1\nbuy A2 1\n")
        .await;
    assert_eq!(told.len(), 3);
    assert_eq!(all.json().await["stale"], true);
    assert_eq!(next(&mut fresh, 1).await, [(3, "A2".to_owned())]);
}

#[tokio::test]
async fn neither_sources_that_wait_nor_those_that_have_ended_hold_up_what_is_published() {
    let mut server = TestServer::start("--wait-clients 1");
    server.feed("buy FED 1\n");
    let mut publisher = Publisher::of(&server).await;
    assert_eq!(publisher.publish(TEXT, "buy A 1").await, [(1, 1, false)]);
    let mut client = client(&server, "/").await;
    assert_eq!(next(&mut client, 1).await, [(2, "FED".to_owned())]);
    drop(server.take_feed());
    server.logged("source ended").await;
    assert_eq!(publisher.publish(TEXT, "buy B 1").await, [(1, 3, false)]);
    assert_eq!(next(&mut client, 1).await, [(3, "B".to_owned())]);
}

#[tokio::test]
async fn what_is_published_while_halted_is_in_the_log_and_sent_to_nobody() {
    let server = TestServer::start("");
    let mut client = server.client().await;
    let admin = format!(
        "Authorization: Bearer {}\r\n",
        server.mint(&with("scope", "admin"))
    );
    let halt = request(&admin, JSON, r#"{"reason":"a test"}"#).replace("/signals", "/halt");
    let (_, answer) = server.open(halt.as_bytes()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut publisher = Publisher::of(&server).await;
    let void = line("a", "VOID");
    assert_eq!(publisher.publish(NDJSON, &void).await, [(1, 1, false)]);
    let lift = format!("DELETE /halt HTTP/1.1\r\nHost: localhost\r\n{admin}\r\n");
    let (_, answer) = server.open(lift.as_bytes()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let told = publisher.publish(NDJSON, &(void + "buy LIVE 1")).await;
    assert_eq!(told, [(1, 1, true), (2, 2, false)]);
    assert!(client.text().await.contains("LIVE"));
}

#[tokio::test]
async fn curl_publishes_a_file() {
    let server = TestServer::start("");
    let mut client = client(&server, "/").await;
    let folder = &server.folder;
    fs::write(folder.path("signal.json"), format!("{SIGNAL}\n")).unwrap();
    let lines: String = (0..10_000)
        .map(|n| line(&format!("c-{n}"), "CURL"))
        .collect();
    fs::write(folder.path("signals.ndjson"), lines).unwrap();
    let token = bearer(&server);
    let url = format!("https://localhost:{}/signals", server.address.port());
    let curl = |arguments: &[&str]| -> Value {
        let output = Command::new("curl")
            .args([
                "--no-progress-meter",
                "--fail-with-body",
                "--max-time",
                "30",
            ])
            .args(["--cacert", "certs/ca.pem", "-H", token.trim_end()])
            .args(arguments)
            .arg(&url)
            .current_dir(folder.path(""))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let told = curl(&["--json", "@signal.json"]);
    let signal = client.json().await;
    let expected = json!({"line": 1, "seq": 1, "id": signal["id"], "duplicate": false});
    assert_eq!(told, json!({"accepted": [expected]}));
    let ndjson = "Content-Type: application/x-ndjson";
    for is_duplicate in [false, true] {
        // Over a megabyte: curl asks before it sends that.
        let told = curl(&["-H", ndjson, "--data-binary", "@signals.ndjson"]);
        let accepted = told["accepted"].as_array().unwrap();
        assert_eq!(accepted.len(), 10_000);
        assert_eq!(accepted[9_999]["seq"], 10_001);
        assert!(accepted.iter().all(|one| one["duplicate"] == is_duplicate));
    }
    assert_eq!(next(&mut client, 10_000).await[9_999].0, 10_001);
}

#[tokio::test]
async fn requests_that_come_at_once_are_answered_in_order() {
    let server = TestServer::start("");
    let headers = bearer(&server);
    let requests = (0..20).map(|n| request(&headers, TEXT, &format!("buy P{n} 1")));
    let requests: String = requests.collect();
    let mut stream = server.connect().await;
    stream.write_all(requests.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut bytes = Vec::new();
    let all = async {
        while bytes.windows(2).filter(|window| window == b"]}").count() < 20 {
            assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
        }
    };
    patiently("answers", all).await;
    let text = common::text(&bytes);
    let seqs = text.split("\"seq\":").skip(1);
    let seqs = seqs.map(|rest| rest.split(',').next().unwrap().parse::<u64>().unwrap());
    assert!(seqs.eq(1..=20), "{text}");
}
