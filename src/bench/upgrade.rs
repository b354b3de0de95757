//! How a connection becomes a WebSocket (RFC 6455 section 4).

use std::fmt::Write;

use memchr::memmem;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Uri};

use super::ended::Ended;

/// The request for an upgrade, the same for each client that asks for the same.
pub(super) fn request(
    url: &Uri,
    query: Option<&str>,
    subprotocol: Option<&str>,
    headers: &[(HeaderName, HeaderValue)],
) -> Vec<u8> {
    let path = url.path();
    let query: Vec<&str> = url.query().into_iter().chain(query).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    let query = query.join("&");
    let host = url.authority().map_or("", |authority| authority.as_str());
    let mut head = format!(
        "GET {path}{mark}{query} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
    );
    if let Some(subprotocol) = subprotocol {
        let _ = write!(head, "Sec-WebSocket-Protocol: {subprotocol}\r\n");
    }
    let mut request = head.into_bytes();
    for (name, value) in headers {
        request.extend_from_slice(name.as_str().as_bytes());
        request.extend_from_slice(b": ");
        request.extend_from_slice(value.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    request
}

/// Where the frames begin behind the answer; none if the answer is not there as a whole.
pub(super) fn answer(bytes: &[u8]) -> Result<Option<usize>, Ended> {
    let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
        return match bytes.len() {
            0..=LONGEST => Ok(None),
            _ => Err(Ended::NoWebSocket("an endless answer".to_owned())),
        };
    };
    let head = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    let Some(status) = status
        .strip_prefix("HTTP/1.1 ")
        .or_else(|| status.strip_prefix("HTTP/1.0 "))
    else {
        return Err(Ended::NoWebSocket("no HTTP".to_owned()));
    };
    if !status.starts_with("101") {
        return Err(Ended::Refused(status.trim().to_owned()));
    }
    let accepts = lines
        .filter_map(|line| line.split_once(':'))
        .any(|(name, value)| {
            name.eq_ignore_ascii_case("Sec-WebSocket-Accept") && value.trim() == ACCEPT
        });
    if !accepts {
        return Err(Ended::NoWebSocket(
            "a wrong Sec-WebSocket-Accept".to_owned(),
        ));
    }
    Ok(Some(end + 4))
}

/// It guards against mistakes, not against anybody: one will do for all (that of RFC 6455).
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The longest answer.
const LONGEST: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_the_host_and_what_was_asked_for() {
        let url = Uri::from_static("wss://bot.example.org:8443/ws?symbols=BTC*");
        let token = (
            HeaderName::from_static("authorization"),
            HeaderValue::from_static("Bearer abc"),
        );
        let request = request(&url, Some("tests=true"), Some("signalcast.v2"), &[token]);
        let request = String::from_utf8(request).unwrap();
        assert!(request.starts_with(
            "GET /ws?symbols=BTC*&tests=true HTTP/1.1\r\nHost: bot.example.org:8443\r\n"
        ));
        assert!(request.contains("\r\nSec-WebSocket-Protocol: signalcast.v2\r\n"));
        assert!(request.ends_with("\r\nauthorization: Bearer abc\r\n\r\n"));
    }

    #[test]
    fn a_path_is_asked_for_even_where_none_is_written() {
        for (url, path) in [
            ("ws://a", "/"),
            ("ws://a?tests=true", "/?tests=true"),
            ("ws://a/ws", "/ws"),
        ] {
            let request = request(&Uri::from_static(url), None, None, &[]);
            let expected = format!("GET {path} HTTP/1.1\r\n");
            assert!(request.starts_with(expected.as_bytes()), "{url}");
        }
    }

    #[test]
    fn only_an_answer_to_our_key_is_a_web_socket() {
        let good = format!("HTTP/1.1 101 Switching\r\nsec-websocket-accept: {ACCEPT}\r\n\r\nrest");
        assert!(matches!(answer(good.as_bytes()), Ok(Some(end)) if end == good.len() - 4));
        assert!(matches!(answer(&good.as_bytes()[..30]), Ok(None)));
        let other = good.replace(ACCEPT, "abc");
        assert!(matches!(
            answer(other.as_bytes()),
            Err(Ended::NoWebSocket(_))
        ));
        let refused = b"HTTP/1.1 401 Unauthorized\r\n\r\n";
        assert!(
            matches!(answer(refused), Err(Ended::Refused(status)) if status == "401 Unauthorized")
        );
        assert!(matches!(
            answer(b"SSH-2.0\r\n\r\n"),
            Err(Ended::NoWebSocket(_))
        ));
    }
}
