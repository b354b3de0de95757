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

/// What the kernel may hold for one client, so that a slow one is noticed: on a path of 100 ms it
/// still carries 2.5 MB, about 20,000 signals, a second.
const SEND_BUFFER: usize = 256 * 1024;

/// What of it may be unsent when the socket counts as writable.
const MOST_UNSENT: u32 = 128 * 1024;

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
    // Linux hands these down to the connections: three calls less for each.
    socket.set_tcp_nodelay(true)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.set_tcp_notsent_lowat(MOST_UNSENT)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use socket2::SockRef;

    use super::*;

    #[tokio::test]
    async fn a_connection_has_what_was_set_on_its_listener() {
        let listener = listener("127.0.0.1:0".parse().unwrap()).unwrap();
        let _peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let options = SockRef::from(&accepted);
        assert!(options.tcp_nodelay().unwrap());
        assert_eq!(options.tcp_notsent_lowat().unwrap(), MOST_UNSENT);
        // Linux counts its own overhead, as much again.
        assert_eq!(options.send_buffer_size().unwrap(), 2 * SEND_BUFFER);
    }
}
