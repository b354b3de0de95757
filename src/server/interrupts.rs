use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

/// What an operator tells the process.
#[derive(Debug)]
pub(super) struct Interrupts {
    terminate: Signal,
    interrupt: Signal,
    /// Means something to others (see [`reload`](crate::reload)); caught here so that it does not
    /// kill a server that is just starting.
    _hangup: Signal,
}

impl Interrupts {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for one that comes at this time or later.
    ///
    /// # Cancel safety
    /// Cancel safe, but for those that came before.
    pub(super) async fn after(&mut self, time: Instant) {
        loop {
            self.next().await;
            if Instant::now() >= time {
                return;
            }
        }
    }

    /// The name of the next one.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
