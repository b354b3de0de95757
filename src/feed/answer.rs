use std::collections::HashMap;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::http::header::RETRY_AFTER;
use hyper::http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::FeedError;
use crate::printable::printable;

/// An answer to some lines, whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: Bytes,
}

/// What became of them.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The server has all of them; of these it already had the id.
    Accepted(Vec<Repeated>),
    /// It has none, and won't have those at these places, counted from 1, for these reasons.
    Refused(HashMap<usize, String>),
    /// It has none: they were too many at once.
    TooMany,
    /// It has none: they were too long on their way.
    TooSlow { why: String },
    /// Nobody knows: they were lost on their way.
    Lost { why: String },
    /// It has none; another try may do better, after this time at the earliest.
    NotNow { why: String, at_least: Duration },
    /// The same, but it may have them.
    Unsure { why: String, at_least: Duration },
    /// It has none, and would not the next time.
    ForGood(FeedError),
}

/// A line whose signal was in the log before.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Repeated {
    /// Its place among those that were sent, counted from 1.
    pub(super) place: usize,
    pub(super) id: String,
    /// Where the first one with this id is.
    pub(super) seq: u64,
}

#[derive(Deserialize)]
struct Accepted {
    accepted: Vec<AcceptedLine>,
}

#[derive(Deserialize)]
struct AcceptedLine {
    seq: u64,
    id: String,
    duplicate: bool,
}

#[derive(Deserialize)]
struct Refused {
    refused: Vec<RefusedLine>,
}

#[derive(Deserialize)]
struct RefusedLine {
    line: usize,
    reason: String,
}

#[derive(Deserialize)]
struct ErrorBody {
    code: String,
    message: String,
}

/// Whatever a server asks for, it is asked again by then.
const LONGEST_ASKED: Duration = Duration::from_secs(120);

impl Answer {
    /// What it means for `count` lines.
    pub(super) fn verdict(&self, count: usize) -> Verdict {
        match self.status {
            StatusCode::CREATED => self.accepted(count),
            StatusCode::UNPROCESSABLE_ENTITY => self.refused(count),
            StatusCode::PAYLOAD_TOO_LARGE => Verdict::TooMany,
            StatusCode::REQUEST_TIMEOUT => Verdict::TooSlow {
                why: self.refusal(),
            },
            StatusCode::TOO_MANY_REQUESTS => self.not_now(),
            status if status.is_server_error() && self.takes_no_more() => self.not_now(),
            status if status.is_server_error() => self.unsure(),
            status if status.is_client_error() && self.error().is_some() => {
                Verdict::ForGood(FeedError::Refused(self.words()))
            }
            _ => self.stranger(),
        }
    }

    fn accepted(&self, count: usize) -> Verdict {
        let said = serde_json::from_slice::<Accepted>(&self.text);
        let Some(lines) = said.ok().map(|said| said.accepted) else {
            return self.stranger();
        };
        if lines.len() != count {
            return self.stranger();
        }
        let repeated = (1..).zip(lines).filter(|(_, line)| line.duplicate);
        Verdict::Accepted(
            repeated
                .map(|(place, AcceptedLine { seq, id, .. })| Repeated { place, id, seq })
                .collect(),
        )
    }

    fn refused(&self, count: usize) -> Verdict {
        let lines: Option<HashMap<usize, String>> = serde_json::from_slice::<Refused>(&self.text)
            .ok()
            .map(|said| said.refused)
            .map(|lines| lines.into_iter().map(|it| (it.line, it.reason)).collect());
        // One that refuses what was not sent would be asked for ever.
        match lines {
            Some(lines) if !lines.is_empty() && lines.keys().all(|at| (1..=count).contains(at)) => {
                Verdict::Refused(lines)
            }
            _ => self.stranger(),
        }
    }

    /// A server that stops says so of what it won't record. (`overloaded` it says also of what its log
    /// does not take in time, and may take later.)
    fn takes_no_more(&self) -> bool {
        self.error().is_some_and(|error| error.code == "draining")
    }

    fn not_now(&self) -> Verdict {
        Verdict::NotNow {
            why: self.refusal(),
            at_least: self.at_least(),
        }
    }

    fn unsure(&self) -> Verdict {
        Verdict::Unsure {
            why: self.refusal(),
            at_least: self.at_least(),
        }
    }

