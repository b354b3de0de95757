//! Why a connection ended, and whether to try again.

use std::io;
use std::time::Duration;

use serde::Deserialize;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::http::header::RETRY_AFTER;
use tokio_tungstenite::tungstenite::http::{Response, StatusCode};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::printable::printable;
use crate::trust::untrusted;

/// Listening is over.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The server refused, and would again.
    #[error("refused: {0}")]
    Refused(String),
    /// The server ended it, and would again.
    #[error("closed by the server: {0}")]
    Closed(String),
    /// Who answers can't show to be who we meant.
    #[error("{0}")]
    Untrusted(String),
    /// The address can't be used.
    #[error("the address can't be used")]
    Address(#[source] Box<Error>),
    /// Signals can't be printed.
    #[error("can't write to stdout")]
    Output(#[source] io::Error),
    /// The system gives no event loop.
    #[error("can't start")]
    Runtime(#[source] io::Error),
}

/// A connection that is no more.
#[derive(Debug)]
pub(super) enum Lost {
    /// Another try would end the same way.
    ForGood(ListenError),
    /// Another try may do better.
    ForNow {
        /// What to tell the user.
        why: String,
        /// What the server asked for.
        at_least: Duration,
    },
    /// What was asked for is not in the log.
    Gone(Gone),
    /// The log begins elsewhere, or is another one; it is known where to go on. What to tell the
    /// user of it.
    Moved(String),
}

/// What a server says whose log does not have what was asked for.
#[derive(Debug)]
pub(super) struct Gone {
    /// Which log that is.
    pub(super) epoch: Option<String>,
    /// The oldest and the newest seq that it has.
    pub(super) kept: Option<(u64, u64)>,
    /// The whole answer, for people.
    pub(super) words: String,
}

impl Lost {
    pub(super) fn for_now(why: impl Into<String>) -> Self {
        Self::ForNow {
            why: why.into(),
            at_least: Duration::ZERO,
        }
    }

    /// No connection came about.
    pub(super) fn connecting(error: Error) -> Self {
        match error {
            Error::Http(answer) => refused(&answer),
            Error::Url(_) | Error::HttpFormat(_) => {
                Self::ForGood(ListenError::Address(Box::new(error)))
            }
            Error::Io(error) => match untrusted(&error, "ws://") {
                Some(message) => Self::ForGood(ListenError::Untrusted(message)),
                None => Self::for_now(error.to_string()),
            },
            other => Self::connected(other),
        }
    }

    /// A connection that had come about broke.
    pub(super) fn connected(error: Error) -> Self {
        match error {
            Error::Io(error) => Self::for_now(format!("the connection was lost: {error}")),
            Error::ConnectionClosed | Error::AlreadyClosed => {
                Self::for_now("the connection was lost")
            }
            other => Self::for_now(other.to_string()),
        }
    }

    /// The server said goodbye.
    pub(super) fn closed(frame: Option<&CloseFrame>) -> Self {
        let Some(frame) = frame else {
            return Self::for_now("closed by the server without a word");
        };
        let code = u16::from(frame.code);
        let words = match printable(frame.reason.as_str()) {
            reason if reason.is_empty() => code.to_string(),
            reason => format!("{reason} ({code})"),
        };
        match frame.code {
            CloseCode::Policy => Self::ForGood(ListenError::Closed(words)),
            _ => Self::for_now(format!("closed by the server: {words}")),
        }
    }
}

/// What the server answered instead of a WebSocket.
fn refused(answer: &Response<Option<Vec<u8>>>) -> Lost {
    let status = answer.status();
    let body = answer.body().as_deref().unwrap_or_default();
    let read = serde_json::from_slice::<ErrorBody>(body).ok();
    let words = match &read {
        Some(ErrorBody { code, message, .. }) => format!(
            "{} ({}, {}){}",
            printable(message),
            printable(code),
            status.as_u16(),
            remedy(code)
        ),
        None => status.to_string(),
    };
    if let (StatusCode::GONE, Some(said)) = (status, read) {
        return Lost::Gone(Gone {
            epoch: said.epoch.map(|epoch| printable(&epoch)),
            kept: said.first_seq.zip(said.last_seq),
            words,
        });
    }
    let passes = status.is_server_error()
        || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
    if !passes {
        return Lost::ForGood(ListenError::Refused(words));
    }
    let asked = answer.headers().get(RETRY_AFTER);
    let seconds = asked.and_then(|value| value.to_str().ok()?.parse().ok());
    Lost::ForNow {
        why: format!("refused: {words}"),
        at_least: Duration::from_secs(seconds.unwrap_or(0)).min(LONGEST_ASKED),
    }
}

/// What to do about it here, where the server's words speak of headers.
fn remedy(code: &str) -> &'static str {
    match code {
        "missing_token" => "; give one with --token, --token-file or SIGNALCAST_TOKEN",
        _ => "",
    }
}

#[derive(Deserialize)]
struct ErrorBody {
    code: String,
    message: String,
    /// The log, and what it keeps, with `history_gone`.
    epoch: Option<String>,
    first_seq: Option<u64>,
    last_seq: Option<u64>,
}

/// Whatever a server asks for, it is asked again by then.
const LONGEST_ASKED: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, headers: &[(&str, &str)]) -> Lost {
        let mut answer = Response::builder().status(status);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        Lost::connecting(Error::Http(Box::new(answer.body(None).unwrap())))
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for (status, again) in [
            (400, false),
            (401, false),
            (403, false),
            (404, false),
            (410, false),
            (426, false),
            (429, true),
            (500, true),
            (503, true),
        ] {
            let lost = answered(status, &[]);
            assert_eq!(matches!(lost, Lost::ForNow { .. }), again, "{status}");
        }
    }

    #[test]
    fn a_server_that_asks_for_time_gets_it_within_reason() {
        for (asked, waited) in [("40", 40), ("86400", 120), ("soon", 0)] {
            let Lost::ForNow { at_least, .. } = answered(503, &[("Retry-After", asked)]) else {
                panic!("503 is for now");
            };
            assert_eq!(at_least, Duration::from_secs(waited), "{asked}");
        }
    }
}
