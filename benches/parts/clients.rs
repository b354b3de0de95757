//! Clients that are nothing but a socket.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Clients that share one pair of sockets: each has its own file descriptor, but ten thousand pairs
/// would be more files than many a system lets a process open.
const SHARED: usize = 4;

/// The other ends of all clients' sockets.
pub struct Ends {
    ends: Vec<UnixStream>,
    received: Vec<u8>,
}

/// So many sockets for clients. They are pairs and no TCP connections: a write costs the kernel
/// a fifth, so that it hides less of what it costs us.
pub fn connected(clients: usize) -> (Vec<TcpStream>, Ends) {
    raise_limit();
    let (mut sockets, mut ends) = (Vec::with_capacity(clients), Vec::new());
    while sockets.len() < clients {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let more = SHARED.min(clients - sockets.len());
        sockets.extend((0..more).map(|_| {
            let socket = OwnedFd::from(ours.try_clone().unwrap());
            TcpStream::from(socket)
        }));
        ends.push(theirs);
    }
    let received = vec![0; 256 * 1024];
    (sockets, Ends { ends, received })
}

impl Ends {
    /// Reads all that was written to the clients, and says how many bytes it was.
    pub fn drain(&mut self) -> usize {
        let mut bytes = 0;
        for end in &mut self.ends {
            loop {
                match end.read(&mut self.received) {
                    Ok(0) => panic!("a client has hung up"),
                    Ok(count) => bytes += count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        bytes
    }
}

fn raise_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let current = maximum;
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
}
