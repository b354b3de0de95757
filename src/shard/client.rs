use std::cell::{Cell, RefCell};
use std::io;
use std::net::Shutdown;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::outlet::{Offered, Outlet};
use super::run::Run;
use crate::signal::Seq;

/// What a pass needs of one client, shared with the client's own session on the same thread.
#[derive(Debug)]
pub struct Client {
    socket: TcpStream,
    outlet: RefCell<Outlet>,
    /// The seq of the next signal it has not been sent.
    cursor: Cell<Seq>,
    /// When it was last sent a message.
    spoke: Cell<Instant>,
    pub(super) listing: Cell<Listing>,
    /// What went wrong when a pass wrote to it.
    fault: RefCell<Option<io::Error>>,
    /// Wakes the session.
    woken: Notify,
}

/// Which of the shard's lists a client is on. One at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listing {
    /// None: it is new, or closing.
    Nowhere,
    /// Here among its group's caught-up members.
    CaughtUp(usize),
    /// Here among those that are behind.
    Behind(usize),
}

/// What became of an offer to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Whether the socket took all of it.
    pub all: bool,
    /// Signals it has now, the one it was only begun to be sent included.
    pub signals: u64,
    /// Bytes its socket took.
    pub bytes: u64,
}

impl Client {
    /// A client that is to be sent everything from `cursor` on.
    pub fn new(socket: TcpStream, outlet: Outlet, cursor: Seq) -> Self {
        Self {
            socket,
            outlet: RefCell::new(outlet),
            cursor: Cell::new(cursor),
            spoke: Cell::new(Instant::now()),
            listing: Cell::new(Listing::Nowhere),
            fault: RefCell::new(None),
            woken: Notify::new(),
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

    /// The seq of the next signal it is to be sent.
    pub fn cursor(&self) -> Seq {
        self.cursor.get()
    }

    /// It is to be sent everything from here on. It must be on no list: a pass that goes on would
    /// write to it from where it stood.
    pub fn go_on_from(&self, cursor: Seq) {
        debug_assert_eq!(self.listing.get(), Listing::Nowhere);
        self.cursor.set(cursor);
    }

    /// It is to be sent nothing before this place.
    pub fn skip_to(&self, place: Seq) {
        debug_assert!(place >= self.cursor.get());
        self.cursor.set(place);
    }

    /// When it was last sent a message, be it a signal or an answer; a ping is none.
    pub fn last_spoke(&self) -> Instant {
        self.spoke.get()
    }

    /// It is sent a message now.
    pub fn spoke_at(&self, now: Instant) {
        self.spoke.set(now);
    }

    /// Bytes its socket has taken so far, encrypted if they are.
    pub fn sent_bytes(&self) -> u64 {
        self.outlet.borrow().accepted()
    }

    /// Writes a run that begins at its cursor, and moves the cursor on.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn offer(&self, run: &Run) -> io::Result<Sent> {
        debug_assert_eq!(run.from(), self.cursor.get());
        let mut outlet = self.outlet.borrow_mut();
        let before = outlet.accepted();
        let (all, next, signals) = match outlet.offer(&self.socket, run)? {
            Offered::Taken => (true, run.next(), run.signals()),
            Offered::Blocked(next) => (false, next, run.signals_before(next)),
        };
        self.cursor.set(next);
        if signals > 0 {
            // When the run was made, for looking at the clock costs a hundredth of a write.
            self.spoke.set(run.begun());
        }
        let bytes = outlet.accepted() - before;
        Ok(Sent {
            all,
            signals,
            bytes,
        })
    }

    /// Ends our side of the connection: all that is to be said was said. The peer may still speak.
    pub fn hang_up(&self) {
        self.outlet.borrow_mut().farewell(&self.socket);
        // One that is broken has ended already.
        SockRef::from(&self.socket).shutdown(Shutdown::Write).ok();
    }

    /// Ends when the session must look after its client itself: a pass found the socket full or
    /// broken, or the client is sent away.
    ///
    /// # Cancel safety
    /// Cancel safe: a wake-up that nobody waited for is kept.
    pub async fn woken(&self) {
        self.woken.notified().await;
    }

    /// Wakes the session.
    pub(super) fn wake(&self) {
        self.woken.notify_one();
    }

    /// What a pass ran into, once.
    pub fn take_fault(&self) -> Option<io::Error> {
        self.fault.take()
    }

    /// Hands the client over to its session.
    pub(super) fn hand_over(&self, fault: Option<io::Error>) {
        self.fault.replace(fault);
        self.wake();
    }
}
