//! What a server says, as far as a listener has to understand it.

use serde::Deserialize;
use tokio_tungstenite::tungstenite::http::HeaderMap;

/// A text message of a server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    Signal(Seen),
    /// The first message of `signalcast.v2`.
    Established(Established),
    /// Nothing has happened; all of ours up to this seq was sent.
    Heartbeat {
        last_seq: u64,
    },
    /// An error, or what this program is too old to know.
    Other,
}

/// A signal, as far as it tells where it stands in the log: not at all in `signalcast.v1`, and when it
/// is the answer to a `test`.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Seen {
    pub(super) seq: Option<u64>,
    pub(super) id: Option<String>,
    pub(super) received_at: Option<String>,
}

/// What the log is like that a connection begins in.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Established {
    pub(super) epoch: String,
    pub(super) last_seq: u64,
    /// By the server's clock; only in the message.
    pub(super) timestamp: Option<String>,
}

impl Established {
    /// What the answer to the upgrade says of it.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = |name| headers.get(name)?.to_str().ok();
        Some(Self {
            epoch: text("signalcast-epoch")?.to_owned(),
            last_seq: text("signalcast-last-seq")?.parse().ok()?,
            timestamp: None,
        })
    }
}

impl Said {
    pub(super) fn read(text: &str) -> Self {
        let read = || -> serde_json::Result<Self> {
            let Kind { kind } = serde_json::from_str(text)?;
            Ok(match kind.as_str() {
                "buy" | "sell" => Self::Signal(serde_json::from_str(text)?),
                "connection_established" => Self::Established(serde_json::from_str(text)?),
                "heartbeat" => Self::Heartbeat {
                    last_seq: serde_json::from_str::<Head>(text)?.last_seq,
                },
                _ => Self::Other,
            })
        };
        read().unwrap_or(Self::Other)
    }
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Head {
    last_seq: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_signal_is_told_apart() {
        for (text, said) in [
            (
                r#"{"type":"buy","content":{"symbol":"A","price":1,"timestamp":0},"is_test":false}"#,
                Said::Signal(Seen::default()),
            ),
            (
                r#"{"type":"sell","seq":18446744073709551615,"id":"a","content":{"type":"x"},"is_test":false,"received_at":"2026-11-20T10:00:00.123456Z"}"#,
                Said::Signal(Seen {
                    seq: Some(u64::MAX),
                    id: Some("a".to_owned()),
                    received_at: Some("2026-11-20T10:00:00.123456Z".to_owned()),
                }),
            ),
            (
                r#"{"type":"connection_established","client_id":"c","timestamp":"2026-11-20T10:00:00Z","heartbeat_interval":30000,"epoch":"e","first_seq":1,"last_seq":1024,"sources":{}}"#,
                Said::Established(Established {
                    epoch: "e".to_owned(),
                    last_seq: 1024,
                    timestamp: Some("2026-11-20T10:00:00Z".to_owned()),
                }),
            ),
            (
                r#"{"type":"heartbeat","timestamp":"2026-11-20T10:00:00Z","last_seq":7,"sources":{}}"#,
                Said::Heartbeat { last_seq: 7 },
            ),
            (r#"{"type":"error","code":"x","message":"y"}"#, Said::Other),
            (r#"{"type":"halted","reason":"y"}"#, Said::Other),
            (r#"{"type":"buy","seq":-1}"#, Said::Other),
            ("test", Said::Other),
        ] {
            assert_eq!(Said::read(text), said, "{text}");
        }
    }
}
