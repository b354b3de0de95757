use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::future::AbortRegistration;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, error::SendError};

use super::crowd::Question;
use super::gate::Gate;
use super::pending::{Opening, Pending};

/// A connection that was accepted and belongs to a shard from now on.
#[derive(Debug)]
pub(super) struct Accepted {
    /// The socket, non-blocking, not yet registered with any runtime.
    pub(super) socket: std::net::TcpStream,
    /// Where it comes from.
    pub(super) peer: SocketAddr,
    /// Its place among those that are no client yet.
    pub(super) opening: Opening,
    /// Says when it must give up that place.
    pub(super) told_to_end: AbortRegistration,
}

/// What a shard has to do besides what it has.
#[derive(Debug)]
pub(super) enum Errand {
    /// To serve a connection to its end.
    Serve(Accepted),
    /// To answer for its clients.
    Answer(Question),
}

/// Hands the connections of one address to the shards, in turn, as long as it is polled.
///
/// # Cancel safety
/// A connection that was accepted and not yet handed over is closed.
pub(super) async fn accept(
    listener: TcpListener,
    pending: Arc<Pending>,
    shards: Vec<mpsc::Sender<Errand>>,
    gate: Arc<Gate>,
) {
    let mut shards = VecDeque::from(shards);
    loop {
        pending.keep_pace().await;
        let (socket, peer) = loop {
            match listener.accept().await {
                Ok(accepted) => break accepted,
                // The peer was gone before we looked: its affair.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => pending.make_room(&error, is_waited_for(&listener)).await,
            }
        };
        gate.metrics.accepted();
        // A socket that was reset meanwhile.
        let Ok(accepted) = prepare(socket, peer, &pending) else {
            continue;
        };
        let mut errand = Errand::Serve(accepted);
        // At the end of a drain they end one after the other.
        loop {
            let Some(shard) = shards.pop_front() else {
                return;
            };
            match shard.send(errand).await {
                Ok(()) => break shards.push_back(shard),
                Err(SendError(refused)) => errand = refused,
            }
        }
    }
}

/// Whether there is a connection to accept. Without a descriptor for it Linux says so before it has
/// looked: the error alone does not tell.
fn is_waited_for(listener: &TcpListener) -> bool {
    let mut listener = [PollFd::new(listener, PollFlags::IN)];
    poll(&mut listener, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// Takes the socket from this runtime, for it belongs to the shard's from now on.
fn prepare(socket: TcpStream, peer: SocketAddr, pending: &Arc<Pending>) -> io::Result<Accepted> {
    let socket = socket.into_std()?;
    let (opening, told_to_end) = pending.enter();
    Ok(Accepted {
        socket,
        peer,
        opening,
        told_to_end,
    })
}
