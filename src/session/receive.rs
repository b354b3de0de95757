use std::rc::Rc;

use tokio_tungstenite::tungstenite::{Error as WebSocketError, Message};
use tracing::debug;

use super::close::Close;
use super::{Ended, Listen, Phase, Session};
use crate::shard::Received;

/// Whether a client has sent more than was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Drained,
    Waiting,
}

/// Answers that wait for a client that does not take them. Beyond this nothing more is read from
/// it, so that it cannot make us keep answers without bound.
const MOST_WAITING_ANSWERS: usize = 4 * 1024;

/// Bytes a session reads before others get their turn.
const TURN_BYTES: usize = 64 * 1024;

/// What a client sends, from the socket to its meaning.
impl Session {
    /// Whether what the client sends is read now.
    pub(super) fn reads(&self) -> bool {
        let waiting = self.client.outlet().borrow().waiting_control();
        let done = matches!(
            self.phase,
            Phase::Closed { .. }
                | Phase::Closing {
                    listen: Listen::No,
                    ..
                }
        );
        waiting < MOST_WAITING_ANSWERS && !done && !self.postpones()
    }

    /// Reads what has come, and handles it.
    pub(super) fn receive(&mut self) -> Result<Input, Ended> {
        if self.settle() {
            self.parse()?;
        }
        let mut bytes = 0;
        while self.reads() && bytes < TURN_BYTES {
            let client = Rc::clone(&self.client);
            let shard = Rc::clone(&self.shard);
            let mut scratch = shard.scratch().borrow_mut();
            let received = client
                .outlet()
                .borrow_mut()
                .read(client.socket(), &mut scratch.received);
            match received.map_err(Ended::Broken)? {
                Received::Nothing => return Ok(Input::Drained),
                Received::End => return Err(self.end_of_stream()),
                Received::Bytes(count) => {
                    bytes += count;
                    if !self.is_deaf() {
                        self.inlet.push(&scratch.received[..count]);
                    }
                    drop(scratch);
                    self.parse()?;
                }
            }
        }
        if !self.reads() {
            // It may have sent something that we did not look at.
            self.deadlines.heard();
        }
        Ok(Input::Waiting)
    }

    /// Handles the messages that have arrived.
    pub(super) fn parse(&mut self) -> Result<(), Ended> {
        if self.is_deaf() {
            return Ok(());
        }
        // What was sent behind a command that is postponed is looked at when that is answered.
        while !self.postpones() {
            let message = self.inlet.message();
            self.inlet
                .take_answers(self.client.outlet().borrow_mut().control());
            match message {
                Ok(Some(message)) => self.handle(message),
                Ok(None) => {
                    if self.inlet.take_frame_ended() {
                        self.deadlines.heard();
                    }
                    return Ok(());
                }
                Err(WebSocketError::ConnectionClosed | WebSocketError::AlreadyClosed) => {
                    self.listen(Listen::No);
                    return Ok(());
                }
                Err(error) => {
                    debug!(%error, "message refused");
                    // Whoever was told already why it ends is not told again.
                    if matches!(self.phase, Phase::Open) {
                        self.close(Close::from(&error));
                    }
                    self.listen(Listen::ForEnd);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn handle(&mut self, message: Message) {
        match (self.phase, message) {
            (Phase::Open, Message::Text(text)) => self.hear(text.as_str()),
            (Phase::Open, Message::Binary(_)) => self.close(Close::Binary),
            (Phase::Open, Message::Close(frame)) => {
                self.leave();
                let code = frame.map(|frame| frame.code.into());
                self.phase = Phase::Closed { code };
                self.deadlines.closing();
            }
            _ => {}
        }
    }
}
