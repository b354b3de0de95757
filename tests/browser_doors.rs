//! How those come in who can't set headers: by a subprotocol, by a ticket, by the URL.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::jwt::{base64url, claims, now, with, without};
use common::{Answer, Folder, TestClient, TestServer, patiently, upgrade_request, wire};
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::time::interval;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

/// Bad credentials are not throttled.
const LENIENT: &str = "--auth-failed-tries-per-minute 0";

const PREFIX: &str = "base64url.bearer.authorization.signalcast.";

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// A header with these subprotocols.
fn protocols(protocols: &str) -> String {
    format!("Sec-WebSocket-Protocol: {protocols}\r\n")
}

/// A header with a token among the subprotocols.
fn among_protocols(token: &str) -> String {
    protocols(&format!("signalcast.v1, {PREFIX}{}", base64url(token)))
}

/// What an upgrade is answered with.
async fn ask(server: &TestServer, path: &str, headers: &str) -> Answer {
    let request = upgrade_request(path, headers);
    server.open(request.as_bytes()).await.1
}

/// What this is answered with, on a connection that goes on if the server wants that.
async fn post(server: &TestServer, target: &str, headers: &str) -> Answer {
    let request =
        format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n{headers}\r\n");
    server.open(request.as_bytes()).await.1
}

/// A client that was let in by this URL and these headers.
async fn client(server: &TestServer, path: &str, protocols: Option<&str>) -> TestClient {
    let mut request = server.url(path).into_client_request().unwrap();
    if let Some(protocols) = protocols {
        let protocols = HeaderValue::from_str(protocols).unwrap();
        request
            .headers_mut()
            .insert("sec-websocket-protocol", protocols);
    }
    server.client_with(request).await.unwrap()
}

#[track_caller]
fn assert_refused(what: &str, answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{what}: {answer:?}");
    assert_eq!(answer.code(), code, "{what}");
    assert_eq!(answer.header("connection"), Some("close"), "{what}");
}

#[tokio::test]
async fn each_way_in_works_where_it_is_for_and_nowhere_else() {
    for query_token in [false, true] {
        let server = TestServer::start(&format!("{LENIENT} --auth-query-token={query_token}"));
        let token = server.token();
        for path in ["/", "/ws"] {
            for headers in [bearer(&token), among_protocols(&token)] {
                let answer = ask(&server, path, &headers).await;
                assert_eq!(answer.status, 101, "{path} {headers}: {answer:?}");
            }
            let with_ticket = format!("{path}?ticket={}", server.ticket(&token).await);
            assert_eq!(ask(&server, &with_ticket, "").await.status, 101);
            let with_token = format!("{path}?token={token}");
            let answer = ask(&server, &with_token, "").await;
            if query_token {
                assert_eq!(answer.status, 101, "{answer:?}");
            } else {
                assert_refused(path, &answer, 401, "missing_token");
                let answer = ask(&server, &with_token, &bearer(&token)).await;
                assert_refused(path, &answer, 400, "bad_request");
                assert!(
                    answer.body.contains("token is not taken"),
                    "{}",
                    answer.body
                );
            }
        }
        // What a page's script fetches can have headers.
        let unused = server.ticket(&token).await;
        for (query, headers) in [
            (String::new(), among_protocols(&token)),
            (format!("?ticket={unused}"), String::new()),
            (format!("?token={token}"), String::new()),
        ] {
            let answer = server.get(&format!("/signals{query}"), &headers).await;
            assert_refused(&query, &answer, 401, "missing_token");
            let answer = post(&server, &format!("/ticket{query}"), &headers).await;
            assert_refused(&query, &answer, 401, "missing_token");
        }
        for target in ["/signals?ticket=", "/signals?token="] {
            let answer = server.get(&format!("{target}x"), &bearer(&token)).await;
            assert_refused(target, &answer, 400, "bad_request");
            assert!(
                answer.body.contains("send Authorization"),
                "{}",
                answer.body
            );
        }
        assert_eq!(server.get("/signals", &bearer(&token)).await.status, 200);
        // Nobody has used it up by that.
        let target = format!("/?ticket={unused}");
        assert_eq!(ask(&server, &target, "").await.status, 101);
    }
}

