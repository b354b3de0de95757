//! `POST /hooks/{name}/{secret}`: signals from senders that can't set headers, TradingView above all.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "what was measured")]

mod common;
mod scrape;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Answer, Folder, TestServer, patiently, text};
use rusqlite::Connection;
use scrape::{Scrape, metrics_address};
use serde_json::{Value, json};
use tokio::time::interval;

const SECRET: &str = "c0ffee-c0ffee-c0ffee-c0ffee";

/// What TradingView makes of `{{strategy.order.action}} {{ticker}} {{close}} {{timenow}}`.
const TEXT: &str = "buy BTCUSDT 75000.50 2024-07-03T09:46:40Z";

/// The same as JSON over several lines, with a key of the strategy's own.
const JSON: &str = "{\r\n  \"action\": \"sell\",\r\n  \"ticker\": \"BTCUSDT\",\r\n  \"price\": 0.10,\r\n  \"time\": \"2024-07-03T09:46:40Z\",\r\n  \"order\": \"Long 1\"\r\n}";

/// A folder with the secret of the hook `tv` and these settings of it.
fn folder(settings: &str) -> Arc<Folder> {
    let folder = Folder::new();
    folder.append("secret", &format!("{SECRET}\n"));
    fs::set_permissions(folder.path("secret"), Permissions::from_mode(0o600)).unwrap();
    folder.append(
        "signalcast.toml",
        &format!("[hooks.tv]\nsecret_file = \"secret\"\n{settings}"),
    );
    Arc::new(folder)
}

fn request(path: &str, headers: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

async fn post_at(server: &TestServer, path: &str, headers: &str, body: &str) -> Answer {
    let request = request(path, headers, body);
    server.exchange(request.as_bytes()).await
}

async fn post(server: &TestServer, body: &str) -> Answer {
    post_at(server, &format!("/hooks/tv/{SECRET}"), "", body).await
}

fn accepted(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let mut body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body.as_object().unwrap().len(), 1);
    serde_json::from_value(body["accepted"].take()).unwrap()
}

