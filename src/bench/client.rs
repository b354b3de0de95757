use std::io;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use socket2::Socket;

use super::ended::Ended;
use super::frames::{self, Kind, Malformed};
use super::moment::Moment;
use super::target::Target;
use super::tls::Tls;
use super::upgrade;
use super::wanted::Wanted;

/// One connection. It keeps only what did not come as a whole: reading is done in buffers that all
/// of a crowd share.
pub(super) struct Client {
    pub(super) socket: Socket,
    pub(super) wanted: Wanted,
    state: State,
    tls: Option<Box<Tls>>,
    /// What was read and is a part: of a TLS record, or without TLS of a frame.
    rest: Vec<u8>,
    /// With TLS, the part of a frame.
    plain_rest: Vec<u8>,
    /// The frames before of a message that goes on.
    message: Option<Vec<u8>>,
    /// What the socket has not taken yet.
    out: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    Securing,
    Upgrading,
    Open,
    /// We have said goodbye.
    Leaving,
}

/// What clients read into, one at a time.
#[derive(Debug)]
pub(super) struct Buffers {
    read: Vec<u8>,
    plain: Vec<u8>,
    /// Reads so far.
    pub(super) reads: u64,
    /// Bytes read so far.
    pub(super) bytes: u64,
}

/// Bytes for one read: what a socket may hold for a client that was not looked at for a while.
const ROOM: usize = 256 * 1024;

impl Default for Buffers {
    fn default() -> Self {
        Self {
            read: vec![0; 2 * ROOM],
            plain: Vec::with_capacity(2 * ROOM),
            reads: 0,
            bytes: 0,
        }
    }
}

impl Client {
    /// On a socket that is being connected.
    pub(super) fn new(socket: Socket, wanted: Wanted) -> Self {
        Self {
            socket,
            wanted,
            state: State::Connecting,
            tls: None,
            rest: Vec::new(),
            plain_rest: Vec::new(),
            message: None,
            out: Vec::new(),
        }
    }

    /// Whether it is a WebSocket.
    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether the socket is to say when it takes more.
    pub(super) fn wants_to_write(&self) -> bool {
        self.state == State::Connecting || !self.out.is_empty()
    }

    /// The socket takes something, or its connection has come about or to nothing.
    pub(super) fn writable(&mut self, target: &Target) -> Result<(), Ended> {
        if self.state == State::Connecting {
            if let Some(error) = self.socket.take_error()? {
                return Err(error.into());
            }
            match &target.tls {
                None => self.request_upgrade(target)?,
                Some((config, name)) => {
                    self.state = State::Securing;
                    let mut tls = Tls::new(config, name)?;
                    tls.read(&mut [], &mut Vec::new(), &mut self.out)?;
                    self.tls = Some(Box::new(tls));
                }
            }
        }
        self.flush()
    }

    /// Reads what is there; each message, with the time of its read, goes to `each`.
    pub(super) fn read(
        &mut self,
        target: &Target,
        buffers: &mut Buffers,
        each: &mut impl FnMut(&[u8], Moment),
    ) -> Result<(), Ended> {
        let Buffers {
            read,
            plain,
            reads,
            bytes,
        } = buffers;
        loop {
            let start = self.rest.len();
            if read.len() < start + ROOM {
                read.resize(start + 2 * ROOM, 0);
            }
            read[..start].copy_from_slice(&self.rest);
            let count = match recv(&self.socket, &mut read[start..], RecvFlags::empty()) {
                Ok((0, _)) => return Err(Ended::Cut),
                Ok((count, _)) => count,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(io::Error::from(error).into()),
            };
            let now = Moment::now();
            *reads += 1;
            *bytes += count as u64;
            let end = start + count;
            let mut at_that_time = |text: &[u8]| each(text, now);
            self.take(&mut read[..end], plain, target, &mut at_that_time)?;
            if end < read.len() {
                break;
            }
        }
        self.flush()
    }

    /// Says goodbye. The server's answer ends the connection.
    pub(super) fn leave(&mut self) -> Result<(), Ended> {
        if self.state == State::Open {
            self.state = State::Leaving;
            self.queue(&frames::close(NORMAL))?;
        }
        self.flush()
    }

    fn take(
        &mut self,
        bytes: &mut [u8],
        plain: &mut Vec<u8>,
        target: &Target,
        each: &mut impl FnMut(&[u8]),
    ) -> Result<(), Ended> {
        let Some(mut tls) = self.tls.take() else {
            let used = self.parse(bytes, target, each)?;
            keep(&mut self.rest, &bytes[used..]);
            return Ok(());
        };
        plain.clear();
        plain.append(&mut self.plain_rest);
        let progress = tls.read(bytes, plain, &mut self.out)?;
        self.tls = Some(tls);
        keep(&mut self.rest, &bytes[progress.used..]);
        if self.state == State::Securing && progress.is_ready {
            self.request_upgrade(target)?;
        }
        let used = self.parse(plain, target, each)?;
        keep(&mut self.plain_rest, &plain[used..]);
        if progress.is_over {
            return Err(Ended::Cut);
        }
        Ok(())
    }

    /// Takes out what is there as a whole; returns where the rest begins.
    fn parse(
        &mut self,
        bytes: &[u8],
        target: &Target,
        each: &mut impl FnMut(&[u8]),
    ) -> Result<usize, Ended> {
        let mut used = 0;
        if self.state == State::Upgrading {
            let Some(end) = upgrade::answer(bytes)? else {
                return Ok(0);
            };
            used = end;
            self.state = State::Open;
            if let Some(hello) = &target.hello {
                self.queue(hello)?;
            }
        }
        if !matches!(self.state, State::Open | State::Leaving) {
            return Ok(used);
        }
        while let Some(frame) = frames::next(&bytes[used..])? {
            used += frame.length;
            match frame.kind {
                Kind::Data if self.message.is_some() => return Err(Malformed::NotEnded.into()),
                Kind::Data if frame.is_last => each(frame.payload),
                Kind::Data => self.message = Some(frame.payload.to_vec()),
                Kind::Continuation => {
                    let mut message = self.message.take().ok_or(Malformed::NotBegun)?;
                    let length = (message.len() + frame.payload.len()) as u64;
                    if length > frames::LONGEST {
                        return Err(Malformed::Long(length).into());
                    }
                    message.extend_from_slice(frame.payload);
                    if frame.is_last {
                        each(&message);
                    } else {
                        self.message = Some(message);
                    }
                }
                Kind::Ping => self.queue(&frames::pong(frame.payload))?,
                Kind::Pong => {}
                Kind::Close => {
                    return Err(match frame.payload.first_chunk() {
                        Some(code) => Ended::Closed(u16::from_be_bytes(*code)),
                        None => Ended::ClosedWithoutCode,
                    });
                }
            }
        }
        Ok(used)
    }

    fn request_upgrade(&mut self, target: &Target) -> Result<(), Ended> {
        self.state = State::Upgrading;
        self.queue(target.request(self.wanted))
    }

    fn queue(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        match &mut self.tls {
            None => self.out.extend_from_slice(bytes),
            Some(tls) => tls.write(bytes, &mut self.out)?,
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Ended> {
        while !self.out.is_empty() {
            match send(&self.socket, &self.out, SendFlags::NOSIGNAL) {
                Ok(count) => drop(self.out.drain(..count)),
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
        self.out = Vec::new();
        Ok(())
    }
}

/// Without holding on to memory when there is nothing to keep.
fn keep(rest: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.is_empty() {
        *rest = Vec::new();
    } else {
        rest.clear();
        rest.extend_from_slice(bytes);
    }
}

const NORMAL: u16 = 1000;
