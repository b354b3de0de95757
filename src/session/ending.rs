use std::io;

use super::Session;
use super::close::Close;
use crate::hub::Framing;

/// How a session ended, for the log.
#[derive(Debug)]
pub enum Ended {
    /// The server ended it.
    ByServer(Close),
    /// The peer closed, with this code if it gave one.
    ByPeer(Option<u16>),
    /// The connection broke or ended without a close frame.
    Broken(io::Error),
}

/// How far a session is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    Open,
    /// The close frame is on its way or the peer's answer to it is.
    Closing {
        why: Close,
        listen: Listen,
    },
    /// The peer closed, with this code if it gave one; our answer is on its way.
    Closed {
        code: Option<u16>,
    },
}

/// What a session that is closing does with what still comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listen {
    /// Parses it, for the peer's close frame is among it.
    ForClose,
    /// Throws it away: what came before it could not be parsed, or nothing ever was.
    ForEnd,
    /// Leaves it: the peer's close frame has come.
    No,
}

/// From the first word of its end to the end of the connection.
impl Session {
    /// Begins the closing handshake. From now on no signal is sent.
    pub(super) fn close(&mut self, why: Close) {
        self.leave();
        self.inlet.close(why);
        self.inlet
            .take_answers(self.client.outlet().borrow_mut().control());
        self.say_why(why);
        let listen = match self.group.view().framing {
            Framing::WebSocket => Listen::ForClose,
            Framing::Events => Listen::ForEnd,
        };
        self.phase = Phase::Closing { why, listen };
        self.deadlines.closing();
        if why.is_about_the_client() {
            // Whatever waits for it in a full socket, it has no right to it any more.
            self.deadlines.await_answer(why);
        }
    }

    /// Listens in another way from now on, if it is closing.
    pub(super) fn listen(&mut self, how: Listen) {
        if let Phase::Closing { listen, .. } = &mut self.phase {
            *listen = how;
        }
    }

    /// Whether what still comes is thrown away unread.
    pub(super) fn is_deaf(&self) -> bool {
        matches!(
            self.phase,
            Phase::Closing {
                listen: Listen::ForEnd,
                ..
            }
        )
    }

    /// Whether the server shuts down and it is this client's turn.
    pub(super) fn lets_go(&mut self) -> bool {
        if !self.shard.draining().is_cancelled() {
            return false;
        }
        let departures = &self.settings.departures;
        self.deadlines.leave(|| departures.turn())
    }

    /// What it means that the connection ends now.
    pub(super) fn end_of_stream(&self) -> Ended {
        match self.phase {
            Phase::Closing { why, .. } => Ended::ByServer(why),
            Phase::Closed { code } => Ended::ByPeer(code),
            // Its end is all that it ever says.
            Phase::Open if self.group.view().framing == Framing::Events => Ended::ByPeer(None),
            Phase::Open => Ended::Broken(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Ends the connection.
    pub(super) fn part(&self) {
        self.leave();
        self.shard.roster().leave(&self.card);
        if self.client.outlet().borrow().is_clear() {
            self.client.hang_up();
        } else {
            // It did not take all of it: what the kernel still holds for it is given up too.
            self.client.socket().set_zero_linger().ok();
        }
        self.shard.groups().release(&self.group);
    }
}
