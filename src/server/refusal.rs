use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;
use warp::http::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE,
    WWW_AUTHENTICATE,
};
use warp::http::{Method, Response, StatusCode};

use crate::auth::{InvalidToken, Scope};
use crate::ingest::Stopped;
use crate::journal::Epoch;
use crate::session::{Held, LogRange};
use crate::signal::RefusedLine;

/// Why a request is turned away. The answer is a status, a JSON body, and the end of the
/// connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    HeadersTooLarge,
    NotFound,
    /// What the path names is not there, in these words.
    Unknown(&'static str),
    /// Another method than these.
    MethodNotAllowed(&'static [Method]),
    /// Something about the request is wrong, in these words.
    BadRequest(Cow<'static, str>),
    /// The body does not come fast enough.
    TooSlow,
    UpgradeRequired,
    OtherVersion,
    TooManyAttempts(Duration),
    TwoCredentials,
    MissingToken,
    InvalidToken(InvalidToken),
    /// The token lacks this scope.
    InsufficientScope(Scope),
    Overloaded,
    /// Too many fetch past signals.
    Busy,
    /// Too many tickets wait to be used.
    TooManyTickets,
    /// Past signals can't be read just now.
    Unreadable,
    Draining,
    /// What was asked for is not done, or not wholly, in these words.
    Unfinished(Cow<'static, str>),
    HistoryGone(Gone),
    /// More than is taken at once, in these words.
    PayloadTooLarge(Cow<'static, str>),
    /// A body in a form that is not read, in these words.
    UnsupportedMediaType(&'static str),
    /// Lines that are no signals.
    InvalidSignals(Vec<RefusedLine>),
    /// Too much is being brought in.
    NoRoom,
    /// It is not known yet whether the signals get into the log.
    NotRecorded,
    NotTls,
    Internal,
}

impl From<Stopped> for Refusal {
    fn from(_: Stopped) -> Self {
        Self::Draining
    }
}

/// What the log holds instead of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gone {
    pub(super) why: &'static str,
    pub(super) epoch: Epoch,
    pub(super) held: LogRange,
}

impl Gone {
    pub(super) const TOO_OLD: &'static str = "what you ask for is older than what is kept; \
         after_seq may be first_seq - 1 at the least";
    pub(super) const NOT_YET: &'static str = "after_seq is beyond the newest signal, so it is of a \
         log that was lost; this one has another epoch: begin anew, without after_seq";
    pub(super) const OTHER_LOG: &'static str = "the log that you name with epoch is no more; this \
         one has another epoch, and its seqs mean other signals: begin anew, without after_seq and \
         epoch";
    pub(super) const NO_LOG_NAMED: &'static str = "this log is kept in memory alone, so Last-Event-ID \
         may be of one that ended with another run of the server: name its epoch, too, or begin anew, \
         without Last-Event-ID";
}

/// What [`Refusal::code`] may say, for whoever counts.
pub(super) const CODES: &[&str] = &[
    "headers_too_large",
    "not_found",
    "method_not_allowed",
    "bad_request",
    "upgrade_required",
    "too_many_attempts",
    "invalid_request",
    "missing_token",
    "invalid_token",
    "insufficient_scope",
    "overloaded",
    "draining",
    "history_gone",
    "payload_too_large",
    "unsupported_media_type",
    "invalid_signal",
    "internal",
];

/// Headers of all the requests together: a token of 8 KiB fits easily.
pub(super) const MOST_HEADER_BYTES: usize = 16 * 1024;

/// What a close frame has room for (RFC 6455 section 5.5).
const MOST_REASON_BYTES: usize = 123;

/// When to come back to a server that is full or restarting.
const RETRY_SECONDS: u64 = 5;

const REALM: &str = r#"Bearer realm="signalcast""#;

#[derive(Serialize)]
#[serde(tag = "type", rename = "error")]
struct Body<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(flatten)]
    held: Option<Held>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<&'a [RefusedLine]>,
}

impl Refusal {
    /// The answer, whole.
    pub(super) fn response(&self) -> Response<String> {
        let message = self.message();
        let body = serde_json::to_string(&Body {
            code: self.code(),
            message: &message,
            held: self.held(),
            refused: self.refused(),
        })
        .expect("strings and numbers serialize");
        let mut response = Response::builder()
            .status(self.status())
            .header(CONNECTION, "close")
            .header(CONTENT_TYPE, "application/json");
        for (name, value) in self.headers() {
            response = response.header(name, value);
        }
        response.body(body).expect("every value is visible ASCII")
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::NotFound | Self::Unknown(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::BadRequest(_) | Self::TwoCredentials | Self::NotTls => StatusCode::BAD_REQUEST,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::UpgradeRequired | Self::OtherVersion => StatusCode::UPGRADE_REQUIRED,
            Self::TooManyAttempts(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::MissingToken | Self::InvalidToken(_) => StatusCode::UNAUTHORIZED,
            Self::InsufficientScope(_) => StatusCode::FORBIDDEN,
            Self::Overloaded
            | Self::Busy
            | Self::TooManyTickets
            | Self::Unreadable
            | Self::Draining
            | Self::NoRoom
            | Self::NotRecorded
            | Self::Unfinished(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::HistoryGone(_) => StatusCode::GONE,
            Self::PayloadTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::InvalidSignals(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The word for programs.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::HeadersTooLarge => "headers_too_large",
            Self::NotFound | Self::Unknown(_) => "not_found",
            Self::MethodNotAllowed(_) => "method_not_allowed",
            Self::BadRequest(_) | Self::TooSlow | Self::NotTls => "bad_request",
            Self::UpgradeRequired | Self::OtherVersion => "upgrade_required",
            Self::TooManyAttempts(_) => "too_many_attempts",
            Self::TwoCredentials => "invalid_request",
            Self::MissingToken => "missing_token",
            Self::InvalidToken(_) => "invalid_token",
            Self::InsufficientScope(_) => "insufficient_scope",
            Self::Overloaded
            | Self::Busy
            | Self::TooManyTickets
            | Self::Unreadable
            | Self::NoRoom
            | Self::NotRecorded
            | Self::Unfinished(_) => "overloaded",
            Self::Draining => "draining",
            Self::HistoryGone(_) => "history_gone",
            Self::PayloadTooLarge(_) => "payload_too_large",
            Self::UnsupportedMediaType(_) => "unsupported_media_type",
            Self::InvalidSignals(_) => "invalid_signal",
            Self::Internal => "internal",
        }
    }

    /// The words for people: what is wrong and what to do.
    pub(super) fn message(&self) -> String {
        match self {
            Self::HeadersTooLarge => "the headers are over 16 KiB; send fewer or shorter ones",
            Self::NotFound => "there is nothing here; signals are at / and /ws",
            Self::Unknown(problem) => problem,
            Self::MethodNotAllowed(methods) => {
                return format!("this path takes only {}", list(methods));
            }
            Self::BadRequest(problem) => problem.as_ref(),
            Self::TooSlow => {
                "the body comes too slowly, and nothing was done; send all of it without a pause, \
                 a large one in parts"
            }
            Self::UpgradeRequired => "this is a WebSocket endpoint; ask for an upgrade",
            Self::OtherVersion => "only version 13 of the WebSocket protocol is spoken here",
            Self::TooManyAttempts(_) => "too many refused tokens from your address; wait",
            Self::TwoCredentials => "there is more than one credential; send one",
            Self::MissingToken => "there is no token; send Authorization: Bearer TOKEN",
            Self::InvalidToken(problem) => return problem.to_string(),
            Self::InsufficientScope(scope) => {
                return format!("the token lacks the scope {scope}");
            }
            Self::Overloaded => "as many clients as allowed are connected; come back later",
            Self::Busy => "too many are fetching past signals just now; come back in a moment",
            Self::TooManyTickets => {
                "as many tickets as allowed wait to be used; come back in a moment"
            }
            Self::Unreadable => "the log can't be read just now; come back in a moment",
            Self::Draining => "the server is shutting down; come back soon",
            Self::Unfinished(problem) => problem.as_ref(),
            Self::HistoryGone(gone) => gone.why,
            Self::PayloadTooLarge(problem) => problem.as_ref(),
            Self::UnsupportedMediaType(problem) => problem,
            Self::InvalidSignals(refused) => {
                let lines = match refused.len() {
                    1 => "a line is".to_owned(),
                    many => format!("{many} lines are"),
                };
                return format!("{lines} no signal, so nothing was taken; refused says why");
            }
            Self::NoRoom => {
                "too much is being brought in just now, and of yours nothing was taken; \
                 come back in a moment"
            }
            Self::NotRecorded => {
                "the log does not take your signals just now, and may still take them; \
                 send them again, with the same ids"
            }
            Self::NotTls => "this port speaks TLS; use wss://",
            Self::Internal => "something is wrong in the server; it is logged there",
        }
        .to_owned()
    }

    /// How it is told in a close frame: by which code, and in which words.
    pub(super) fn farewell(&self) -> (u16, String) {
        const GOING_AWAY: u16 = 1001;
        const POLICY: u16 = 1008;
        const FAULT: u16 = 1011;
        const AGAIN: u16 = 1013;
        let code = match self {
            Self::Draining => GOING_AWAY,
            Self::Internal => FAULT,
            Self::Overloaded | Self::Busy | Self::Unreadable => AGAIN,
            _ => POLICY,
        };
        let mut reason = match self {
            Self::HistoryGone(gone) => format!(
                "history_gone: epoch {}, first_seq {}, last_seq {}",
                gone.epoch, gone.held.first_seq, gone.held.last_seq
            ),
            refusal => refusal.message(),
        };
        reason.truncate(reason.floor_char_boundary(MOST_REASON_BYTES));
        (code, reason)
    }

    fn held(&self) -> Option<Held> {
        let Self::HistoryGone(gone) = self else {
            return None;
        };
        Some(Held::new(gone.epoch, gone.held))
    }

    fn refused(&self) -> Option<&[RefusedLine]> {
        match self {
            Self::InvalidSignals(refused) => Some(refused),
            _ => None,
        }
    }

    fn headers(&self) -> Vec<(HeaderName, String)> {
        match self {
            Self::MethodNotAllowed(methods) => vec![(ALLOW, list(methods))],
            Self::UpgradeRequired => vec![(UPGRADE, "websocket".to_owned())],
            Self::OtherVersion => {
                vec![
                    (UPGRADE, "websocket".to_owned()),
                    (SEC_WEBSOCKET_VERSION, "13".to_owned()),
                ]
            }
            Self::TooManyAttempts(wait) => {
                vec![(RETRY_AFTER, (wait.as_secs() + 1).to_string())]
            }
            Self::MissingToken => vec![(WWW_AUTHENTICATE, REALM.to_owned())],
            Self::TwoCredentials => {
                vec![(
                    WWW_AUTHENTICATE,
                    format!(r#"{REALM}, error="invalid_request""#),
                )]
            }
            Self::InvalidToken(problem) => vec![(
                WWW_AUTHENTICATE,
                format!(r#"{REALM}, error="invalid_token", error_description="{problem}""#),
            )],
            Self::InsufficientScope(scope) => vec![(
                WWW_AUTHENTICATE,
                format!(r#"{REALM}, error="insufficient_scope", scope="{scope}""#),
            )],
            _ if self.status() == StatusCode::SERVICE_UNAVAILABLE => {
                vec![(RETRY_AFTER, RETRY_SECONDS.to_string())]
            }
            _ => Vec::new(),
        }
    }
}

fn list(methods: &[Method]) -> String {
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    names.join(", ")
}