#[tokio::test]
async fn a_token_among_the_subprotocols_is_named_in_no_answer() {
    let mut server = TestServer::start(LENIENT);
    let token = server.token();
    let entry = format!("{PREFIX}{}", base64url(&token));
    for (asked, named) in [
        (format!("signalcast.v1, {entry}"), Some("signalcast.v1")),
        (format!("{entry}, signalcast.v2"), Some("signalcast.v2")),
        (entry.clone(), None),
        (format!("other,{entry}"), None),
    ] {
        let answer = ask(&server, "/", &protocols(&asked)).await;
        assert_eq!(answer.status, 101, "{asked}: {answer:?}");
        assert_eq!(answer.header("sec-websocket-protocol"), named, "{asked}");
        assert!(!format!("{answer:?}").contains("base64url"));
    }
    for bad in [
        format!("{PREFIX}{}", base64url("no token")),
        format!("{PREFIX}{token}"),
        format!("{entry}=="),
        format!("{entry}A"),
    ] {
        let answer = ask(&server, "/", &protocols(&format!("signalcast.v1, {bad}"))).await;
        assert_refused(&bad, &answer, 401, "invalid_token");
    }
    for none in [PREFIX.to_owned(), entry.to_uppercase()] {
        let answer = ask(&server, "/", &protocols(&none)).await;
        assert_refused(&none, &answer, 401, "missing_token");
    }
    let both = format!("signalcast.v1, {entry}");
    let mut client = client(&server, "/ws", Some(&both)).await;
    server.feed("buy X 1 7\n");
    assert_eq!(client.text().await, wire("buy", "X", "1", 7));
}

#[tokio::test]
async fn two_credentials_at_once_are_refused() {
    let server = TestServer::start("--auth-query-token");
    let token = server.token();
    let ticket = server.ticket(&token).await;
    let (header, entry) = (bearer(&token), among_protocols(&token));
    let (by_ticket, by_token) = (format!("ticket={ticket}"), format!("token={token}"));
    let both = format!("{header}{entry}");
    for (query, headers) in [
        ("", header.repeat(2)),
        ("", entry.repeat(2)),
        ("", both.clone()),
        (by_ticket.as_str(), header.clone()),
        (&by_ticket, entry.clone()),
        (&by_token, header.clone()),
        (&by_token, entry.clone()),
        (&format!("{by_token}&{by_ticket}"), String::new()),
        (&format!("{by_token}&{by_token}"), String::new()),
        (&format!("{by_ticket}&{by_ticket}"), String::new()),
        (&format!("{by_token}&{by_ticket}"), both),
        ("ticket=bad", bearer("bad")),
    ] {
        for path in ["/", "/ws"] {
            let target = format!("{path}?{query}");
            let answer = ask(&server, &target, &headers).await;
            assert_refused(&target, &answer, 400, "invalid_request");
            assert_eq!(
                answer.header("www-authenticate"),
                Some(r#"Bearer realm="signalcast", error="invalid_request""#)
            );
        }
    }
    // Another scheme is no credential, as it is none alone. Nobody has used the ticket up.
    let target = format!("/?{by_ticket}");
    let basic = "Authorization: Basic dXNlcjpwYXNz\r\n";
    assert_eq!(ask(&server, &target, basic).await.status, 101);
}

#[tokio::test]
async fn of_several_faults_the_one_that_is_checked_first_is_answered() {
    let server = TestServer::start(&format!("{LENIENT} --limits-connections 1"));
    let token = server.token();
    let narrow = server.mint(&without("scope"));
    let good = server.ticket(&token).await;
    let may_not = server.ticket(&narrow).await;
    let late = server.ticket(&token).await;
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let request = |path: &str| upgrade_request(path, "");
    for (request, status, code) in [
        (request(&format!("/other?ticket={good}")), 404, "not_found"),
        (
            request(&format!("/?ticket={good}")).replace("GET", "POST"),
            405,
            "method_not_allowed",
        ),
        (
            request(&format!("/?ticket={good}")).replace(key, "short"),
            400,
            "bad_request",
        ),
        (request("/?ticket=bad&after_seq=x"), 401, "invalid_token"),
        (
            request(&format!("/?ticket={may_not}&after_seq=x")),
            403,
            "insufficient_scope",
        ),
        // It was good once.
        (
            request(&format!("/?ticket={may_not}")),
            401,
            "invalid_token",
        ),
    ] {
        let answer = server.exchange(request.as_bytes()).await;
        assert_refused(&request, &answer, status, code);
    }
    let _the_only_place = client(&server, &format!("/?ticket={good}"), None).await;
    let target = format!("/?ticket={late}&after_seq=x");
    assert_refused("full", &ask(&server, &target, "").await, 503, "overloaded");
}

#[tokio::test]
async fn whoever_has_a_token_gets_a_ticket() {
    let server = TestServer::start(LENIENT);
    let stranger = server.mint(&with("exp", 1));
    for token in [
        server.token(),
        server.mint(&without("scope")),
        server.folder.token("--sub a --opaque"),
    ] {
        let mut pause = interval(Duration::from_millis(100));
        let made = async {
            // An opaque token is known within two seconds.
            loop {
                pause.tick().await;
                let answer = post(&server, "/ticket", &bearer(&token)).await;
                if answer.status == 201 {
                    break answer;
                }
            }
        };
        let answer = patiently("a ticket", made).await;
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        let text = body["ticket"].as_str().unwrap();
        assert_eq!(text.len(), 43);
        assert_eq!(body, json!({"ticket": text, "expires_in": 30}));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("connection"), None, "it may ask for more");
    }
    for (headers, status, code) in [
        (String::new(), 401, "missing_token"),
        (bearer(&stranger), 401, "invalid_token"),
        (bearer(&server.token()).repeat(2), 400, "invalid_request"),
    ] {
        let answer = post(&server, "/ticket?x=1", &headers).await;
        assert_refused(&headers, &answer, status, code);
    }
    let answer = post(&server, "/ticket?x=1", &bearer(&server.token())).await;
    assert_refused("parameters", &answer, 400, "bad_request");
    let answer = server.get("/ticket", &bearer(&server.token())).await;
    assert_refused("GET", &answer, 405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("POST"));
}

