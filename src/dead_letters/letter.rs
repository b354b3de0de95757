use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde::Serialize;

use crate::source::{Position, SourceName};

/// A line that could not be read.
#[derive(Clone, Copy, Debug)]
pub struct DeadLetter<'a> {
    /// When it was refused.
    pub time: Timestamp,
    /// Where it comes from.
    pub source: &'a SourceName,
    /// Where it stood.
    pub position: &'a Position,
    /// What is wrong, and what to write instead.
    pub reason: &'a str,
    /// The line without its end.
    pub line: DeadLine<'a>,
}

/// As much of a line as there is.
#[derive(Clone, Copy, Debug)]
pub enum DeadLine<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// The beginning of one that is too long to be kept.
    Cut {
        /// Its beginning.
        head: &'a [u8],
        /// Its bytes.
        length: u64,
        /// SHA-256 of all of it.
        sha256: &'a [u8; 32],
    },
}

impl DeadLetter<'_> {
    /// Where it stood, as the log shows it: `signals/live.jsonl:17`, `stdin:17`.
    pub(super) fn place(&self) -> String {
        match self.position.file {
            Some(_) => self.position.to_string(),
            None => format!("{}:{}", self.source, self.position.line),
        }
    }

    /// The letter as a line of the file.
    pub(super) fn to_json_line(self) -> Vec<u8> {
        let (bytes, cut) = match self.line {
            DeadLine::Whole(line) => (line, None),
            DeadLine::Cut {
                head,
                length,
                sha256,
            } => (head, Some((length, hex(sha256)))),
        };
        let text = text(bytes, cut.is_some());
        let record = Record {
            time: format!("{:.6}", self.time),
            source: self.source.as_str(),
            position: Place {
                file: self.position.file.as_deref().map(Path::to_string_lossy),
                line: self.position.line,
                offset: self.position.offset,
            },
            reason: self.reason,
            line: text,
            line_base64: text.is_none().then(|| BASE64.encode(bytes)),
            length: cut.as_ref().map(|(length, _)| *length),
            sha256: cut.as_ref().map(|(_, sha256)| sha256.as_str()),
        };
        let mut line = serde_json::to_vec(&record).expect("strings and numbers can be written");
        line.push(b'\n');
        line
    }
}

/// The text of a line, if it is text. The cut of a long one may fall into a character: then that
/// character is left out.
fn text(bytes: &[u8], is_cut: bool) -> Option<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(why) if is_cut && why.error_len().is_none() => {
            std::str::from_utf8(&bytes[..why.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One line of the file, in the order in which it is written.
#[derive(Serialize)]
struct Record<'a> {
    time: String,
    source: &'a str,
    position: Place<'a>,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<&'a str>,
}

#[derive(Serialize)]
struct Place<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<std::borrow::Cow<'a, str>>,
    line: u64,
    offset: u64,
}
