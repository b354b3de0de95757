use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};

/// Wakes a source's thread that sleeps in `poll`: to stop it, or because it was paused or goes on.
/// Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Bell(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    event: OwnedFd,
    stopped: AtomicBool,
}

/// Stops a source when it is dropped.
#[derive(Debug)]
pub(super) struct Stopper(Bell);

impl Bell {
    pub(super) fn new() -> io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let stopped = AtomicBool::new(false);
        Ok(Self(Arc::new(Inner { event, stopped })))
    }

    pub(super) fn stopper(&self) -> Stopper {
        Stopper(self.clone())
    }

    pub(super) fn ring(&self) {
        // It fails only when it was rung 2^64 times without being heard.
        let _ = rustix::io::write(&self.0.event, &1_u64.to_ne_bytes());
    }

    /// To be called when it was heard, before looking at what has changed.
    pub(super) fn hush(&self) {
        // It fails only when it was not rung.
        let _ = rustix::io::read(&self.0.event, &mut [0; 8]);
    }

    /// The source is to stop.
    pub(super) fn stop(&self) {
        self.0.stopped.store(true, Ordering::Release);
        self.ring();
    }

    /// Whether the source is to stop. Stays.
    pub(super) fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::Acquire)
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.event.as_fd()
    }
}

impl Drop for Stopper {
    fn drop(&mut self) {
        self.0.stop();
    }
}
