//! What an admin can do over HTTP besides halting: see who is connected, send somebody away, revoke.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::jwt::{claims, with};
use common::{Answer, Folder, TestClient, TestServer, patiently};
use serde_json::{Value, json};
use tokio::time::interval;

const V1: &str = "signalcast.v1";
const V2: &str = "signalcast.v2";

/// A client with a token of these claims that asks for this subprotocol.
async fn client(server: &TestServer, claims: &Value, path: &str, subprotocol: &str) -> TestClient {
    client_by(server, &server.mint(claims), path, subprotocol).await
}

async fn client_by(server: &TestServer, token: &str, path: &str, subprotocol: &str) -> TestClient {
    let client = server.client_speaking(subprotocol, path, token).await;
    client.unwrap_or_else(|error| panic!("{path}: {error}:\n{}", server.log()))
}

/// What the client is called, from its first frame.
async fn id(client: &mut TestClient) -> String {
    let first = client.json().await;
    assert_eq!(first["type"], "connection_established");
    first["client_id"].as_str().unwrap().to_owned()
}

/// Everybody who is connected.
async fn listed(server: &TestServer) -> Vec<Value> {
    let answer = server.administer("GET", "/clients", "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let mut body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body.as_object().unwrap().len(), 1);
    let Value::Array(clients) = body["clients"].take() else {
        panic!("{body}");
    };
    clients
}

async fn send_away(server: &TestServer, id: &str) -> Answer {
    server
        .administer("DELETE", &format!("/clients/{id}"), "")
        .await
}

/// Waits until everybody who is connected is as is said.
async fn listed_so(server: &TestServer, is_so: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let mut pause = interval(Duration::from_millis(10));
    let found = async {
        loop {
            pause.tick().await;
            let clients = listed(server).await;
            if is_so(&clients) {
                return clients;
            }
        }
    };
    patiently("the list of clients", found).await
}

#[tokio::test]
async fn everybody_who_is_connected_is_listed_with_what_they_get() {
    let mut server = TestServer::start("--server-shards 2");
    assert_eq!(listed(&server).await, Vec::<Value>::new());
    let mut plain = client(&server, &claims(), "/", V1).await;
    let who = with("sub", "dashboard");
    let path = "/?symbols=ETHUSDT,BTC*&tests=false&after_seq=0";
    let mut other = client(&server, &who, path, V2).await;
    let other_id = id(&mut other).await;
    server.feed("buy BTCUSDT 1 7\nbuy X 1 7\n");
    plain.texts(2).await;
    assert_eq!(other.json().await["seq"], 1);
    let clients = listed_so(&server, |clients| {
        clients.iter().all(|client| client["last_seq"] == 2)
    })
    .await;
    assert_eq!(clients.len(), 2, "in the order in which they came");
    for (client, expected) in clients.iter().zip([
        json!({
            "id": clients[0]["id"], "subject": "bot-1", "address": "127.0.0.1",
            "protocol": V1, "connected_at": clients[0]["connected_at"], "symbols": ["*"],
            "tests": true, "last_seq": 2, "lag": 0, "sent_bytes": clients[0]["sent_bytes"],
        }),
        json!({
            "id": other_id, "subject": "dashboard", "address": "127.0.0.1",
            "protocol": V2, "connected_at": clients[1]["connected_at"],
            "symbols": ["BTC*", "ETHUSDT"], "tests": false, "last_seq": 2, "lag": 0,
            "sent_bytes": clients[1]["sent_bytes"],
        }),
    ]) {
        assert_eq!(*client, expected);
        assert!(client["sent_bytes"].as_u64().unwrap() > 50, "{client}");
        let since: jiff::Timestamp = client["connected_at"].as_str().unwrap().parse().unwrap();
        let age = jiff::Timestamp::now().duration_since(since);
        assert!(age.as_secs() < 60, "{since}");
        let id = client["id"].as_str().unwrap();
        assert_eq!(uuid::Uuid::parse_str(id).unwrap().to_string(), id);
    }
    drop(plain);
    listed_so(&server, |clients| clients.len() == 1).await;
    other
        .send(r#"{"type":"subscribe","symbols":["EURUSD"]}"#)
        .await;
    assert_eq!(other.json().await["type"], "subscribed");
    let clients = listed(&server).await;
    assert_eq!(clients[0]["symbols"], json!(["EURUSD"]));
    assert_eq!(clients[0]["tests"], true);
    let (_reader, first) = server
        .events("/signals/stream", &server.authorization())
        .await;
    let clients = listed_so(&server, |clients| clients.len() == 2).await;
    assert_eq!(clients[1]["id"], first.json()["client_id"]);
    assert_eq!(clients[1]["protocol"], "events");
    server.stop();
}

#[tokio::test]
async fn one_that_reads_slowly_is_listed_with_its_lag() {
    const SIGNALS: u64 = 30_000;
    let mut server = TestServer::start("--server-shards 1");
    let deaf = server.deaf_client().await;
    let mut feed = server.take_feed();
    let feeding = std::thread::spawn(move || {
        let lines: String = (0..SIGNALS).map(|n| format!("buy A 1 {n}\n")).collect();
        std::io::Write::write_all(&mut feed, lines.as_bytes()).unwrap();
        feed
    });
    let clients = listed_so(&server, |clients| {
        let number = |key: &str| clients[0][key].as_u64().unwrap();
        number("last_seq") + number("lag") == SIGNALS && number("lag") > 1000
    })
    .await;
    assert_eq!(clients[0]["subject"], "tester");
    drop((feeding.join().unwrap(), deaf));
}

#[tokio::test]
async fn whoever_is_sent_away_is_told_by_whom_and_the_others_stay() {
    for transport in ["", "--plaintext"] {
        let mut server = TestServer::start(&format!("--server-shards 2 {transport}"));
        let mut stays = client(&server, &claims(), "/", V1).await;
        let mut goes = Vec::new();
        for subprotocol in [V2, V1, V2] {
            goes.push(client(&server, &with("sub", "goes"), "/", subprotocol).await);
        }
        let all = listed_so(&server, |clients| clients.len() == 4).await;
        let goes_to = |of: &str| -> Vec<String> {
            let of = all.iter().filter(|client| client["protocol"] == of);
            let of = of.filter(|client| client["subject"] == "goes");
            of.map(|client| client["id"].as_str().unwrap().to_owned())
                .collect()
        };
        let ids = [id(&mut goes[0]).await, id(&mut goes[2]).await];
        assert_eq!(goes_to(V2), ids, "as they were told");
        let of_v1 = &goes_to(V1)[0];
        for (client, id) in [(0, &ids[0]), (1, of_v1), (2, &ids[1])] {
            let answer = send_away(&server, id).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let body: Value = serde_json::from_str(&answer.body).unwrap();
            assert_eq!(body, json!({ "disconnected": id }));
            let close = goes[client].expect_close().await;
            assert_eq!(close, (1008, "disconnected by an administrator".to_owned()));
            goes[client].expect_end().await;
            listed_so(&server, |clients| clients.iter().all(|it| it["id"] != **id)).await;
            let answer = send_away(&server, id).await;
            assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
        }
        // Nothing keeps them from coming back.
        let mut back = client(&server, &with("sub", "goes"), "/", V1).await;
        server.feed("buy X 1 7\n");
        for client in [&mut stays, &mut back] {
            assert_eq!(client.text().await, common::wire("buy", "X", "1", 7));
        }
        for id in ["", "x", "01993b5e", &uuid::Uuid::nil().to_string()] {
            let answer = send_away(&server, id).await;
            assert!([404, 405].contains(&answer.status), "{id}: {answer:?}");
        }
        server.stop();
    }
}

#[tokio::test]
async fn whoever_takes_nothing_is_sent_away_all_the_same() {
    let mut server = TestServer::start("--server-shards 1");
    let mut deaf = server.deaf_client().await;
    let mut feed = server.take_feed();
    let feeding = std::thread::spawn(move || {
        let lines: String = (0..30_000).map(|n| format!("buy A 1 {n}\n")).collect();
        std::io::Write::write_all(&mut feed, lines.as_bytes()).unwrap();
        feed
    });
    let clients = listed_so(&server, |clients| {
        clients[0]["lag"].as_u64().unwrap() > 1000
    })
    .await;
    let id = clients[0]["id"].as_str().unwrap();
    let answer = send_away(&server, id).await;
    assert_eq!(answer.status, 200);
    // It has some seconds to take what it was sent.
    listed_so(&server, <[Value]>::is_empty).await;
    drop(feeding.join().unwrap());
    // What the kernel held for it comes, and then no more.
    while let Some(Ok(_)) = patiently("the end", futures::StreamExt::next(&mut deaf.socket)).await {
    }
}

#[tokio::test]
async fn the_list_is_whole_while_clients_come_and_go() {
    let server = TestServer::start("--server-shards 4 --plaintext");
    let mut stay = Vec::new();
    for _ in 0..40 {
        stay.push(client(&server, &with("sub", "stays"), "/", V2).await);
    }
    let mut ids = BTreeSet::new();
    for client in &mut stay {
        ids.insert(id(client).await);
    }
    let stop = AtomicBool::new(false);
    let who = claims();
    let coming_and_going = async {
        while !stop.load(Ordering::Relaxed) {
            let (one, two) = tokio::join!(
                client(&server, &who, "/", V1),
                client(&server, &who, "/", V2)
            );
            drop((one, two));
        }
    };
    let looking = async {
        for _ in 0..50 {
            let clients = listed(&server).await;
            let found: Vec<&str> = clients
                .iter()
                .filter(|client| client["subject"] == "stays")
                .map(|client| client["id"].as_str().unwrap())
                .collect();
            assert_eq!(found.len(), ids.len(), "each once");
            assert!(found.iter().all(|id| ids.contains(*id)));
            let all: BTreeSet<_> = clients.iter().map(|client| client["id"].as_str()).collect();
            assert_eq!(all.len(), clients.len());
        }
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(coming_and_going, looking);
    listed_so(&server, |clients| clients.len() == ids.len()).await;
    server.stop();
}

#[tokio::test]
async fn only_an_admin_may() {
    let server = TestServer::start("");
    let reader = server.mint(&with("scope", "signals:read signals:test signals:publish"));
    let id = uuid::Uuid::nil();
    for (method, path, body) in [
        ("GET", "/clients".to_owned(), ""),
        ("DELETE", format!("/clients/{id}"), ""),
        ("POST", "/tokens/revoke".to_owned(), r#"{"sub":"bot-1"}"#),
    ] {
        let answer = server.call(&reader, method, &path, body).await;
        let code = (answer.status, answer.code());
        assert_eq!(code, (403, "insufficient_scope".to_owned()), "{path}");
        let answer = server.call("x.y.z", method, &path, body).await;
        assert_eq!(answer.status, 401, "{path}");
        let answer = server.administer("PUT", &path, body).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some(method)));
    }
    // Nothing was revoked.
    drop(client(&server, &claims(), "/", V1).await);
    server.stop();
}

/// What is revoked, in words.
async fn revoke(server: &TestServer, what: &Value) -> String {
    let answer = server
        .administer("POST", "/tokens/revoke", &what.to_string())
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body.as_object().unwrap().len(), 1);
    body["revoked"].as_str().unwrap().to_owned()
}

async fn expect_revoked(client: &mut TestClient) {
    let (code, reason) = client.expect_close().await;
    assert_eq!((code, reason.contains("revoked")), (1008, true), "{reason}");
}

/// A client with a new opaque token, which a server knows within two seconds.
async fn newcomer(server: &TestServer, token: &str) -> TestClient {
    let mut pause = interval(Duration::from_millis(100));
    let come = async {
        loop {
            pause.tick().await;
            if let Ok(client) = server.client_at("/", token).await {
                return client;
            }
        }
    };
    patiently("a place", come).await
}

#[tokio::test]
async fn what_is_revoked_lets_nobody_in_from_that_moment_on() {
    let folder = Arc::new(Folder::new());
    let server = TestServer::start_in(Arc::clone(&folder), "--server-shards 2");
    let mut stays = client(&server, &with("sub", "stays"), "/", V1).await;
    let opaque = folder.token("--opaque --sub bot-2");
    let by_id = folder.token("--opaque --sub bot-3");
    let list = common::text(&folder.run("token list").stdout);
    let row = list.lines().find(|line| line.contains("bot-3")).unwrap();
    let named = server.mint(&with("jti", "t-1"));
    let by_jti = server.mint(&with("jti", "t-2"));
    let nameless = server.mint(&with("sub", "bot-4"));
    let of_subject = server.mint(&with("sub", "bot-5"));
    for (token, what, words) in [
        (&opaque, json!({ "token": opaque }), "the opaque token "),
        (&by_id, json!({ "token": row[..16] }), "the opaque token "),
        (
            &named,
            json!({ "token": named }),
            r#"the JWT "t-1" of "bot-1""#,
        ),
        (&by_jti, json!({ "jti": "t-2" }), r#"the JWT "t-2""#),
        (
            &nameless,
            json!({ "token": nameless }),
            r#"a JWT of "bot-4""#,
        ),
        (
            &of_subject,
            json!({ "sub": "bot-5" }),
            r#"all tokens of "bot-5" issued until now"#,
        ),
    ] {
        let mut connected = newcomer(&server, token).await;
        let said = revoke(&server, &what).await;
        assert!(said.starts_with(words), "{said}");
        // Not within two seconds, but now.
        let bearer = format!("Authorization: Bearer {token}\r\n");
        let answer = server.ask("/", &bearer).await;
        let code = (answer.status, answer.code());
        assert_eq!(code, (401, "invalid_token".to_owned()), "{what}");
        let since = Instant::now();
        expect_revoked(&mut connected).await;
        assert!(since.elapsed() < Duration::from_secs(1), "{what}");
        // As the command, which says that it was so before.
        let target = match &what {
            Value::Object(what) if what.contains_key("token") => what["token"].as_str().unwrap(),
            Value::Object(what) if what.contains_key("jti") => "--jti t-2",
            _ => "--sub bot-5",
        };
        let output = folder.run(&format!("token revoke {target}"));
        let text = common::text(&output.stdout) + &common::text(&output.stderr);
        assert!(output.status.success(), "{text}");
        if !target.starts_with("--sub") {
            assert!(text.contains("already at "), "{text}");
        }
        revoke(&server, &what).await;
    }
    stays.send("test").await;
    assert!(stays.text().await.contains(r#""is_test":true"#));
    let log = server.stop();
    for token in [&opaque, &by_id, &named, &by_jti, &nameless, &of_subject] {
        assert!(!log.contains(token.as_str()), "{log}");
    }
    // It is in the file: another process knows it, too.
    let server = TestServer::start_in(folder, "");
    let bearer = format!("Authorization: Bearer {named}\r\n");
    assert_eq!(server.ask("/", &bearer).await.status, 401);
    server.stop();
}

#[tokio::test]
async fn what_cannot_be_revoked_is_said_and_holds_no_token() {
    let server = TestServer::start("");
    let unknown = format!("sgc_{}", "a".repeat(43));
    for (body, status, words) in [
        ("", 400, "not JSON"),
        ("{}", 400, "name one thing"),
        (r#"{"token":""}"#, 400, "name one thing"),
        (r#"{"jti":" "}"#, 400, "name one thing"),
        (r#"{"sub":"a","jti":"b"}"#, 400, "name one thing"),
        (r#"{"sub":"a","reason":"b"}"#, 400, "not what is expected"),
        (r#"{"sub":7}"#, 400, "not what is expected"),
        (r#"{"token":"secret"}"#, 400, "neither a token nor the id"),
        (r#"{"token":"se.cr.et"}"#, 400, "can't be read"),
        (r#"{"token":"0123456789abcdef"}"#, 404, "no such token"),
        (
            &json!({ "token": unknown }).to_string(),
            404,
            "no such token",
        ),
    ] {
        let answer = server.administer("POST", "/tokens/revoke", body).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        assert!(answer.body.contains(words), "{body}: {}", answer.body);
        assert!(!answer.body.contains("secret") && !answer.body.contains("sgc_"));
    }
    let log = server.stop();
    assert!(!log.contains("secret"), "{log}");
}
