use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use super::ServerError;

/// Listens on all these addresses, or on none.
pub(super) fn bind(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, ServerError> {
    let listen = |&address| listener(address).map_err(|why| ServerError::Bind { address, why });
    addresses.iter().map(listen).collect()
}

/// Connections that the kernel holds until they are accepted; it allows what
/// `net.core.somaxconn` says.
const BACKLOG: i32 = 4096;

fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart must not wait until the old connections are forgotten.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
