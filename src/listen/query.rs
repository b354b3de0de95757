//! The address with where to start, and with what the user asked for besides.

use std::fmt::Write as _;

use tokio_tungstenite::tungstenite::http::Uri;

use super::cursor::Start;

/// The part of an address after `?`, as the user wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query(Vec<String>);

impl Query {
    /// The query of an address.
    pub(crate) fn of(url: &Uri) -> Self {
        let parts = url.query().unwrap_or_default().split('&');
        Self(
            parts
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect(),
        )
    }

    /// Takes a parameter out: its value, decoded. The last one, if it is there twice.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let of_name = |part: &String| part.split('=').next() == Some(name);
        let value = self.0.iter().rfind(|part| of_name(part))?;
        let value = value.split_once('=').map_or("", |(_, value)| value);
        let value = decoded(value);
        self.0.retain(|part| !of_name(part));
        Some(value)
    }

    /// Adds a parameter.
    pub(crate) fn push(&mut self, name: &str, value: &str) {
        self.0.push(format!("{name}={}", encoded(value)));
    }

    /// An address with this query, and with where to start, in the log of this epoch if it is known.
    pub(super) fn on(&self, url: &Uri, start: &Start, epoch: Option<&str>) -> String {
        let mut query = self.clone();
        if epoch.is_some() {
            query.take("epoch");
        }
        match start {
            Start::Live => {}
            Start::After(seq) => query.push("after_seq", &seq.to_string()),
            Start::Since(time) => query.push("since", time),
        }
        // A seq means nothing in another log, and a time does.
        if let (Start::After(_), Some(epoch)) = (start, epoch) {
            query.push("epoch", epoch);
        }
        let text = url.to_string();
        let base = text.split('?').next().unwrap_or_default();
        if query.0.is_empty() {
            return base.to_owned();
        }
        format!("{base}?{}", query.0.join("&"))
    }
}

/// With everything escaped that may mean something in a query (RFC 3986 section 2).
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z'
            | b'a'..=b'z'
            | b'0'..=b'9'
            | b'-'
            | b'.'
            | b'_'
            | b'~'
            | b':'
            | b'*'
            | b',' => encoded.push(char::from(byte)),
            _ => write!(encoded, "%{byte:02X}").expect("writing to memory does not fail"),
        }
    }
    encoded
}

/// What is no escape stays as it is: the server will say what it thinks of that.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = (byte == b'%').then(|| after.get(..2)).flatten();
        let escaped = escaped.and_then(|hex| std::str::from_utf8(hex).ok());
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(escaped) => {
                bytes.push(escaped);
                rest = &after[2..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_user_wrote_is_kept_and_the_start_is_ours() {
        let url: Uri = "wss://a:1/ws?symbols=BTC*&after_seq=7&ticket=x%2By&after_seq=8"
            .parse()
            .unwrap();
        let mut query = Query::of(&url);
        assert_eq!(query.take("after_seq").as_deref(), Some("8"));
        assert_eq!(query.take("since"), None);
        for (start, epoch, expected) in [
            (Start::Live, None, "wss://a:1/ws?symbols=BTC*&ticket=x%2By"),
            (
                Start::After(9),
                None,
                "wss://a:1/ws?symbols=BTC*&ticket=x%2By&after_seq=9",
            ),
            (
                Start::After(9),
                Some("e"),
                "wss://a:1/ws?symbols=BTC*&ticket=x%2By&after_seq=9&epoch=e",
            ),
            (
                Start::Since("2026-11-20T10:00:00+01:00".to_owned()),
                Some("e"),
                "wss://a:1/ws?symbols=BTC*&ticket=x%2By&since=2026-11-20T10:00:00%2B01:00",
            ),
        ] {
            assert_eq!(query.on(&url, &start, epoch), expected);
        }
    }

    #[test]
    fn values_go_there_and_back() {
        let url: Uri = "ws://a".parse().unwrap();
        for value in ["BTC/USDT:USDT,^GSPC,EURUSD=X", "a+b %&#", "é💰", "100%", ""] {
            let mut query = Query::of(&url);
            query.push("symbols", value);
            let whole = query.on(&url, &Start::Live, None);
            let mut read = Query::of(&whole.parse().unwrap());
            assert_eq!(read.take("symbols").as_deref(), Some(value), "{whole}");
        }
    }
}
