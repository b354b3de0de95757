use uuid::Uuid;

use crate::clock;
use crate::signal::{Id, InvalidSignal, Signal, TimeUnit};
use crate::source::MAX_LINE_BYTES;

/// A signal as it is sent, with its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Where it stood in standard input; the first line is 1.
    pub(super) number: u64,
    /// JSON and a newline.
    pub(super) text: Vec<u8>,
}

/// Why a line is not sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    /// It is no signal.
    #[error(transparent)]
    Invalid(#[from] InvalidSignal),
    /// The server would refuse it.
    #[error(
        "with what is added (an id, a timestamp, is_test, where they are missing) the line is {length} \
         bytes long, at most {MAX_LINE_BYTES} are allowed"
    )]
    TooLong {
        /// Without its end.
        length: usize,
    },
}

impl Line {
    /// The signal in this line; none in an empty one and a comment. Without an id it gets one, and
    /// without a timestamp the time that is now.
    ///
    /// # Errors
    /// It is no signal, or too long with what it gets.
    pub(super) fn read(number: u64, line: &[u8]) -> Result<Option<Self>, Unfit> {
        let signal = Signal::parse_line(line, TimeUnit::Seconds, clock::now())?;
        let Some(signal) = signal else {
            return Ok(None);
        };
        let given = signal.id().copied();
        let id = given.unwrap_or_else(|| Id::from(Uuid::now_v7()));
        let mut text = Vec::with_capacity(line.len() + MORE);
        signal.write_line(&id, &mut text);
        let length = text.len();
        if length > MAX_LINE_BYTES {
            return Err(Unfit::TooLong { length });
        }
        text.push(b'\n');
        Ok(Some(Self { number, text }))
    }
}

/// Bytes that a line grows by, about: of words it becomes JSON, and gets an id.
const MORE: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(line: &str) -> String {
        let line = Line::read(1, line.as_bytes()).unwrap().unwrap();
        String::from_utf8(line.text).unwrap()
    }

    #[test]
    fn what_a_line_says_is_sent_and_an_id_with_it() {
        let given = r#"{"id":"a-1","valid_for":60,"side":"long","symbol":"X","price":"1.50","timestamp":7,"is_test":true,"q":[1.0]}"#;
        let expected = r#"{"type":"buy","id":"a-1","content":{"symbol":"X","price":1.50,"timestamp":7,"q":[1.0]},"is_test":true,"valid_for":60}"#;
        assert_eq!(sent(given), format!("{expected}\n"));
        // What is sent again is the same.
        assert_eq!(sent(expected), format!("{expected}\n"));
        // So is what another server has printed, as far as a line says it.
        let frame = r#"{"type":"buy","seq":9,"id":"a-1","content":{"symbol":"X","price":1.50,"timestamp":7},"is_test":false,"source":"stdin","received_at":"2026-11-20T10:00:00.123456Z","stale":true}"#;
        let expected = r#"{"type":"buy","id":"a-1","content":{"symbol":"X","price":1.50,"timestamp":7},"is_test":false,"stale":true}"#;
        assert_eq!(sent(frame), format!("{expected}\n"));

        let made: serde_json::Value = serde_json::from_str(&sent("sell X 2 7")).unwrap();
        let id = Uuid::parse_str(made["id"].as_str().unwrap()).unwrap();
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(made["content"]["timestamp"], 7);
        assert_ne!(sent("sell X 2 7"), sent("sell X 2 7"), "two signals");
    }

    #[test]
    fn what_is_no_signal_is_not_sent() {
        assert_eq!(Line::read(1, b"# a note").unwrap(), None);
        assert_eq!(Line::read(1, b"  \r").unwrap(), None);
        assert!(Line::read(1, b"hold X 1").is_err());
    }

    #[test]
    fn a_line_that_would_be_too_long_with_what_it_gets_is_not_sent() {
        let of = |given: &str, note: usize| {
            let note = "x".repeat(note);
            format!(
                r#"{{"type":"buy",{given}"content":{{"symbol":"X","price":1,"timestamp":7,"note":"{note}"}},"is_test":false}}"#
            )
        };
        let room = MAX_LINE_BYTES - of(r#""id":"a","#, 0).len();
        let whole = of(r#""id":"a","#, room);
        assert_eq!(sent(&whole), format!("{whole}\n"));
        // It is short enough itself.
        let line = of("", room);
        assert!(line.len() < MAX_LINE_BYTES);
        let why = Line::read(1, line.as_bytes()).unwrap_err();
        assert_eq!(
            why.to_string(),
            "with what is added (an id, a timestamp, is_test, where they are missing) the line is 65571 \
             bytes long, at most 65536 are allowed"
        );
    }
}
