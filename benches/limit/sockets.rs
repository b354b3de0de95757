use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::cpu;

/// Connections over loopback. A thread reads what comes out at their other ends, and discards it.
pub(crate) struct Sockets {
    pub(crate) ours: Vec<TcpStream>,
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Sockets {
    pub(crate) fn connect(count: usize, reader_cpu: Option<usize>) -> Self {
        allow_many_files();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..count {
            theirs.push(TcpStream::connect(address).unwrap());
            let (socket, _) = listener.accept().unwrap();
            socket.set_nodelay(true).unwrap();
            ours.push(socket);
        }
        for socket in ours.iter().chain(&theirs) {
            socket.set_nonblocking(true).unwrap();
        }
        let stop = Arc::<AtomicBool>::default();
        let reader = thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                if let Some(cpu) = reader_cpu {
                    cpu::pin(cpu);
                }
                discard(&theirs, &stop);
            }
        });
        Self {
            ours,
            stop,
            reader: Some(reader),
        }
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }
}

/// Writes all of it, waiting when the socket is full; returns how often it had to.
pub(crate) fn write_all(socket: &TcpStream, mut bytes: &[u8]) -> u64 {
    let mut blocked = 0;
    while !bytes.is_empty() {
        match rustix::io::write(socket, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::AGAIN) => {
                blocked += 1;
                poll(&mut [PollFd::new(socket, PollFlags::OUT)], None).unwrap();
            }
            Err(error) => panic!("write: {error}"),
        }
    }
    blocked
}

fn discard(sockets: &[TcpStream], stop: &AtomicBool) {
    let epoll: OwnedFd = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    for (number, socket) in sockets.iter().enumerate() {
        let data = epoll::EventData::new_u64(number as u64);
        epoll::add(&epoll, socket, data, epoll::EventFlags::IN).unwrap();
    }
    let mut events = Vec::with_capacity(1024);
    let mut buffer = vec![0; 256 * 1024];
    let while_to_wait = Timespec {
        tv_sec: 0,
        tv_nsec: 50_000_000,
    };
    while !stop.load(Ordering::Relaxed) {
        events.clear();
        let room = rustix::buffer::spare_capacity(&mut events);
        epoll::wait(&epoll, room, Some(&while_to_wait)).unwrap();
        for event in &events {
            let number = usize::try_from(event.data.u64()).unwrap();
            let _ = recv(&sockets[number], &mut buffer[..], RecvFlags::empty()).unwrap();
        }
    }
}

fn allow_many_files() {
    let most = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: most,
        maximum: most,
    };
    setrlimit(Resource::Nofile, limit).unwrap();
}
