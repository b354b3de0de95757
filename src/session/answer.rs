use std::borrow::Cow;

use serde::Serialize;

use super::{Held, LogRange};
use crate::hub::frame;
use crate::journal::Epoch;

/// What a client is told that has sent a command.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Answer<'a> {
    Pong {
        timestamp: String,
    },
    Subscribed {
        /// As it was asked.
        symbols: &'a [String],
        tests: bool,
    },
    Resumed {
        from_seq: u64,
        to_seq: u64,
    },
    Authenticated {
        expires_at: String,
    },
    Error(&'a Problem),
}

/// Why a command is not followed.
#[derive(Debug, Serialize)]
pub(super) struct Problem {
    code: &'static str,
    message: Cow<'static, str>,
    #[serde(flatten)]
    held: Option<Held>,
}

/// What a client calls a command of its own by: up to 128 characters.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RequestId(String);

impl RequestId {
    const MOST_CHARACTERS: usize = 128;

    /// `None`: it is too long.
    pub(super) fn new(text: String) -> Option<Self> {
        let fits = text.chars().nth(Self::MOST_CHARACTERS).is_none();
        fits.then_some(Self(text))
    }
}

impl Problem {
    pub(super) fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            held: None,
        }
    }

    pub(super) fn bad_command(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("bad_command", message)
    }

    pub(super) fn unknown_command(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("unknown_command", message)
    }

    /// What was asked for is not in the log of this epoch, which holds this.
    pub(super) fn history_gone(message: &'static str, epoch: Epoch, log: LogRange) -> Self {
        Self {
            held: Some(Held::new(epoch, log)),
            ..Self::new("history_gone", message)
        }
    }
}

impl Answer<'_> {
    /// Appends it as a frame.
    pub(super) fn write(&self, id: Option<&RequestId>, out: &mut Vec<u8>) {
        write_object(id, out, |out| {
            serde_json::to_writer(out, self).expect(MEMORY);
        });
    }
}

/// Appends a frame with the object that `write` appends, and with this as its last key.
pub(super) fn write_object(
    id: Option<&RequestId>,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>),
) {
    frame::write_text(out, |out| {
        write(out);
        if let Some(id) = id {
            // Without its last brace: more follows.
            out.pop();
            out.extend_from_slice(br#","request_id":"#);
            serde_json::to_writer(&mut *out, id).expect(MEMORY);
            out.push(b'}');
        }
    });
}

const MEMORY: &str = "texts and numbers serialize into memory";
