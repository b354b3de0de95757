//! What the server says of itself: the protocol as a page, and as OpenAPI and AsyncAPI.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;

use common::schema::{ASYNCAPI, OPENAPI, resolve, validator};
use common::{Answer, TestServer};
use serde_json::{Map, Value};

/// Path, content type, and the file that is served.
const DOCUMENTS: [(&str, &str, &str); 3] = [
    ("/docs", "text/html; charset=utf-8", "protocol.md"),
    ("/openapi.yaml", "application/yaml", "openapi.yaml"),
    ("/asyncapi.yaml", "application/yaml", "asyncapi.yaml"),
];

async fn ask(server: &TestServer, method: &str, path: &str, headers: &str) -> Answer {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"
    );
    server.exchange(request.as_bytes()).await
}

#[tokio::test]
async fn anybody_may_read_what_the_server_says_of_itself() {
    let server = TestServer::start("");
    for (path, media_type, file) in DOCUMENTS {
        let answer = ask(&server, "GET", path, "").await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), Some(media_type));
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("docs")
            .join(file);
        let text = fs::read_to_string(file).unwrap();
        if path == "/docs" {
            assert!(answer.body.starts_with("<!doctype html>"));
            assert!(
                answer
                    .body
                    .contains("<h2 id=\"the-signal\">The signal</h2>")
            );
        } else {
            assert_eq!(answer.body, text);
        }
        let head = ask(&server, "HEAD", path, "").await;
        assert_eq!((head.status, head.body.as_str()), (200, ""));
        assert_eq!(head.header("etag"), answer.header("etag"));
        assert_eq!(ask(&server, "POST", path, "").await.status, 405);
    }
    server.stop();
}

#[tokio::test]
async fn who_has_a_document_asks_whether_it_has_changed() {
    let server = TestServer::start("");
    let mut etags = Vec::new();
    for (path, _, _) in DOCUMENTS {
        let etag = ask(&server, "GET", path, "").await;
        let etag = etag.header("etag").unwrap().to_owned();
        let again = ask(&server, "GET", path, &format!("If-None-Match: {etag}\r\n")).await;
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{path}");
        assert_eq!(again.header("etag"), Some(etag.as_str()));
        let other = ask(&server, "GET", path, "If-None-Match: \"other\"\r\n").await;
        assert_eq!(other.status, 200);
        etags.push(etag);
    }
    etags.sort();
    etags.dedup();
    assert_eq!(etags.len(), DOCUMENTS.len());
    server.stop();
}

#[tokio::test]
async fn the_page_runs_nothing_and_loads_nothing() {
    let server = TestServer::start("");
    let page = ask(&server, "GET", "/docs", "").await;
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    server.stop();
}

#[test]
fn both_documents_are_of_this_version() {
    for document in [&*OPENAPI, &*ASYNCAPI] {
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }
}

#[test]
fn what_is_in_both_documents_is_the_same() {
    let schemas = |document: &'static Value| -> &'static Map<String, Value> {
        document["components"]["schemas"].as_object().unwrap()
    };
    let mut shared = 0;
    for (name, schema) in schemas(&ASYNCAPI) {
        if let Some(other) = schemas(&OPENAPI).get(name) {
            assert_eq!(schema, other, "{name}");
            shared += 1;
        }
    }
    assert!(shared >= 9, "{shared}");
}

/// An object without a word on other keys takes any, so that nobody would notice new ones.
#[test]
fn every_object_says_whether_it_has_other_keys() {
    for document in [&*OPENAPI, &*ASYNCAPI] {
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            // What a line may hold is told in words.
            if name != "Line" {
                expect_closed(name, schema);
            }
        }
    }
}

fn expect_closed(name: &str, schema: &Value) {
    match schema {
        Value::Object(members) => {
            if members.get("type") == Some(&Value::from("object")) {
                assert!(
                    members.contains_key("additionalProperties"),
                    "{name}: {schema}"
                );
            }
            members
                .values()
                .for_each(|member| expect_closed(name, member));
        }
        Value::Array(members) => members
            .iter()
            .for_each(|member| expect_closed(name, member)),
        _ => {}
    }
}

#[test]
fn the_examples_are_what_they_are_examples_of() {
    let mut seen = 0;
    for (name, message) in ASYNCAPI["components"]["messages"].as_object().unwrap() {
        let schema = validator(&ASYNCAPI, &message["payload"]);
        for example in message["examples"].as_array().into_iter().flatten() {
            let payload = &example["payload"];
            assert!(schema.is_valid(payload), "{name}: {payload}");
            seen += 1;
        }
    }
    for (path, operations) in OPENAPI["paths"].as_object().unwrap() {
        for operation in operations.as_object().unwrap().values() {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let parameter = resolve(&OPENAPI, parameter);
                if let Some(example) = parameter.get("example") {
                    let schema = validator(&OPENAPI, &parameter["schema"]);
                    assert!(schema.is_valid(example), "{path}: {example}");
                    seen += 1;
                }
            }
            let contents = operation["requestBody"]["content"].as_object();
            for content in contents.into_iter().flat_map(Map::values) {
                let schema = validator(&OPENAPI, &content["schema"]);
                for example in content["examples"]
                    .as_object()
                    .into_iter()
                    .flat_map(Map::values)
                {
                    assert!(schema.is_valid(&example["value"]), "{path}: {example}");
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 20, "{seen}");
}
