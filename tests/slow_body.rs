//! Requests whose body takes its time.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use common::jwt::{now, with};
use common::{Answer, Folder, TestServer, patiently};
use futures::future::join_all;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::interval;
use tokio_tungstenite::MaybeTlsStream;

const SECRET: &str = "c0ffee-c0ffee-c0ffee-c0ffee";

/// A server with the hook `tv`.
fn server(arguments: &str) -> TestServer {
    let folder = Folder::new();
    folder.append("secret", SECRET);
    fs::set_permissions(folder.path("secret"), Permissions::from_mode(0o600)).unwrap();
    folder.append("signalcast.toml", "[hooks.tv]\nsecret_file = \"secret\"\n");
    TestServer::start_in(Arc::new(folder), arguments)
}

/// The path of the hook `tv`.
fn hook() -> String {
    format!("/hooks/tv/{SECRET}")
}

fn request(token: Option<&str>, path: &str, headers: &str, body: &str) -> String {
    let bearer = token.map_or(String::new(), |it| {
        format!("Authorization: Bearer {it}\r\n")
    });
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{bearer}\
         Content-Type: text/plain\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
}

async fn post(server: &TestServer, token: Option<&str>, path: &str, body: &str) -> Answer {
    let request = request(token, path, "", body);
    server.exchange(request.as_bytes()).await
}

/// A request that was let in, of which all is there but the end.
struct Begun {
    stream: MaybeTlsStream<TcpStream>,
    request: String,
    end: String,
}

impl Begun {
    async fn new(server: &TestServer, token: Option<&str>, path: &str, body: &str) -> Self {
        let mut request = request(token, path, "Expect: 100-continue\r\n", body);
        let end = request.split_off(request.len() - 2);
        let mut stream = server.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let mut told = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
        let waited_for = stream.read_exact(&mut told);
        patiently("the body being waited for", waited_for)
            .await
            .unwrap();
        assert!(told.starts_with(b"HTTP/1.1 100 "), "{told:?}");
        Self {
            stream,
            request,
            end,
        }
    }

    async fn finish(mut self) -> Answer {
        // Who is revoked may be answered before this, and the connection be gone.
        self.stream.write_all(self.end.as_bytes()).await.ok();
        self.stream.flush().await.ok();
        let mut bytes = Vec::new();
        patiently("answer", self.stream.read_to_end(&mut bytes))
            .await
            .unwrap();
        Answer::to(self.request.as_bytes(), &bytes)
    }
}

/// A token of somebody of his own with this scope.
fn token(server: &TestServer, subject: &str, scope: &str) -> String {
    let mut claims = with("scope", scope);
    claims["sub"] = subject.into();
    server.mint(&claims)
}

fn expect_refused(answer: &Answer) {
    let said = (answer.status, &*answer.code());
    assert_eq!(said, (401, "invalid_token"), "{answer:?}");
    assert!(answer.body.contains("revoked"), "{answer:?}");
}

/// Nothing was published before: what comes now is the first.
async fn expect_nothing_published(server: &TestServer) {
    let publisher = token(server, "good", "signals:publish");
    let answer = post(server, Some(&publisher), "/signals", "buy GOOD 1").await;
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["accepted"][0]["seq"], 1, "{answer:?}");
}