#[tokio::test]
async fn a_ticket_gets_one_in_however_many_try_at_once() {
    let server = TestServer::start(&format!("{LENIENT} --shards 2"));
    let token = server.token();
    for _ in 0..5 {
        let target = format!("/?ticket={}", server.ticket(&token).await);
        let mut tries = Vec::new();
        // All are connected before the first of them asks.
        for _ in 0..50 {
            tries.push(server.connect().await);
        }
        let request = upgrade_request(&target, "");
        let answers = tries
            .into_iter()
            .map(|stream| status_on(stream, request.as_bytes()));
        let mut answers = join_all(answers).await;
        answers.sort_unstable();
        assert_eq!(answers[0], 101);
        assert!(
            answers[1..].iter().all(|&status| status == 401),
            "{answers:?}"
        );
    }
}

/// The status of the answer to this.
async fn status_on(
    mut stream: tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>,
    request: &[u8],
) -> u16 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    stream.write_all(request).await.unwrap();
    let mut start = [0; 12];
    patiently("answer", stream.read_exact(&mut start))
        .await
        .unwrap();
    str::from_utf8(&start[9..]).unwrap().parse().unwrap()
}

/// A client by ticket is its maker in all respects.
#[tokio::test]
async fn a_ticket_allows_what_its_makers_token_allows_and_no_longer() {
    let mut server = TestServer::start(&format!("{LENIENT} --auth-leeway 0s"));
    let mut narrow = with("symbols", json!(["BTC*"]));
    narrow["scope"] = "signals:read".into();
    narrow["jti"] = "t-1".into();
    let token = server.mint(&narrow);
    let unused = server.ticket(&token).await;
    let path = format!("/?ticket={}&prices=string", server.ticket(&token).await);
    let mut client = client(&server, &path, None).await;
    server.feed("buy ETHUSDT 1 7\nbuy BTCUSDT 2 7\n");
    let expected = wire("buy", "BTCUSDT", r#""2""#, 7);
    assert_eq!(client.text().await, expected);
    client.send("test").await;
    assert_eq!(client.json().await["code"], "insufficient_scope");
    let revoked = server.folder.run("token revoke --jti t-1");
    assert!(revoked.status.success());
    let (code, reason) = client.expect_close().await;
    assert_eq!((code, reason.contains("revoked")), (1008, true), "{reason}");
    let answer = ask(&server, &format!("/?ticket={unused}"), "").await;
    assert_refused("revoked", &answer, 401, "invalid_token");
    assert!(answer.body.contains("revoked"), "{}", answer.body);
    // Of one that expires, many, for each is looked at once.
    let short = server.mint(&with("exp", now() + 3));
    let mut tickets = Vec::new();
    for _ in 0..40 {
        tickets.push(server.ticket(&short).await);
    }
    let mut pause = interval(Duration::from_millis(200));
    for ticket in tickets {
        pause.tick().await;
        let answer = ask(&server, &format!("/?ticket={ticket}"), "").await;
        if answer.status != 101 {
            assert_refused("expired", &answer, 401, "invalid_token");
            assert!(answer.body.contains("expired"), "{}", answer.body);
            return;
        }
    }
    panic!("it never expired");
}

#[tokio::test]
async fn bad_tickets_and_tokens_count_as_tries_whichever_way_they_come() {
    let server = TestServer::start("--auth-query-token --auth-failed-tries-per-minute 4");
    let token = server.token();
    let entry = protocols(&format!("{PREFIX}{}", base64url("bad")));
    let unreadable = protocols(&format!("{PREFIX}!"));
    for (target, headers) in [
        ("/?ticket=bad", ""),
        ("/?token=bad", ""),
        ("/", entry.as_str()),
        ("/", &unreadable),
    ] {
        let answer = ask(&server, target, headers).await;
        assert_refused(target, &answer, 401, "invalid_token");
    }
    for (target, headers) in [
        ("/?ticket=bad", ""),
        ("/?token=bad", ""),
        ("/", entry.as_str()),
        ("/", &unreadable),
    ] {
        let answer = ask(&server, target, headers).await;
        assert_refused(target, &answer, 429, "too_many_attempts");
        assert!(answer.header("retry-after").is_some());
    }
    // Good ones get in all the same, and none of this counts.
    let target = format!("/?ticket={}", server.ticket(&token).await);
    assert_eq!(ask(&server, &target, "").await.status, 101);
    assert_eq!(ask(&server, "/", "").await.code(), "missing_token");
}

#[tokio::test]
async fn no_answer_and_no_log_holds_a_ticket_or_a_token() {
    let server = TestServer::start(&format!("{LENIENT} --log trace --auth-query-token"));
    let token = server.mint(&claims());
    let bad = server.mint(&with("exp", 1));
    let mut secrets = vec![base64url(&token), base64url(&bad)];
    for token in [&token, &bad] {
        let (_, secret) = token.split_once('.').unwrap();
        secrets.push(secret.to_owned());
    }
    let mut requests = Vec::new();
    for made in 0..3 {
        let ticket = server.ticket(&token).await;
        let request = match made {
            0 => upgrade_request(&format!("/?ticket={ticket}"), ""),
            1 => upgrade_request(&format!("/?ticket={ticket}&token={token}"), ""),
            _ => upgrade_request(&format!("/?ticket={ticket}&since=x&ticket"), ""),
        };
        requests.extend([request.clone(), request]);
        requests.push(format!(
            "GET /signals?ticket={ticket} HTTP/1.1\r\nHost: a\r\n\r\n"
        ));
        requests.push(format!("GET /{ticket} HTTP/1.1\r\nHost: a\r\n\r\n"));
        secrets.push(ticket);
    }
    for token in [&token, &bad] {
        requests.push(upgrade_request(&format!("/?token={token}"), ""));
        requests.push(upgrade_request(&format!("/?token={token}&x{token}"), ""));
        requests.push(upgrade_request("/", &among_protocols(token)));
        requests.push(upgrade_request("/", &among_protocols(token).repeat(2)));
        requests.push(upgrade_request(
            "/",
            &protocols(&format!("{PREFIX}{token}")),
        ));
    }
    for request in requests {
        let (_stream, answer) = server.open(request.as_bytes()).await;
        let answer = format!("{answer:?}");
        assert!(
            secrets.iter().all(|secret| !answer.contains(secret)),
            "{answer}"
        );
    }
    let log = server.stop();
    assert!(log.contains("subscribed") && log.contains("token refused"));
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret} is in the log:\n{log}");
        let part = &secret[secret.len() - 20..];
        assert!(!log.contains(part), "{part} is in the log:\n{log}");
    }
}

/// The setting stands in the file, too.
#[tokio::test]
async fn the_url_may_hold_a_token_only_if_that_is_allowed() {
    let folder = Arc::new(Folder::new());
    folder.append("signalcast.toml", "[auth]\nquery_token = true\n");
    let server = TestServer::start_in(Arc::clone(&folder), "");
    let target = format!("/?token={}&tests=false", server.token());
    assert_eq!(ask(&server, &target, "").await.status, 101);
    let narrow = server.mint(&without("scope"));
    let answer = ask(&server, &format!("/?token={narrow}"), "").await;
    assert_refused("no scope", &answer, 403, "insufficient_scope");
}
