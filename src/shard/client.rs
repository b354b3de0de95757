use std::cell::{Cell, RefCell};
use std::io;
use std::net::Shutdown;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::outlet::{Offered, Outlet};
use super::run::Run;
use crate::signal::Seq;

/// What a pass needs of one client, shared with the client's own session on the same thread.
#[derive(Debug)]
pub struct Client {
    socket: TcpStream,
    outlet: RefCell<Outlet>,
    /// The cursor: the place of the next signal it has not been sent.
    next: Cell<Seq>,
    /// Where it stands among its group's caught-up members.
    pub(super) place: Cell<Option<usize>>,
    /// What went wrong when a pass wrote to it.
    fault: RefCell<Option<io::Error>>,
    /// Wakes the session: a pass found the socket full or broken.
    news: Notify,
}

impl Client {
    /// A client that is to be sent everything from `next` on.
    pub fn new(socket: TcpStream, outlet: Outlet, next: Seq) -> Self {
        Self {
            socket,
            outlet: RefCell::new(outlet),
            next: Cell::new(next),
            place: Cell::new(None),
            fault: RefCell::new(None),
            news: Notify::new(),
        }
    }

    /// Its connection.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// The only way to write to it. Never held across an await.
    pub fn outlet(&self) -> &RefCell<Outlet> {
        &self.outlet
    }

    /// Its cursor.
    pub fn next(&self) -> Seq {
        self.next.get()
    }

    /// Writes a run that begins at its cursor, and moves the cursor on. False when the socket did
    /// not take all of it.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn offer(&self, run: &Run) -> io::Result<bool> {
        debug_assert_eq!(run.from(), self.next.get());
        match self.outlet.borrow_mut().offer(&self.socket, run)? {
            Offered::Taken => self.next.set(run.next()),
            Offered::Blocked(next) => {
                self.next.set(next);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Ends our side of the connection: all that is to be said was said. The peer may still speak.
    pub fn hang_up(&self) {
        self.outlet.borrow_mut().farewell(&self.socket);
        // One that is broken has ended already.
        SockRef::from(&self.socket).shutdown(Shutdown::Write).ok();
    }

    /// Ends when a pass has found that the session must look after its client itself.
    ///
    /// # Cancel safety
    /// Cancel safe: news that nobody waited for is kept.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// What a pass ran into, once.
    pub fn take_fault(&self) -> Option<io::Error> {
        self.fault.take()
    }

    /// Hands the client over to its session.
    pub(super) fn hand_over(&self, fault: Option<io::Error>) {
        self.fault.replace(fault);
        self.news.notify_one();
    }
}