#[tokio::test]
async fn whoever_is_revoked_before_all_of_his_request_is_there_gets_nothing_done() {
    let server = server("");
    let mut client = server.client().await;
    let thief = |scope| token(&server, "thief", scope);
    let (publisher, admin) = (thief("signals:publish"), thief("admin"));
    let opaque = server
        .folder
        .token("--opaque --sub thief --scope signals:publish");
    let good = token(&server, "good", "admin");
    let victim = server.mint(&with("sub", "victim"));
    let known = async {
        let mut pause = interval(Duration::from_millis(50));
        while post(&server, Some(&opaque), "/signals", "#").await.status != 422 {
            pause.tick().await;
        }
    };
    patiently("the new token being known", known).await;
    let mut begun = Vec::new();
    for (token, path, body) in [
        (&publisher, "/signals", "buy EVIL 1"),
        (&opaque, "/signals", "buy EVIL 1"),
        (&admin, "/halt", r#"{"reason":"evil"}"#),
        (&admin, "/tokens/revoke", r#"{"sub":"victim"}"#),
    ] {
        begun.push(Begun::new(&server, Some(token), path, body).await);
    }
    let revoked = post(&server, Some(&good), "/tokens/revoke", r#"{"sub":"thief"}"#).await;
    assert_eq!(revoked.status, 200, "{revoked:?}");
    for begun in begun {
        expect_refused(&begun.finish().await);
    }
    expect_nothing_published(&server).await;
    assert_eq!(client.json().await["content"]["symbol"], "GOOD");
    let headers = format!("Authorization: Bearer {good}\r\n");
    let stand = server.get("/halt", &headers).await;
    let stand: Value = serde_json::from_str(&stand.body).unwrap();
    assert_eq!(stand, json!({ "halted": false }));
    drop(server.client_at("/", &victim).await.unwrap());
    server.stop();
}

#[tokio::test]
async fn whoever_has_expired_before_all_of_his_request_is_there_gets_nothing_done() {
    let server = server("--auth-leeway 0s");
    let end = now() + 2;
    let mut claims = with("scope", "signals:publish");
    claims["exp"] = end.into();
    let token = server.mint(&claims);
    let begun = Begun::new(&server, Some(&token), "/signals", "buy LATE 1").await;
    let mut pause = interval(Duration::from_millis(20));
    while now() < end {
        pause.tick().await;
    }
    let answer = begun.finish().await;
    assert_eq!((answer.status, &*answer.code()), (401, "invalid_token"));
    assert!(answer.body.contains("expired"), "{answer:?}");
    expect_nothing_published(&server).await;
    server.stop();
}

#[tokio::test]
async fn a_secret_that_was_replaced_before_all_of_a_post_is_there_is_that_of_no_hook() {
    let server = server("");
    let signal = Begun::new(&server, None, &hook(), "buy EVIL 1").await;
    let unreadable = Begun::new(&server, None, &hook(), "hold EVIL 1").await;
    let new = SECRET.replace("c0ffee", "dec0de");
    fs::write(server.folder.path("secret"), &new).unwrap();
    server.signal(Signal::HUP);
    server.logged("hooks reloaded").await;
    for begun in [signal, unreadable] {
        let answer = begun.finish().await;
        assert_eq!((answer.status, &*answer.code()), (404, "not_found"));
    }
    expect_nothing_published(&server).await;
    let log = fs::read_to_string(server.folder.path("data/dead-letters.jsonl"));
    assert_eq!(log.unwrap_or_default(), "");
    server.stop();
}

/// The answer to somebody who sends the body of a request without end, a byte at a time.
async fn drip(server: &TestServer, token: Option<&str>, path: &str) -> Answer {
    let request = request(token, path, "Transfer-Encoding: chunked\r\n", "");
    let request = request.replace("Content-Length: 0\r\n", "");
    let mut stream = server.connect().await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let (mut from, mut to) = tokio::io::split(stream);
    let dripping = async {
        let mut pause = interval(Duration::from_millis(100));
        loop {
            pause.tick().await;
            // The end of the connection shows itself where the answer is read.
            to.write_all(b"1\r\n#\r\n").await.ok();
            to.flush().await.ok();
        }
    };
    let mut bytes = Vec::new();
    tokio::select! {
        read = patiently("answer", from.read_to_end(&mut bytes)) => read.unwrap(),
        never = dripping => never,
    };
    Answer::to(request.as_bytes(), &bytes)
}

#[tokio::test]
async fn whoever_sends_a_body_bit_by_bit_is_told_that_it_comes_too_slowly() {
    let server = server("--limits-handshake 1s");
    let publisher = token(&server, "slow", "signals:publish");
    let admin = token(&server, "slow", "admin");
    let hook = hook();
    let answers = [
        (Some(&*publisher), "/signals"),
        (None, &*hook),
        (Some(&*admin), "/halt"),
        (Some(&*admin), "/tokens/revoke"),
    ]
    .map(|(token, path)| drip(&server, token, path));
    for answer in join_all(answers).await {
        let said = (answer.status, &*answer.code(), answer.header("connection"));
        assert_eq!(said, (408, "bad_request", Some("close")), "{answer:?}");
        assert!(answer.body.contains("too slowly"), "{answer:?}");
    }
    expect_nothing_published(&server).await;
    server.stop();
}

/// Publishes until it is answered like this, which takes no room of what is published.
async fn expect_soon(server: &TestServer, publisher: &str, status: u16) {
    let mut pause = interval(Duration::from_millis(50));
    let answered = async {
        while post(server, Some(publisher), "/signals", "#").await.status != status {
            pause.tick().await;
        }
    };
    patiently("another answer", answered).await;
}

#[tokio::test]
async fn publishers_that_take_all_the_room_keep_out_no_hook_and_no_halt() {
    const LARGEST: usize = 16 * 1024 * 1024;
    let server = server("--plaintext --limits-handshake 60s");
    let publisher = token(&server, "slow", "signals:publish");
    let body = "#".repeat(LARGEST);
    let mut begun = Vec::new();
    for sub in ["slow", "slower", "idle", "asleep"] {
        let publisher = token(&server, sub, "signals:publish");
        begun.push(Begun::new(&server, Some(&publisher), "/signals", &body).await);
    }
    expect_soon(&server, &publisher, 503).await;
    let told = post(&server, None, &hook(), "buy GOOD 1").await;
    assert_eq!(told.status, 200, "{told:?}");
    let admin = token(&server, "good", "admin");
    let told = post(&server, Some(&admin), "/halt", r#"{"reason":"slow"}"#).await;
    assert_eq!(told.status, 200, "{told:?}");
    drop(begun);
    // There is room again, and no signal in the body.
    expect_soon(&server, &publisher, 422).await;
    server.stop();
}

#[tokio::test]
async fn one_publisher_takes_no_more_of_the_room_than_his_share() {
    const LARGEST: usize = 16 * 1024 * 1024;
    let server = server("--plaintext --limits-handshake 60s");
    let publisher = token(&server, "slow", "signals:publish");
    let body = "#".repeat(LARGEST);
    let begun = Begun::new(&server, Some(&publisher), "/signals", &body).await;
    expect_soon(&server, &publisher, 503).await;
    // Another token of the same subject has no share of its own.
    let mut claims = with("scope", "signals:publish");
    (claims["sub"], claims["jti"]) = ("slow".into(), "another".into());
    let again = post(&server, Some(&server.mint(&claims)), "/signals", "#").await;
    assert_eq!((again.status, &*again.code()), (503, "overloaded"));
    let other = token(&server, "good", "signals:publish");
    let told = post(&server, Some(&other), "/signals", &body).await;
    assert_eq!(told.status, 422, "{told:?}");
    drop(begun);
    expect_soon(&server, &publisher, 422).await;
    expect_nothing_published(&server).await;
    server.stop();
}

#[tokio::test]
async fn the_body_of_whoever_is_revoked_is_not_read_to_its_end() {
    let server = server("--limits-handshake 3600s");
    let publisher = token(&server, "thief", "signals:publish");
    let admin = token(&server, "good", "admin");
    let revoking = async {
        let body = r#"{"sub":"thief"}"#;
        let begun = Begun::new(&server, Some(&publisher), "/signals", "buy EVIL 1").await;
        let revoked = post(&server, Some(&admin), "/tokens/revoke", body).await;
        assert_eq!(revoked.status, 200, "{revoked:?}");
        begun
    };
    let (answer, _begun) = tokio::join!(drip(&server, Some(&publisher), "/signals"), revoking);
    expect_refused(&answer);
    expect_nothing_published(&server).await;
    server.stop();
}
