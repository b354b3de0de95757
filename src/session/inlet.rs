use std::io::{self, ErrorKind, Read, Write};
use std::mem;

use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};

use super::boundary::Boundary;
use super::close::Close;

/// What one client sends: bytes in, messages out. From the reader of an event stream nothing is
/// expected, and whatever it sends is no message.
///
/// tungstenite parses, over a pipe in memory. What it wants to answer (pongs, the echo of a
/// close) is taken out of the pipe and never written by it, for only the outlet writes.
#[derive(Debug)]
pub(super) struct Inlet {
    websocket: Option<WebSocket<Pipe>>,
}

/// What the parser reads at once. It keeps a buffer of this size for each client and fills it
/// with zeros before each read, so small is fast here.
const READ_BUFFER: usize = 128;

/// Buffers larger than this are given back once they are empty.
const KEPT_CAPACITY: usize = 256;

impl Inlet {
    /// An inlet that accepts messages up to this size.
    pub(super) fn new(most_message_bytes: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(most_message_bytes))
            .max_frame_size(Some(most_message_bytes));
        let websocket = WebSocket::from_raw_socket(Pipe::default(), Role::Server, Some(config));
        Self {
            websocket: Some(websocket),
        }
    }

    /// An inlet that throws everything away.
    pub(super) fn deaf() -> Self {
        Self { websocket: None }
    }

    /// Takes what arrived. Then [`Self::message`] must be asked until it has no more.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if let Some(websocket) = &mut self.websocket {
            websocket.get_mut().input.extend_from_slice(bytes);
        }
    }

    /// The next whole message of what arrived.
    ///
    /// # Errors
    /// What the peer sent breaks the rules, or the closing handshake is complete
    /// ([`Error::ConnectionClosed`]).
    pub(super) fn message(&mut self) -> Result<Option<Message>, Error> {
        let Some(websocket) = &mut self.websocket else {
            return Ok(None);
        };
        match websocket.read() {
            Ok(message) => Ok(Some(message)),
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                give_back(websocket);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether a frame has ended since this was last asked, be it a fragment.
    pub(super) fn take_frame_ended(&mut self) -> bool {
        let websocket = self.websocket.as_mut();
        websocket.is_some_and(|websocket| websocket.get_mut().frames.take_ended())
    }

    /// Accepts messages up to this size from now on.
    pub(super) fn take_up_to(&mut self, most_message_bytes: usize) {
        if let Some(websocket) = &mut self.websocket {
            websocket.set_config(|config| {
                config.max_message_size = Some(most_message_bytes);
                config.max_frame_size = Some(most_message_bytes);
            });
        }
    }

    /// Begins the closing handshake, if there is one.
    pub(super) fn close(&mut self, close: Close) {
        let (code, reason) = close.frame();
        self.say_goodbye(code, reason);
    }

    /// The same in other words, of at most 123 bytes.
    pub(super) fn say_goodbye(&mut self, code: CloseCode, reason: &str) {
        let Some(websocket) = &mut self.websocket else {
            return;
        };
        // The pipe takes everything; the one error is that the handshake is complete already.
        websocket
            .close(Some(CloseFrame {
                code,
                reason: reason.into(),
            }))
            .ok();
    }

    /// Moves the answers that parsing brought about to where they are sent from.
    pub(super) fn take_answers(&mut self, to: &mut Vec<u8>) {
        if let Some(websocket) = &mut self.websocket {
            to.append(&mut websocket.get_mut().output);
        }
    }
}

/// Lets go of the buffer that a long frame has left: the parser would keep it as long as the
/// client is there. It has read all there is, so between two messages it holds nothing else.
fn give_back(websocket: &mut WebSocket<Pipe>) {
    let frames = &websocket.get_ref().frames;
    let kept = frames.longest() <= KEPT_CAPACITY as u64 || !frames.is_between_messages();
    // A closing handshake that has begun is remembered by the parser, too.
    if kept || !websocket.can_write() {
        return;
    }
    let config = *websocket.get_config();
    let mut pipe = mem::take(websocket.get_mut());
    pipe.frames.forget_longest();
    *websocket = WebSocket::from_raw_socket(pipe, Role::Server, Some(config));
}

/// The parser's stream: what arrived, and what it wants to answer.
#[derive(Debug, Default)]
struct Pipe {
    input: Vec<u8>,
    read: usize,
    /// Follows what was read.
    frames: Boundary,
    output: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = (&self.input[self.read..]).read(buffer)?;
        self.read += count;
        self.frames.follow(&buffer[..count]);
        if count > 0 {
            return Ok(count);
        }
        self.input.clear();
        self.input.shrink_to(KEPT_CAPACITY);
        self.read = 0;
        Err(ErrorKind::WouldBlock.into())
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::testing::frame;

    fn messages(inlet: &mut Inlet) -> Vec<Message> {
        std::iter::from_fn(|| inlet.message().unwrap()).collect()
    }

    #[test]
    fn a_long_message_leaves_no_buffer_behind_and_nothing_is_lost() {
        const TEXT: u8 = 0x81;
        let long = "x".repeat(60_000);
        let (head, tail) = long.as_bytes().split_at(30_000);
        let stream = [
            frame(TEXT, long.as_bytes()),
            frame(TEXT, b"short"),
            frame(0x01, head),
            frame(0x89, b"ping"),
            frame(0x80, tail),
            frame(TEXT, b"end"),
        ]
        .concat();
        for step in [1, 13, 1000, 60_003, 65_000, stream.len()] {
            let mut inlet = Inlet::new(65_536);
            let mut received = Vec::new();
            for part in stream.chunks(step) {
                inlet.push(part);
                received.extend(messages(&mut inlet));
                let frames = &inlet.websocket.as_ref().unwrap().get_ref().frames;
                assert!(
                    !frames.is_between_messages() || frames.longest() <= 256,
                    "kept"
                );
            }
            let expected = [
                Message::text(long.as_str()),
                Message::text("short"),
                Message::Ping("ping".into()),
                Message::text(long.as_str()),
                Message::text("end"),
            ];
            assert!(received == expected, "in steps of {step}");
            let mut answers = Vec::new();
            inlet.take_answers(&mut answers);
            assert_eq!(answers, b"\x8a\x04ping");
        }
    }

    #[test]
    fn a_closing_handshake_survives_a_long_message() {
        let mut inlet = Inlet::new(65_536);
        inlet.close(Close::Expired);
        inlet.push(&frame(0x81, &[b'x'; 60_000]));
        messages(&mut inlet);
        inlet.push(&frame(0x88, &1008_u16.to_be_bytes()));
        assert!(matches!(inlet.message(), Ok(Some(Message::Close(_)))));
        assert!(matches!(inlet.message(), Err(Error::ConnectionClosed)));
        let mut answers = Vec::new();
        inlet.take_answers(&mut answers);
        assert_eq!(answers.iter().filter(|&&byte| byte == 0x88).count(), 1);
    }
}