    /// When to come again.
    fn at_least(&self) -> Duration {
        let asked = self.headers.get(RETRY_AFTER);
        let seconds = asked.and_then(|value| value.to_str().ok()?.parse().ok());
        Duration::from_secs(seconds.unwrap_or(0)).min(LONGEST_ASKED)
    }

    fn refusal(&self) -> String {
        format!("refused: {}", self.words())
    }

    fn stranger(&self) -> Verdict {
        Verdict::ForGood(FeedError::Stranger(self.status.to_string()))
    }

    fn words(&self) -> String {
        let Some(ErrorBody { code, message }) = self.error() else {
            return self.status.to_string();
        };
        let remedy = match &*code {
            "missing_token" => "; give one with --token, --token-file or SIGNALCAST_TOKEN",
            _ => "",
        };
        let (code, message) = (printable(&code), printable(&message));
        format!("{message} ({code}, {}){remedy}", self.status.as_u16())
    }

    fn error(&self) -> Option<ErrorBody> {
        serde_json::from_slice(&self.text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: u16, text: &'static str) -> Verdict {
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: [(RETRY_AFTER, "5".parse().unwrap())].into_iter().collect(),
            text: Bytes::from_static(text.as_bytes()),
        };
        answer.verdict(2)
    }

    #[test]
    fn only_a_whole_acknowledgement_is_one() {
        let both = r#"{"accepted":[{"line":1,"seq":1,"id":"a","duplicate":false},{"line":2,"seq":2,"id":"b","duplicate":true}]}"#;
        let Verdict::Accepted(repeated) = verdict(201, both) else {
            panic!("it is whole");
        };
        let second = Repeated {
            place: 2,
            id: "b".to_owned(),
            seq: 2,
        };
        assert_eq!(repeated, [second]);
        for (status, text) in [
            (201, r#"{"accepted":[{"line":1}]}"#),
            (201, ""),
            (200, both),
            (204, ""),
            (301, ""),
            (404, "<html>"),
        ] {
            let said = verdict(status, text);
            let is_stranger = matches!(said, Verdict::ForGood(FeedError::Stranger(_)));
            assert!(is_stranger, "{status} {text}: {said:?}");
        }
    }

    #[test]
    fn what_is_refused_is_known_by_its_place() {
        let said = verdict(422, r#"{"refused":[{"line":2,"reason":"no"}]}"#);
        let Verdict::Refused(lines) = said else {
            panic!("{said:?}")
        };
        assert_eq!(lines, HashMap::from([(2, "no".to_owned())]));
        for text in [
            r#"{"refused":[]}"#,
            r#"{"refused":[{"line":3,"reason":"no"}]}"#,
            r#"{"refused":[{"line":0,"reason":"no"}]}"#,
            "{}",
        ] {
            let said = verdict(422, text);
            assert!(matches!(said, Verdict::ForGood(_)), "{text}: {said:?}");
        }
    }

    #[test]
    fn what_may_pass_is_tried_again_and_what_won_t_is_told() {
        let overloaded = r#"{"type":"error","code":"overloaded","message":"m"}"#;
        let draining = r#"{"type":"error","code":"draining","message":"m"}"#;
        for (status, text, may_be_there) in [
            (429, "<html>", false),
            (503, draining, false),
            (503, overloaded, true),
            (500, "<html>", true),
            (502, "<html>", true),
            (503, "<html>", true),
            (504, "<html>", true),
        ] {
            let (at_least, is_unsure) = match verdict(status, text) {
                Verdict::NotNow { at_least, .. } => (at_least, false),
                Verdict::Unsure { at_least, .. } => (at_least, true),
                said => panic!("{status} {text}: {said:?}"),
            };
            assert_eq!(at_least, Duration::from_secs(5));
            assert_eq!(is_unsure, may_be_there, "{status} {text}");
        }
        let body = r#"{"type":"error","code":"missing_token","message":"there is no token"}"#;
        let Verdict::ForGood(FeedError::Refused(words)) = verdict(401, body) else {
            panic!("401 is for good")
        };
        assert_eq!(
            words,
            "there is no token (missing_token, 401); give one with --token, --token-file or SIGNALCAST_TOKEN"
        );
        assert!(matches!(verdict(413, body), Verdict::TooMany));
        assert!(matches!(verdict(408, body), Verdict::TooSlow { .. }));
    }
}