/// All lines that were refused, with the reason.
fn refused(answer: &Answer) -> Vec<(u64, String)> {
    assert_eq!(answer.status, 422, "{answer:?}");
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["code"], "invalid_signal");
    let lines = body["refused"].as_array().unwrap().iter();
    let line = |line: &Value| (line["line"].as_u64().unwrap(), text_of(&line["reason"]));
    lines.map(line).collect()
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// All dead letters, once there are so many: they are written when the answer is on its way.
async fn dead_letters(server: &TestServer, count: usize) -> Vec<Value> {
    let path = server.folder.path("data/dead-letters.jsonl");
    let written = async {
        let mut pause = interval(Duration::from_millis(20));
        loop {
            let letters = fs::read_to_string(&path).unwrap_or_default();
            if letters.matches('\n').count() >= count {
                break letters;
            }
            pause.tick().await;
        }
    };
    let letters = patiently("dead letters", written).await;
    letters
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn a_post_is_one_signal_however_often_it_comes_and_whatever_its_header_says() {
    let server = TestServer::start_in(folder(""), "");
    let mut client = server.client().await;
    let mut slowest = std::time::Duration::ZERO;
    let types = [
        "Content-Type: text/plain; charset=utf-8\r\n",
        "Content-Type: application/json; charset=utf-8\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "",
    ];
    let expected = [
        r#"{"type":"buy","content":{"symbol":"BTCUSDT","price":75000.50,"timestamp":1720000000},"is_test":false}"#,
        r#"{"type":"sell","content":{"symbol":"BTCUSDT","price":0.10,"timestamp":1720000000,"order":"Long 1"},"is_test":false}"#,
    ];
    for ((body, frame), seq) in [TEXT, JSON].into_iter().zip(expected).zip(1..) {
        let mut ids = Vec::new();
        for (content_type, is_again) in types.into_iter().zip([false, true, true, true]) {
            let begun = Instant::now();
            let path = format!("/hooks/tv/{SECRET}");
            let answer = post_at(&server, &path, content_type, body).await;
            slowest = slowest.max(begun.elapsed());
            let all = accepted(&answer);
            let [one] = &all[..] else {
                panic!("{all:?}");
            };
            assert_eq!(
                (&one["line"], &one["seq"], &one["duplicate"]),
                (&json!(1), &json!(seq), &json!(is_again))
            );
            ids.push(text_of(&one["id"]));
        }
        ids.dedup();
        assert_eq!(ids.len(), 1);
        assert_eq!(client.text().await, frame);
    }
    println!("slowest of 8 posts, TLS handshake included: {slowest:?}");
    // Nothing has come in between.
    post(&server, "buy LAST 1").await;
    assert_eq!(client.json().await["content"]["symbol"], "LAST");
    server.stop();
}

#[tokio::test]
async fn an_alert_that_fires_again_is_another_signal() {
    let server = TestServer::start_in(folder(""), "");
    for (body, is_again) in [
        (TEXT, false),
        ("buy BTCUSDT 75000.50 2024-07-03T09:46:41Z", false),
        (TEXT, true),
        (
            r#"{"action":"buy","ticker":"A","price":1,"id":"a-1"}"#,
            false,
        ),
        (
            r#"{"action":"buy","ticker":"A","price":2,"id":"a-1"}"#,
            true,
        ),
    ] {
        let all = accepted(&post(&server, body).await);
        assert_eq!(all[0]["duplicate"], is_again, "{body}");
    }
    let bearer = format!("Authorization: Bearer {}\r\n", server.token());
    let page = server.get("/signals?after_seq=0", &bearer).await;
    let page: Value = serde_json::from_str(&page.body).unwrap();
    let signals = page["signals"].as_array().unwrap();
    assert_eq!(signals.len(), 3);
    assert!(
        signals.iter().all(|signal| signal["source"] == "hook:tv"),
        "{page}"
    );
    server.stop();
}

#[tokio::test]
async fn a_sender_with_a_shape_of_its_own_is_understood_by_the_settings() {
    let settings = "words = [\"exit=sell\"]\n\n[hooks.tv.map]\nsymbol = \"/bot/pair\"\nside = \"/bot/signal\"\nprice = \"/at/0\"\nid = \"/uid\"\nis_test = \"=true\"\n";
    let server = TestServer::start_in(folder(settings), "");
    let mut client = server.client().await;
    let body = |uid: &str, price: &str| {
        format!(
            r#"{{"bot":{{"pair":"BINANCE:BTCUSDT","signal":"EXIT"}},"at":["{price}"],"uid":"{uid}","noise":[1]}}"#
        )
    };
    let first = accepted(&post(&server, &body("BTCUSDT @ 09:46", "75000.00")).await);
    let again = accepted(&post(&server, &body("BTCUSDT @ 09:46", "75000.01")).await);
    assert_eq!(
        (&first[0]["duplicate"], &again[0]["duplicate"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(first[0]["id"], again[0]["id"]);
    let own = accepted(&post(&server, &body("order-7", "1e-8")).await);
    assert_eq!(own[0]["id"], "order-7");
    for price in ["75000.00", "0.00000001"] {
        let frame = client.text().await;
        let (before, rest) = frame.split_once(r#","timestamp":"#).unwrap();
        assert_eq!(
            before,
            format!(r#"{{"type":"sell","content":{{"symbol":"BINANCE:BTCUSDT","price":{price}"#)
        );
        assert!(rest.ends_with(r#"},"is_test":true}"#), "{frame}");
    }
    let lines = refused(&post(&server, TEXT).await);
    assert!(
        lines[0].1.starts_with("not JSON at character 1"),
        "{lines:?}"
    );
    let missing = r#"{"bot":{"pair":"A","signal":"buy"},"at":[],"uid":"8"}"#;
    let lines = refused(&post(&server, missing).await);
    assert!(
        lines[0].1.starts_with("price at /at/0: there is nothing"),
        "{lines:?}"
    );
    server.stop();
}

#[tokio::test]
async fn what_is_marked_as_a_test_in_a_way_that_does_not_count_is_refused_and_kept() {
    let server = TestServer::start_in(folder(""), "");
    let mut client = server.client().await;
    let bodies = [
        r#"{"side":"buy","symbol":"A","price":1,"test":true}"#,
        r#"{"side":"buy","symbol":"A","price":1,"isTest":true}"#,
        r#"{"type":"buy","content":{"symbol":"A","price":1,"is_test":true}}"#,
    ];
    for body in bodies {
        let lines = refused(&post(&server, body).await);
        assert!(lines[0].1.contains("is_test"), "{lines:?}");
    }
    let kept: Vec<String> = dead_letters(&server, bodies.len())
        .await
        .iter()
        .map(|letter| text_of(&letter["line"]))
        .collect();
    assert_eq!(kept, bodies);
    for own in [r#""test":0"#, r#""test":null"#] {
        let body = format!(r#"{{"side":"buy","symbol":"OWN","price":1,{own}}}"#);
        accepted(&post(&server, &body).await);
        assert_eq!(client.json().await["is_test"], false);
    }
    accepted(
        &post(
            &server,
            r#"{"side":"buy","symbol":"LAST","price":1,"test":"b","is_test":false}"#,
        )
        .await,
    );
    let last = client.json().await;
    assert_eq!(
        (&last["content"]["symbol"], &last["content"]["test"]),
        (&json!("LAST"), &json!("b"))
    );
    server.stop();
}

#[tokio::test]
async fn a_test_is_no_live_signal_because_the_hook_does_not_look_for_it() {
    let settings =
        "\n[hooks.tv.map]\nsymbol = \"/s\"\nside = \"/d\"\nprice = \"/p\"\nid = \"/i\"\n";
    let server = TestServer::start_in(folder(settings), "");
    let mut client = server.client().await;
    let body = r#"{"s":"TEST","d":"buy","p":1,"i":"tt","is_test":true}"#;
    let lines = refused(&post(&server, body).await);
    assert!(lines[0].1.contains("map.is_test"), "{lines:?}");
    let letters = dead_letters(&server, 1).await;
    assert_eq!((letters.len(), &letters[0]["line"]), (1, &json!(body)));
    accepted(
        &post(
            &server,
            &body.replace("true", "false").replace("TEST", "LIVE"),
        )
        .await,
    );
    assert_eq!(client.json().await["content"]["symbol"], "LIVE");
    server.stop();

    let settings = format!("{settings}is_test = \"/is_test\"\n");
    let server = TestServer::start_in(folder(&settings), "");
    let mut client = server.client().await;
    accepted(&post(&server, body).await);
    assert_eq!(client.json().await["is_test"], true);
    server.stop();
}

#[tokio::test]
async fn a_test_that_is_wrapped_up_is_no_live_signal_either() {
    for (at, marked) in [
        ("/d", r#"{"d":{"s":"A","d":"buy","p":1,"is_test":true}}"#),
        ("/0", r#"[{"s":"A","d":"buy","p":1,"isTest":true}]"#),
        ("/x/0", r#"{"x":[{"s":"A","d":"buy","p":1}],"test":true}"#),
    ] {
        let map = format!("symbol = \"{at}/s\"\nside = \"{at}/d\"\nprice = \"{at}/p\"\n");
        let server = TestServer::start_in(folder(&format!("\n[hooks.tv.map]\n{map}")), "");
        let mut client = server.client().await;
        let lines = refused(&post(&server, marked).await);
        assert!(lines[0].1.contains("map.is_test"), "{lines:?}");
        let live = marked
            .replace("true", "false")
            .replace(r#""A""#, r#""LIVE""#);
        accepted(&post(&server, &live).await);
        assert_eq!(client.json().await["content"]["symbol"], "LIVE");
        server.stop();
    }
}

#[tokio::test]
async fn two_senders_that_number_their_orders_alike_are_told_apart_by_a_prefix_or_the_hook() {
    let map = |name: &str, id: &str| {
        format!("\n[hooks.{name}.map]\nsymbol = \"/s\"\nside = \"=buy\"\nprice = \"/p\"\n{id}\n")
    };
    let hooks = |id: &str| {
        let other = "\n[hooks.other]\nsecret_file = \"secret\"\n";
        folder(&(map("tv", id) + other + &map("other", id)))
    };
    for (setting, id, is_lost) in [
        ("id = \"/n\"", "7", true),
        ("id = \"/n\"", "\"HOOK-7\"", false),
        // What is unfit for an id is the hook's own.
        ("id = \"/n\"", "\"order 7\"", false),
        ("", "7", false),
    ] {
        let server = TestServer::start_in(hooks(setting), "");
        for (hook, is_again) in [("tv", false), ("other", is_lost), ("tv", true)] {
            let path = format!("/hooks/{hook}/{SECRET}");
            let body = format!(r#"{{"s":"A","p":1,"n":{}}}"#, id.replace("HOOK", hook));
            let all = accepted(&post_at(&server, &path, "", &body).await);
            assert_eq!(all[0]["duplicate"], is_again, "{setting} {id} {hook}");
        }
        server.stop();
    }
}

/// An answer without what differs each time.
fn shape(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let headers = answer.headers.iter().filter(|(name, _)| name != "date");
    (
        answer.status,
        headers.cloned().collect(),
        answer.body.clone(),
    )
}

#[tokio::test]
async fn whoever_does_not_know_the_hook_finds_nothing_and_may_not_try_for_long() {
    let folder = folder("");
    folder.append(
        "signalcast.toml",
        "\n[hooks.elsewhere]\nsecret_file = \"secret\"\nallow = [\"192.0.2.0/24\", \"::1\"]\n",
    );
    let server = TestServer::start_in(folder, "--auth-failed-tries-per-minute 5");
    let nothing = shape(&post_at(&server, "/nothing", "", TEXT).await);
    assert_eq!(nothing.0, 404);
    for path in [
        format!("/hooks/tv/{SECRET}x"),
        "/hooks/tv/".to_owned(),
        format!("/hooks/tw/{SECRET}"),
        format!("/hooks/elsewhere/{SECRET}"),
        format!("/hooks/tv/{SECRET}/"),
    ] {
        let answer = post_at(&server, &path, "", TEXT).await;
        assert_eq!(shape(&answer), nothing, "{path}");
    }
    for path in [
        "/hooks/tv/c0ffee".to_owned(),
        format!("/hooks/elsewhere/{SECRET}"),
    ] {
        let answer = post_at(&server, &path, "", TEXT).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (429, "too_many_attempts")
        );
        assert!(answer.header("retry-after").is_some());
    }
    // Who knows it gets in all the same, however the URL was encoded.
    let encoded = SECRET.replace('-', "%2D");
    let answer = post_at(&server, &format!("/hooks/tv/{encoded}"), "", TEXT).await;
    accepted(&answer);
    for path in ["/hooks/tv/x", "/hooks/nobody/x"] {
        let answer = server.get(path, "").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    }
    server.stop();
}

#[tokio::test]
async fn a_hook_is_for_the_addresses_it_names_behind_a_proxy_too() {
    let folder = folder("allow = [\"52.89.214.238\", \"10.1.0.0/16\"]\n");
    let server = TestServer::start_in(
        folder,
        "--plaintext --behind-proxy --server-trusted-proxies 127.0.0.1 --metrics-listen 127.0.0.1:0",
    );
    let path = format!("/hooks/tv/{SECRET}");
    for (headers, status) in [
        ("X-Forwarded-For: 52.89.214.238\r\n", 200),
        ("X-Forwarded-For: 192.0.2.1, 52.89.214.238\r\n", 200),
        ("Forwarded: for=\"10.1.2.3:4711\"\r\n", 200),
        ("X-Forwarded-For: ::ffff:52.89.214.238\r\n", 200),
        ("X-Forwarded-For: 52.89.214.239\r\n", 404),
        ("X-Forwarded-For: 52.89.214.238, 192.0.2.1\r\n", 404),
        ("X-Forwarded-For: 10.2.0.1\r\n", 404),
        ("", 404),
    ] {
        let answer = post_at(&server, &path, headers, TEXT).await;
        assert_eq!(answer.status, status, "{headers}");
    }
    let metrics = metrics_address(&server).await;
    let scrape = Scrape::of(metrics).await;
    let count = |name: &str| scrape.count(name);
    assert_eq!(
        count(r#"signalcast_auth_failures_total{reason="hook_address"}"#),
        4
    );
    assert_eq!(
        count(r#"signalcast_auth_failures_total{reason="hook_secret"}"#),
        0
    );
    server.stop();
}

#[tokio::test]
async fn what_is_no_signal_is_told_and_kept_and_none_of_it_is_taken() {
    let server = TestServer::start_in(folder(""), "");
    let mut client = server.client().await;
    let alert = "BTCUSDT Crossing 75,000";
    let lines = refused(&post(&server, alert).await);
    let why = "\"BTCUSDT\" does not begin a signal; write a JSON object, or text such as buy BTCUSDT 75000.00";
    assert_eq!(lines, [(1, why.to_owned())]);
    let several = "buy A 1\nhold B 2\r\n\nbuy C\n";
    let lines = refused(&post(&server, several).await);
    assert_eq!(
        lines.iter().map(|(line, _)| *line).collect::<Vec<_>>(),
        [2, 4]
    );
    let empty = refused(&post(&server, "").await);
    assert_eq!(empty[0].0, 1);
    let open = "{\"action\":\"buy\",\n\"price\":";
    refused(&post(&server, open).await);
    let long = post(&server, &"x".repeat(64 * 1024 + 1)).await;
    assert_eq!(
        (long.status, long.code().as_str()),
        (413, "payload_too_large")
    );

    post(&server, "buy LAST 1\nsell LAST 2").await;
    let last = [client.json().await, client.json().await];
    assert_eq!(last.map(|signal| text_of(&signal["type"])), ["buy", "sell"]);

    let letters = dead_letters(&server, 4).await;
    let bodies: Vec<String> = letters
        .iter()
        .map(|letter| text_of(&letter["line"]))
        .collect();
    assert_eq!(bodies, [alert, several, "", open]);
    for letter in &letters {
        assert_eq!(letter["source"], "hook:tv");
        assert_eq!(letter["position"], json!({"line": 1, "offset": 0}));
    }
    assert_eq!(letters[0]["reason"], why);
    let reason = text_of(&letters[1]["reason"]);
    assert!(
        reason.starts_with("line 2: ") && reason.contains("; line 4: "),
        "{reason}"
    );
    let log = server.stop();
    assert!(log.contains("the body of a post was not taken"), "{log}");
}

#[tokio::test]
async fn no_log_and_no_metric_holds_the_secret_of_a_hook() {
    let server = TestServer::start_in(folder(""), "--log trace --metrics-listen 127.0.0.1:0");
    let wrong = SECRET.replace("c0ffee", "dec0de");
    for (path, body) in [
        (format!("/hooks/tv/{SECRET}"), TEXT),
        (format!("/hooks/tv/{SECRET}"), TEXT),
        (format!("/hooks/tv/{SECRET}"), "hold"),
        (format!("/hooks/tv/{SECRET}?x={SECRET}"), TEXT),
        (format!("/hooks/{SECRET}/{SECRET}"), TEXT),
        (format!("/hooks/{SECRET}"), TEXT),
        (format!("/hooks/tv/{wrong}"), TEXT),
        (format!("/hooks/tv/{SECRET}/{SECRET}"), TEXT),
        (format!("/{SECRET}"), TEXT),
    ] {
        let answer = post_at(&server, &path, "", body).await;
        assert!(!format!("{answer:?}").contains("c0ffee"), "{answer:?}");
    }
    let long = post(&server, &"x".repeat(64 * 1024 + 1)).await;
    assert_eq!(long.status, 413);
    let broken =
        format!("POST /hooks/tv/{SECRET} HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n");
    assert_eq!(server.exchange(broken.as_bytes()).await.status, 400);
    let scrape = scrape::get(metrics_address(&server).await, "/metrics").await;
    let letters = server.folder.read("data/dead-letters.jsonl");
    let log = server.stop();
    for said in ["DEBUG", "hook refused", "nothing that was not there before"] {
        assert!(log.contains(said), "{said} is not in {log}");
    }
    for (place, told) in [
        ("log", &log),
        ("metrics", &scrape.body),
        ("letters", &letters),
    ] {
        for secret in ["c0ffee", "dec0de"] {
            assert!(!told.contains(secret), "{secret} is in the {place}: {told}");
        }
    }
}

#[tokio::test]
async fn while_the_log_takes_nothing_the_sender_is_told_in_time_to_come_again() {
    let server = TestServer::start_in(folder(""), "");
    let mut client = server.client().await;
    accepted(&post(&server, TEXT).await);
    client.text().await;
    let other = Connection::open(server.folder.path("data/signals.db")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let begun = Instant::now();
    let answer = post(&server, JSON).await;
    let took = begun.elapsed();
    assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
    assert!(answer.header("retry-after").is_some());
    println!("503 after {took:?}");
    other.execute_batch("COMMIT").unwrap();
    // Whether the first post came through or this one: there is one signal.
    assert_eq!(accepted(&post(&server, JSON).await)[0]["seq"], 2);
    assert_eq!(client.json().await["type"], "sell");
    accepted(&post(&server, "buy LAST 1").await);
    assert_eq!(client.json().await["content"]["symbol"], "LAST");
    server.stop();
}

#[test]
fn a_secret_that_is_missing_open_to_others_or_too_short_keeps_the_server_from_starting() {
    let folder = folder("");
    let refusals = |command: &str| {
        let output = folder.run(command);
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    for (mode, secret, said) in [
        (
            0o644,
            Some(SECRET),
            "secret: others may read it (mode 0644); run chmod 600 secret",
        ),
        (
            0o600,
            Some("tiny"),
            "secret: the secret is shorter than 16 characters; make one with openssl rand -hex 32 > FILE and chmod 600 FILE",
        ),
        (
            0o600,
            Some("not fit for a URL?"),
            "secret: the secret holds what can't stand in the path of a URL as it is; make one",
        ),
        (0o600, None, "secret: there is no such file; make one"),
    ] {
        let path = folder.path("secret");
        fs::remove_file(&path).ok();
        if let Some(secret) = secret {
            fs::write(&path, secret).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }
        let expected = format!("signalcast.toml:2: hooks.tv.secret_file: {said}");
        let (code, _, told) = refusals("serve --listen 127.0.0.1:0");
        assert_eq!(code, Some(2), "{told}");
        assert!(told.contains(&format!("signalcast: {expected}")), "{told}");
        let (code, told, _) = refusals("check signalcast.toml");
        assert_eq!(code, Some(1), "{told}");
        assert!(told.contains(&expected), "{told}");
        if let Some(secret) = secret {
            assert!(!told.contains(secret), "{told}");
        }
    }
    fs::write(folder.path("secret"), SECRET).unwrap();
    fs::set_permissions(folder.path("secret"), Permissions::from_mode(0o640)).unwrap();
    let (code, told, _) = refusals("check signalcast.toml");
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("note: secret: its group may read it"),
        "{told}"
    );
}

#[tokio::test]
async fn another_secret_holds_at_once_and_one_that_is_no_good_does_not() {
    let server = TestServer::start_in(folder(""), "--metrics-listen 127.0.0.1:0");
    let mut client = server.client().await;
    let path = server.folder.path("secret");
    let hang_up = || server.signal(rustix::process::Signal::HUP);
    fs::write(&path, "too-short").unwrap();
    hang_up();
    server.logged("old hooks kept: signalcast.toml:2: hooks.tv.secret_file: secret: the secret is shorter").await;
    accepted(&post(&server, "buy A 1").await);

    let new = SECRET.replace("c0ffee", "dec0de");
    fs::write(&path, &new).unwrap();
    hang_up();
    server.logged("hooks reloaded").await;
    assert_eq!(post(&server, "buy B 1").await.status, 404);
    accepted(&post_at(&server, &format!("/hooks/tv/{new}"), "", "buy C 1").await);
    for symbol in ["A", "C"] {
        assert_eq!(client.json().await["content"]["symbol"], symbol);
    }
    let metrics = metrics_address(&server).await;
    let reloads = r#"signalcast_reloads_total{what="hooks",outcome="taken"}"#;
    assert_eq!(Scrape::of(metrics).await.count(reloads), 1);
    server.stop();
}

/// What stands indented, or in a fence, behind this text of the page.
fn block(page: &str, behind: &str) -> String {
    let (_, rest) = page.split_once(behind).expect(behind);
    if let Some((before, fenced)) = rest.split_once("```toml\n")
        && !before.contains("\n    ")
    {
        return fenced.split_once("```").unwrap().0.to_owned();
    }
    let lines = rest.lines().skip_while(|line| !line.starts_with("    "));
    let lines = lines.take_while(|line| line.starts_with("    "));
    lines.map(|line| format!("{}\n", &line[4..])).collect()
}

/// A message as TradingView fills it in.
fn filled_in(message: &str) -> String {
    [
        ("{{strategy.order.action}}", "buy"),
        ("{{strategy.order.id}}", "Long"),
        ("{{strategy.market_position}}", "flat"),
        ("{{exchange}}", "BINANCE"),
        ("{{ticker}}", "BTCUSDT"),
        ("{{close}}", "75000.5"),
        ("{{interval}}", "15"),
        ("{{timenow}}", "2024-07-03T09:46:40Z"),
    ]
    .iter()
    .fold(message.to_owned(), |text, (placeholder, value)| {
        text.replace(placeholder, value)
    })
}

#[tokio::test]
async fn the_worked_example_works() {
    let page = fs::read_to_string(scrape::repository("docs/tradingview.md")).unwrap();
    let serve =
        "--plaintext --listen 127.0.0.1:0 --behind-proxy --server-trusted-proxies 127.0.0.1";
    let start = |settings: &str| {
        let folder = Folder::new();
        folder.append("certs/tradingview.secret", SECRET);
        let secret = folder.path("certs/tradingview.secret");
        fs::set_permissions(secret, Permissions::from_mode(0o600)).unwrap();
        folder.append("signalcast.toml", settings);
        TestServer::start_in(Arc::new(folder), serve)
    };
    let posted = async |server: &TestServer, message: &str| {
        let path = format!("/hooks/tradingview/{SECRET}");
        let header = "X-Forwarded-For: 52.89.214.238\r\n";
        let body = filled_in(message);
        assert!(!body.contains("{{"), "{body}");
        accepted(&post_at(server, &path, header, &body).await)
    };

    let server = start(&block(&page, "nobody else then finds\n"));
    let mut client = server.client().await;
    posted(&server, &block(&page, "### Text\n")).await;
    let frame = client.text().await;
    assert!(
        frame.starts_with(
            r#"{"type":"buy","content":{"symbol":"BTCUSDT","price":75000.5,"timestamp":1720000000}"#
        ),
        "{frame}"
    );
    posted(&server, &block(&page, "### JSON\n")).await;
    let expected = block(&page, "bots as they are, in `content`:\n");
    assert_eq!(client.text().await, expected.trim_end());
    server.stop();

    let server = start(&block(&page, "what they always are.\n\n    {"));
    let mut client = server.client().await;
    posted(&server, &block(&page, "### JSON of another shape\n")).await;
    let frame = client.text().await;
    assert_eq!(
        frame,
        r#"{"type":"sell","content":{"symbol":"BINANCE:BTCUSDT","price":75000.5,"timestamp":1720000000},"is_test":false}"#
    );
    server.stop();
}
