use std::io;

use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use tokio::net::TcpStream;

/// A non-blocking byte stream. In production a `TcpStream`; in tests one that takes a few bytes
/// at a time.
pub trait Socket {
    /// Reads what is there. `WouldBlock` when nothing is; 0 at the end.
    ///
    /// # Errors
    /// As read(2).
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes as much as is taken. `WouldBlock` when nothing is.
    ///
    /// # Errors
    /// As write(2).
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
}

impl Socket for TcpStream {
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Self::try_read(self, buffer)
    }

    /// Tokio keeps what it knows of a socket in memory that a pass would have to fetch for each
    /// client, about a twentieth of a write. So it is asked only when the socket is full, which it
    /// must know to wait for room.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match send(self, bytes, SendFlags::NOSIGNAL) {
            Err(Errno::AGAIN) => Self::try_write(self, bytes),
            sent => Ok(sent?),
        }
    }
}
