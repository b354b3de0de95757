use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, error::SendError};
use tracing::warn;

use crate::shard::Accepted;

/// Hands the connections of one address to the shards, in turn, as long as it is polled.
///
/// # Cancel safety
/// A connection that was accepted and not yet handed over is closed.
pub(super) async fn accept(listener: TcpListener, shards: Vec<mpsc::Sender<Accepted>>) {
    let mut failing = false;
    let mut shards = VecDeque::from(shards);
    loop {
        let (socket, peer) = loop {
            match listener.accept().await {
                Ok(accepted) => break accepted,
                // The peer was gone before we looked: its affair.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if !failing {
                        warn!(%error, "no connection can be accepted; is the open-file limit too low?");
                    }
                    failing = true;
                    tokio::time::sleep(RETRY).await;
                }
            }
        };
        failing = false;
        // A socket that was reset meanwhile.
        let Ok(mut accepted) = prepare(socket, peer) else {
            continue;
        };
        // While the server drains, a shard ends with its last client; the others go on.
        loop {
            let Some(shard) = shards.pop_front() else {
                return;
            };
            match shard.send(accepted).await {
                Ok(()) => break shards.push_back(shard),
                Err(SendError(refused)) => accepted = refused,
            }
        }
    }
}

/// Until descriptors may be free again.
const RETRY: Duration = Duration::from_millis(50);

/// What the kernel may hold for one client, so that a slow one is noticed: on a path of 100 ms it
/// still carries 2.5 MB, about 20,000 signals, a second.
const SEND_BUFFER: usize = 256 * 1024;

/// What of it may be unsent when the socket counts as writable.
const MOST_UNSENT: u32 = 128 * 1024;

/// Takes the socket from this runtime, for it belongs to the shard's from now on.
fn prepare(socket: TcpStream, peer: SocketAddr) -> io::Result<Accepted> {
    let options = SockRef::from(&socket);
    options.set_tcp_nodelay(true)?;
    options.set_send_buffer_size(SEND_BUFFER)?;
    options.set_tcp_notsent_lowat(MOST_UNSENT)?;
    Ok(Accepted {
        socket: socket.into_std()?,
        peer,
    })
}
