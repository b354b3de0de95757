//! CORS: which pages' scripts may read what HTTP answers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Answer, TestServer, upgrade_request};

const SHOP: &str = "https://shop.example.org";
const DESK: &str = "http://localhost:3000";

async fn send(server: &TestServer, request: &str) -> Answer {
    server.open(request.as_bytes()).await.1
}

/// A request of a page's script. `headers`: further lines, each ended by CRLF.
fn request(method: &str, path: &str, origin: &str, headers: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n\
         Content-Length: 0\r\n{headers}\r\n"
    )
}

/// What a browser asks before a script's request that is more than a form's.
fn preflight(path: &str, origin: &str, method: &str) -> String {
    let headers = format!(
        "Access-Control-Request-Method: {method}\r\n\
         Access-Control-Request-Headers: authorization,content-type\r\n"
    );
    request("OPTIONS", path, origin, &headers)
}

/// The words of a list in a header.
fn list(answer: &Answer, name: &str) -> Vec<String> {
    let value = answer.header(name).unwrap_or_default();
    let mut words: Vec<_> = value
        .split(',')
        .map(|word| word.trim().to_ascii_lowercase())
        .collect();
    words.sort();
    words
}

fn says_something(answer: &Answer) -> bool {
    let mut names = answer.headers.iter().map(|(name, _)| name);
    names.any(|name| name.starts_with("access-control-") || name == "vary")
}

#[tokio::test]
async fn without_origins_nothing_is_said() {
    let server = TestServer::start("");
    let authorised = format!("Authorization: Bearer {}\r\n", server.token());
    for request in [
        request("GET", "/signals", SHOP, &authorised),
        request("GET", "/signals", SHOP, ""),
        request("GET", "/healthz", SHOP, ""),
        request("GET", "/nowhere", SHOP, ""),
        preflight("/signals", SHOP, "GET"),
        upgrade_request("/", &format!("Origin: {SHOP}\r\n{authorised}")),
    ] {
        let answer = send(&server, &request).await;
        assert!(!says_something(&answer), "{request}: {answer:?}");
    }
    let answer = send(&server, &preflight("/signals", SHOP, "GET")).await;
    assert_eq!(answer.code(), "method_not_allowed");
}

#[tokio::test]
async fn pages_of_the_named_origins_may_read_every_answer() {
    let server = TestServer::start(&format!(
        "--server-cors-origins {SHOP} --server-cors-origins {DESK}"
    ));
    let authorised = format!("Authorization: Bearer {}\r\n", server.token());
    for origin in [SHOP, DESK] {
        for (request, status) in [
            (request("GET", "/signals", origin, &authorised), 200),
            (request("POST", "/ticket", origin, &authorised), 201),
            (request("GET", "/healthz", origin, ""), 200),
            // Refusals, so that a script learns why.
            (request("GET", "/signals", origin, ""), 401),
            (request("POST", "/ticket", origin, ""), 401),
            (request("POST", "/signals/x", origin, ""), 404),
            (request("DELETE", "/healthz", origin, ""), 405),
            (request("GET", "/", origin, ""), 426),
            (
                request(
                    "GET",
                    "/healthz",
                    origin,
                    &format!("X: {}\r\n", "x".repeat(17_000)),
                ),
                431,
            ),
        ] {
            let answer = send(&server, &request).await;
            assert_eq!(answer.status, status, "{answer:?}");
            assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
            assert!(list(&answer, "vary").contains(&"origin".to_owned()));
            assert_eq!(answer.header("access-control-allow-credentials"), None);
            assert_eq!(
                list(&answer, "access-control-expose-headers"),
                [
                    "retry-after",
                    "signalcast-epoch",
                    "signalcast-last-seq",
                    "signalcast-next-after-seq",
                    "www-authenticate"
                ]
            );
        }
    }
}

#[tokio::test]
async fn a_browser_is_told_beforehand_what_scripts_may_do() {
    let server = TestServer::start(&format!("--server-cors-origins {SHOP}"));
    for (path, method) in [
        ("/signals", "GET"),
        ("/ticket", "POST"),
        ("/clients/7", "DELETE"),
    ] {
        let answer = send(&server, &preflight(path, SHOP, method)).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
        assert_eq!(answer.header("access-control-allow-origin"), Some(SHOP));
        let methods = list(&answer, "access-control-allow-methods");
        assert_eq!(methods, ["delete", "get", "post"]);
        let headers = list(&answer, "access-control-allow-headers");
        assert_eq!(headers, ["authorization", "content-type", "last-event-id"]);
        assert_eq!(answer.header("access-control-max-age"), Some("3600"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        assert_eq!(answer.header("connection"), None, "the request follows");
    }
}

#[tokio::test]
async fn pages_of_other_origins_may_not() {
    let server = TestServer::start(&format!("--server-cors-origins {SHOP}"));
    let authorised = format!("Authorization: Bearer {}\r\n", server.token());
    for origin in [
        "https://evil.example.org",
        "http://shop.example.org",
        "https://shop.example.org.evil.org",
        "https://shop.example.org:8443",
        "null",
        "*",
    ] {
        for request in [
            request("GET", "/signals", origin, &authorised),
            preflight("/signals", origin, "GET"),
        ] {
            let answer = send(&server, &request).await;
            assert_eq!(
                answer.header("access-control-allow-origin"),
                None,
                "{origin}"
            );
        }
    }
    // A WebSocket asks nobody: there is nothing that a page could abuse.
    let headers = format!("Origin: https://evil.example.org\r\n{authorised}");
    assert_eq!(
        send(&server, &upgrade_request("/", &headers)).await.status,
        101
    );
}

#[tokio::test]
async fn all_pages_may_if_all_are_named() {
    let server = TestServer::start("--server-cors-origins *");
    for request in [
        request("GET", "/signals", "null", ""),
        preflight("/ticket", SHOP, "POST"),
    ] {
        let answer = send(&server, &request).await;
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    }
}
