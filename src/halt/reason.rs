use std::fmt;

use serde::{Deserialize, Serialize};

/// Why somebody halts the server, for those who wait for signals: 1 to 200 characters, none of them
/// a control character.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reason(Box<str>);

/// A text that is no reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReason {
    /// There is nothing in it.
    #[error("reason is empty; write why, in up to {MOST_CHARACTERS} characters")]
    Empty,
    /// It is not meant for people who are in a hurry.
    #[error("reason is longer than {MOST_CHARACTERS} characters")]
    TooLong,
    /// It is not meant for people.
    #[error("reason holds a control character; write it in one line of plain text")]
    Control,
}

/// About two lines: what fits where people look.
const MOST_CHARACTERS: usize = 200;

impl Reason {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Reason {
    type Error = InvalidReason;

    fn try_from(text: String) -> Result<Self, InvalidReason> {
        if text.trim().is_empty() {
            return Err(InvalidReason::Empty);
        }
        if text.chars().count() > MOST_CHARACTERS {
            return Err(InvalidReason::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidReason::Control);
        }
        Ok(Self(text.into()))
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.0.into()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_a_line_for_people() {
        let longest = "💥".repeat(MOST_CHARACTERS);
        for (text, expected) in [
            ("the exchange is down", Ok(())),
            (longest.as_str(), Ok(())),
            (&format!("{longest}!"), Err(InvalidReason::TooLong)),
            ("", Err(InvalidReason::Empty)),
            (" \u{3000} ", Err(InvalidReason::Empty)),
            ("one\ntwo", Err(InvalidReason::Control)),
            ("\u{1b}[31m", Err(InvalidReason::Control)),
        ] {
            let read = Reason::try_from(text.to_owned()).map(|reason| {
                assert_eq!(reason.as_str(), text);
            });
            assert_eq!(read, expected, "{text:?}");
        }
    }
}
