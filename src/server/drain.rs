use std::convert::Infallible;
use std::pin::pin;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{info, warn};

use super::ServerError;
use super::interrupts::Interrupts;
use super::lifecycle::Server;
use crate::ingest::{Finished, LogState};
use crate::supervisor;

impl Server {
    /// Stops in the order in which signals travel: sources, ingest, shards. What was read is
    /// delivered to every client that takes it, within the time for it. Who still lacks something
    /// shortly before that is over is told to go all the same, for it can resume.
    ///
    /// # Errors
    /// Signals that nobody can bring again could not be recorded in that time.
    pub(super) async fn drain(mut self, interrupts: &mut Interrupts) -> Result<(), ServerError> {
        let begun = Instant::now();
        let deadline = begun + self.drain;
        let last_call = (self.drain / 10).min(LONGEST_LAST_CALL);
        self.begin_drain();
        let recording = std::mem::take(&mut self.recording);
        let finished = self.finished.take();
        let mut shards = pin!(join(std::mem::take(&mut self.shards)));
        let delivered = async {
            // Ends when the sources have let go of their channel.
            join(recording).await;
            let left = deadline.saturating_duration_since(Instant::now());
            self.departures.begin(self.clients(), left / 2);
            self.stop_shards.drain.cancel();
            tokio::select! {
                () = shards.as_mut() => {}
                never = heed_halts(finished) => match never {},
            }
        };
        let why = tokio::select! {
            () = delivered => {
                info!("drained in time");
                return Ok(());
            }
            () = sleep_until(deadline - last_call) => match *self.log.borrow() {
                LogState::Writable => "the time to drain is over",
                LogState::Failing => "the time to drain is over, and the log cannot be written",
            },
            () = interrupts.after(begun + ONE_STOP) => "told to stop once more",
        };
        let clients = self.clients();
        warn!(clients, "{why}; clients are let go, whatever they lack");
        self.stop_shards.last_call.cancel();
        let end = deadline.min(Instant::now() + last_call);
        if timeout_at(end, shards).await.is_err() {
            warn!(clients = self.clients(), "clients were cut off");
        }
        self.stop_shards.abort.cancel();
        match self.unrecorded.count() {
            0 => Ok(()),
            signals => Err(ServerError::Unrecorded(signals)),
        }
    }

    fn begin_drain(&self) {
        self.gate.draining.cancel();
        supervisor::stopping();
        self.stop_sources.cancel();
        let clients = self.clients();
        info!(clients, "draining");
    }
}

/// What is recorded and not delivered yet can still be halted.
async fn heed_halts(finished: Option<oneshot::Receiver<Finished>>) -> Infallible {
    if let Some(finished) = finished
        && let Ok(finished) = finished.await
    {
        return finished.heed().await;
    }
    // Its thread has died.
    std::future::pending().await
}

/// Before the end clients have this long at most to take a last frame: it waits behind what the kernel
/// holds for them, a quarter of a megabyte.
const LONGEST_LAST_CALL: Duration = Duration::from_secs(1);

/// Signals within this time are one: GNU `timeout` sends it to the process and to its group, and
/// Ctrl-C may reach a program twice, by the terminal and by what started it.
const ONE_STOP: Duration = Duration::from_secs(1);

/// Waits for threads without blocking the runtime. A panic was reported where it happened.
async fn join(threads: impl IntoIterator<Item = thread::JoinHandle<()>>) {
    let waiting: Vec<JoinHandle<_>> = threads
        .into_iter()
        .map(|thread| spawn_blocking(|| thread.join().is_ok()))
        .collect();
    for thread in waiting {
        thread.await.ok();
    }
}
