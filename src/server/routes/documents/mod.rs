//! What the server says of itself: the protocol as a page for people, and as OpenAPI and AsyncAPI
//! for machines.

mod html;

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hyper::body::Bytes;
use warp::Filter;
use warp::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
    IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use warp::http::{Response, StatusCode};

use crate::server::call::{READ, Route, only};

/// A text that changes only with the program.
#[derive(Debug)]
struct Document {
    media_type: &'static str,
    text: Bytes,
    /// Quoted, as the header has it.
    etag: String,
    /// What the browser may do with it.
    policies: Vec<(HeaderName, String)>,
}

/// Answers with each of them.
pub(super) fn route() -> Route {
    let page = warp::path!("docs").and(serve(&PAGE));
    let openapi = warp::path!("openapi.yaml").and(serve(&OPENAPI));
    let asyncapi = warp::path!("asyncapi.yaml").and(serve(&ASYNCAPI));
    page.or(openapi).unify().or(asyncapi).unify().boxed()
}

fn serve(document: &'static LazyLock<Document>) -> Route {
    only(READ)
        .and(warp::header::headers_cloned())
        .map(move |headers: HeaderMap| document.answer(&headers))
        .boxed()
}

static OPENAPI: LazyLock<Document> =
    LazyLock::new(|| Document::yaml(include_str!("../../../../docs/openapi.yaml")));

static ASYNCAPI: LazyLock<Document> =
    LazyLock::new(|| Document::yaml(include_str!("../../../../docs/asyncapi.yaml")));

/// Made at the first request, for most servers are never asked.
static PAGE: LazyLock<Document> =
    LazyLock::new(|| Document::page(include_str!("../../../../docs/protocol.md")));

impl Document {
    /// RFC 9512.
    fn yaml(text: &'static str) -> Self {
        Self::new("application/yaml", Bytes::from_static(text.as_bytes()))
    }

    /// Nothing is loaded from anywhere and no script runs, whatever the text says; the one style is
    /// known by its hash.
    fn page(markdown: &str) -> Self {
        let style = STANDARD.encode(digest(&SHA256, html::STYLE.as_bytes()));
        let may = format!(
            "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'"
        );
        let mut page = Self::new("text/html; charset=utf-8", html::page(markdown).into());
        page.policies.push((CONTENT_SECURITY_POLICY, may));
        page.policies
            .push((REFERRER_POLICY, "no-referrer".to_owned()));
        page
    }

    fn new(media_type: &'static str, text: Bytes) -> Self {
        let sum = URL_SAFE_NO_PAD.encode(digest(&SHA256, &text));
        Self {
            media_type,
            text,
            etag: format!(r#""{sum}""#),
            policies: vec![(X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned())],
        }
    }

    fn answer(&self, headers: &HeaderMap) -> Response<Bytes> {
        let answer = Response::builder()
            .header(ETAG, &self.etag)
            // Ask each time: another version of the server may say something else.
            .header(CACHE_CONTROL, "no-cache");
        if self.is_had_by(headers) {
            let answer = answer.status(StatusCode::NOT_MODIFIED).body(Bytes::new());
            return answer.expect("every value is visible ASCII");
        }
        let mut answer = answer.header(CONTENT_TYPE, self.media_type);
        for (name, value) in &self.policies {
            answer = answer.header(name, value);
        }
        answer
            .body(self.text.clone())
            .expect("every value is visible ASCII")
    }

    /// Whether these headers name what would be sent (RFC 9110 section 13.1.2).
    fn is_had_by(&self, headers: &HeaderMap) -> bool {
        let values = headers.get_all(IF_NONE_MATCH).iter();
        let mut tags = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim);
        tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.etag)
    }
}

#[cfg(test)]
mod tests {
    use warp::http::HeaderValue;

    use super::*;

    fn asked(values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(IF_NONE_MATCH, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn who_has_a_document_is_not_sent_it_again() {
        let document = Document {
            etag: r#""abc""#.to_owned(),
            ..Document::yaml("openapi: 3.1.0")
        };
        for (values, had) in [
            (&[][..], false),
            (&[""], false),
            (&["*"], true),
            (&["abc"], false),
            (&[r#""abd""#], false),
            (&[r#""abc""#], true),
            (&[r#"W/"abc""#], true),
            (&[r#""x", "abc""#], true),
            (&[r#""x""#, r#""abc""#], true),
        ] {
            let answer = document.answer(&asked(values));
            let expected = if had { 304 } else { 200 };
            assert_eq!(answer.status(), expected, "{values:?}");
            assert_eq!(answer.headers()[ETAG], r#""abc""#);
            assert_eq!(answer.body().is_empty(), had);
        }
    }
}
