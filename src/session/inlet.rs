use std::io::{self, ErrorKind, Read, Write};

use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};

use super::close::Close;

/// What one client sends: bytes in, messages out.
///
/// tungstenite parses, over a pipe in memory. What it wants to answer (pongs, the echo of a
/// close) is taken out of the pipe and never written by it, for only the outlet writes.
#[derive(Debug)]
pub(super) struct Inlet {
    websocket: WebSocket<Pipe>,
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
        Self { websocket }
    }

    /// Takes what arrived. Then [`Self::message`] must be asked until it has no more.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.websocket.get_mut().input.extend_from_slice(bytes);
    }

    /// The next whole message of what arrived.
    ///
    /// # Errors
    /// What the peer sent breaks the rules, or the closing handshake is complete
    /// ([`Error::ConnectionClosed`]).
    pub(super) fn message(&mut self) -> Result<Option<Message>, Error> {
        match self.websocket.read() {
            Ok(message) => Ok(Some(message)),
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Begins the closing handshake.
    pub(super) fn close(&mut self, close: Close) {
        let (code, reason) = close.frame();
        // The pipe takes everything; the one error is that the handshake is complete already.
        self.websocket
            .close(Some(CloseFrame {
                code,
                reason: reason.into(),
            }))
            .ok();
    }

    /// Moves the answers that parsing brought about to where they are sent from.
    pub(super) fn take_answers(&mut self, to: &mut Vec<u8>) {
        to.append(&mut self.websocket.get_mut().output);
    }
}

/// The parser's stream: what arrived, and what it wants to answer.
#[derive(Debug, Default)]
struct Pipe {
    input: Vec<u8>,
    read: usize,
    output: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = (&self.input[self.read..]).read(buffer)?;
        self.read += count;
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
