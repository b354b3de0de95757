use std::io::{self, ErrorKind, Read, Write};

use rustls::ServerConnection;

use super::run::Run;
use super::socket::Socket;

/// All that is written on one connection, and what is read from it, with TLS or without.
///
/// It is the only writer, so that a control frame never lands inside another frame: control
/// frames wait here for a frame boundary. Knows no HTTP, no JSON, no sessions.
#[derive(Debug)]
pub struct Outlet {
    tls: Option<Box<ServerConnection>>,
    /// What is missing of the frame that was begun: a copy, so that a client that is stuck costs
    /// one frame and not a segment.
    begun: Vec<u8>,
    /// Frames for this client alone, in order: pongs, pings, answers, the close frame.
    control: Vec<u8>,
    /// Bytes the socket has taken, for whoever watches that it takes any.
    accepted: u64,
}

/// What became of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// The client has all of it.
    Taken,
    /// The socket is full; the client goes on from this place.
    Blocked(crate::signal::Seq),
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// So many bytes.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// The peer will send no more.
    End,
}

/// Plaintext given to TLS at once: one record's worth.
const TLS_RECORD: usize = 16 * 1024;

/// Buffers larger than this are given back once they are empty.
const KEPT_CAPACITY: usize = 256;

impl Outlet {
    /// The outlet of a connection after its upgrade; `tls` as the handshake left it.
    pub fn new(tls: Option<ServerConnection>) -> Self {
        Self {
            tls: tls.map(Box::new),
            begun: Vec::new(),
            control: Vec::new(),
            accepted: 0,
        }
    }

    /// Where frames for this client alone are put, each whole, to be sent at the next boundary.
    pub fn control(&mut self) -> &mut Vec<u8> {
        &mut self.control
    }

    /// How many bytes of control frames wait.
    pub fn waiting_control(&self) -> usize {
        self.control.len()
    }

    /// Whether the socket has taken all that was begun and all control frames.
    pub fn is_clear(&self) -> bool {
        let stuck = self.tls.as_ref().is_some_and(|tls| tls.wants_write());
        self.begun.is_empty() && self.control.is_empty() && !stuck
    }

    /// How many bytes the socket has taken so far.
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Writes what is left over: the rest of a frame, then control frames. True when nothing is
    /// left.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn flush(&mut self, socket: &impl Socket) -> io::Result<bool> {
        let clear = self.flush_tls(socket)?
            && self.flush_buffer(socket, |outlet| &mut outlet.begun)?
            && self.flush_buffer(socket, |outlet| &mut outlet.control)?;
        Ok(clear)
    }

    /// Writes a run of frames, as far as the socket takes them.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn offer(&mut self, socket: &impl Socket, run: &Run) -> io::Result<Offered> {
        // Mostly nothing is left over, and to see that is less than to write nothing.
        let clear = self.is_clear() || self.flush(socket)?;
        if run.bytes().is_empty() {
            return Ok(if clear {
                Offered::Taken
            } else {
                Offered::Blocked(run.next())
            });
        }
        if !clear {
            return Ok(Offered::Blocked(run.from()));
        }
        let written = self.write(socket, run.bytes())?;
        let cut = run.cut(written);
        self.begun.extend_from_slice(cut.rest);
        let stuck = self.tls.as_ref().is_some_and(|tls| tls.wants_write());
        let taken = written == run.bytes().len() && !stuck;
        Ok(if taken {
            Offered::Taken
        } else {
            Offered::Blocked(cut.next)
        })
    }

    /// Reads what the peer sent, decrypted, into `buffer`.
    ///
    /// # Errors
    /// The connection is broken, or what came is not TLS.
    pub fn read(&mut self, socket: &impl Socket, buffer: &mut [u8]) -> io::Result<Received> {
        let Some(tls) = &mut self.tls else {
            return received(socket.try_read(buffer));
        };
        loop {
            // What the handshake already decrypted comes first.
            let decrypted = received(tls.reader().read(buffer))?;
            if decrypted != Received::Nothing {
                return Ok(decrypted);
            }
            match received(tls.read_tls(&mut Wire {
                socket,
                accepted: &mut 0,
            }))? {
                Received::Bytes(_) => {}
                other => return Ok(other),
            }
            tls.process_new_packets()
                .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        }
    }

    /// Says goodbye on the TLS layer, if there is one, as far as the socket takes it.
    pub fn farewell(&mut self, socket: &impl Socket) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            // The connection ends here either way.
            self.flush_tls(socket).ok();
        }
    }

    fn flush_buffer(
        &mut self,
        socket: &impl Socket,
        buffer: fn(&mut Self) -> &mut Vec<u8>,
    ) -> io::Result<bool> {
        let mut bytes = std::mem::take(buffer(self));
        if bytes.is_empty() {
            *buffer(self) = bytes;
            return Ok(true);
        }
        let written = self.write(socket, &bytes)?;
        bytes.drain(..written);
        if bytes.is_empty() && bytes.capacity() > KEPT_CAPACITY {
            bytes = Vec::new();
        }
        let done = bytes.is_empty();
        *buffer(self) = bytes;
        Ok(done && self.flush_tls(socket)?)
    }

    /// How many of the bytes were taken: by the socket, or by TLS, which then holds at most one
    /// record that the socket did not take.
    fn write(&mut self, socket: &impl Socket, bytes: &[u8]) -> io::Result<usize> {
        if self.tls.is_none() {
            let written = taken(socket.try_write(bytes))?;
            self.accepted += written as u64;
            return Ok(written);
        }
        let mut written = 0;
        for record in bytes.chunks(TLS_RECORD) {
            let Some(tls) = &mut self.tls else { break };
            written += tls.writer().write(record)?;
            if !self.flush_tls(socket)? {
                break;
            }
        }
        Ok(written)
    }

    /// True when TLS has nothing left to write.
    fn flush_tls(&mut self, socket: &impl Socket) -> io::Result<bool> {
        let Some(tls) = &mut self.tls else {
            return Ok(true);
        };
        while tls.wants_write() {
            if taken(tls.write_tls(&mut Wire {
                socket,
                accepted: &mut self.accepted,
            }))? == 0
            {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The socket as rustls wants it.
struct Wire<'a, S> {
    socket: &'a S,
    accepted: &'a mut u64,
}

impl<S: Socket> Read for Wire<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.try_read(buffer)
    }
}

impl<S: Socket> Write for Wire<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.socket.try_write(bytes)?;
        *self.accepted += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A write's outcome, with a full socket as 0.
fn taken(outcome: io::Result<usize>) -> io::Result<usize> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        Ok(0) => Err(ErrorKind::WriteZero.into()),
        other => other,
    }
}

fn received(outcome: io::Result<usize>) -> io::Result<Received> {
    match outcome {
        Ok(0) => Ok(Received::End),
        Ok(count) => Ok(Received::Bytes(count)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Received::Nothing),
        // A peer that hangs up without TLS's goodbye has ended all the same.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(Received::End),
        Err(error) => Err(error),
    }
}
