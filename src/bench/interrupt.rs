use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Whether somebody wants the run to end early: Ctrl-C and SIGTERM.
#[derive(Debug)]
pub(super) struct Interrupt {
    came: Arc<AtomicBool>,
    over: CancellationToken,
    waiting: Option<JoinHandle<()>>,
}

impl Interrupt {
    /// Catches the signals.
    pub(super) fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (mut interrupt, mut terminate) = {
            let _inside = runtime.enter();
            (
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
            )
        };
        let (came, over) = (Arc::<AtomicBool>::default(), CancellationToken::new());
        let (note, until) = (Arc::clone(&came), over.clone());
        let waiting = thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        _ = interrupt.recv() => note.store(true, Ordering::Relaxed),
                        _ = terminate.recv() => note.store(true, Ordering::Relaxed),
                        () = until.cancelled() => {}
                    }
                });
            })?;
        Ok(Self {
            came,
            over,
            waiting: Some(waiting),
        })
    }

    pub(super) fn came(&self) -> bool {
        self.came.load(Ordering::Relaxed)
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.over.cancel();
        if let Some(waiting) = self.waiting.take() {
            let _ = waiting.join();
        }
    }
}
