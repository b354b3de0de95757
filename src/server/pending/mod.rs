//! Connections that are no client yet: which of them goes first when they are too many.

mod room;
mod stages;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{AbortHandle, AbortRegistration};
use tokio::sync::{Notify, watch};

pub(super) use room::Room;
pub(super) use stages::Stage;

use stages::Stages;

/// All connections, whatever their shard, that have not become a WebSocket.
///
/// Each costs a descriptor for up to `limits.handshake`, and whoever opens thousands a second would
/// use them all up. So they have [`Room`], the same for each [`Stage`] in which they wait for their
/// peer: neither a flood of silent sockets nor one of stalled handshakes takes the others' room, and
/// strangers push out nobody whose token or secret is good. In each stage the oldest goes first. A
/// client that speaks at once is among the youngest, and gets through.
///
/// Those that wait for us, because the processor is busy, are not to blame and stay. When they are
/// many, no more are accepted: the kernel holds the rest. Nor are those to blame that wait for the
/// log, which may fail for long. They are few, and keep nobody out: somebody may come to halt.
#[derive(Debug)]
pub(super) struct Pending {
    room: Room,
    clients: watch::Receiver<usize>,
    stages: Mutex<Stages>,
    /// One of them has ended, and its descriptor is free.
    freed: Notify,
    /// One of them waits for us no more.
    attended: Notify,
}

/// One of them, as long as it is one.
#[derive(Debug)]
pub(super) struct Opening(OpeningHandle);

/// Says of one of them what it waits for.
#[derive(Clone, Debug)]
pub(super) struct OpeningHandle {
    pending: Arc<Pending>,
    /// Its age. Changes only while the stages are locked.
    number: Arc<AtomicU64>,
}

impl Pending {
    /// None yet. `clients` is the number of those that are sessions already.
    pub(super) fn new(room: Room, clients: watch::Receiver<usize>) -> Self {
        Self {
            room,
            clients,
            stages: Mutex::default(),
            freed: Notify::new(),
            attended: Notify::new(),
        }
    }

    /// One more, which is to end when its registration says so.
    pub(super) fn enter(self: &Arc<Self>) -> (Opening, AbortRegistration) {
        let (handle, registration) = AbortHandle::new_pair();
        let number = self.stages().enter(handle);
        let handle = OpeningHandle {
            pending: Arc::clone(self),
            number: Arc::new(AtomicU64::new(number)),
        };
        (Opening(handle), registration)
    }

    /// Waits while so many wait for us that another would only wait, too.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn keep_pace(&self) {
        loop {
            let mut attended = std::pin::pin!(self.attended.notified());
            attended.as_mut().enable();
            if self.stages().count(Stage::Ours) < self.most_of_a_stage().min(MOST_OF_OURS) {
                return;
            }
            attended.await;
        }
    }

    /// Descriptors have run out. If somebody waits to be accepted, drops a quarter of these, the
    /// silent ones first and the known ones last. Then waits until one is gone, or a client, or for a
    /// moment, for what else holds descriptors does not tell.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn make_room(&self, error: &io::Error, somebody_waits: bool) {
        let mut freed = std::pin::pin!(self.freed.notified());
        freed.as_mut().enable();
        let mut clients = self.clients.clone();
        clients.mark_unchanged();
        if somebody_waits {
            self.stages().shed(error);
        }
        tokio::select! {
            () = freed => {}
            // A client's place is given back after its socket. It cannot end before the server.
            _ = clients.changed() => {}
            () = tokio::time::sleep(RETRY) => {}
        }
    }

    fn most_of_a_stage(&self) -> usize {
        self.room.of_each_stage(*self.clients.borrow())
    }

    fn stages(&self) -> MutexGuard<'_, Stages> {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connections that wait for us: about a quarter of a second's work for one shard. More would make
/// those behind them wait longer, and the kernel holds them as well.
const MOST_OF_OURS: usize = 1024;

/// Until descriptors may be free again that nobody tells us of.
const RETRY: Duration = Duration::from_millis(50);

impl Opening {
    /// It waits for something else now.
    pub(super) fn waits(&self, stage: Stage) {
        self.0.waits(stage);
    }

    /// Its request was answered: if its body was waited for, it is as one that [we](Stage::Ours)
    /// kept waiting.
    pub(super) fn was_answered(&self) {
        let stages = self.0.pending.stages();
        let number = self.0.number.load(Ordering::Relaxed);
        if stages.has(Stage::Known, number) {
            self.0.begins_again(stages);
        }
    }

    /// For whoever answers its requests.
    pub(super) fn handle(&self) -> OpeningHandle {
        self.0.clone()
    }
}

impl OpeningHandle {
    /// Meanwhile it waits for us. Then it waits for the peer again, as the youngest of those: the
    /// time before was ours, and the answer is still to be taken.
    pub(super) async fn while_ours<T>(&self, done: impl Future<Output = T>) -> T {
        self.during(Stage::Ours, done).await
    }

    /// The same while it waits for the log. For whoever has a turn for that: as many as there are turns
    /// hold a connection in vain while the log fails.
    pub(super) async fn while_for_log<T>(&self, done: impl Future<Output = T>) -> T {
        self.during(Stage::Log, done).await
    }

    async fn during<T>(&self, stage: Stage, done: impl Future<Output = T>) -> T {
        self.waits(stage);
        let done = done.await;
        self.begins_again(self.pending.stages());
        done
    }

    /// What its token or secret allows it to bring is waited for, until it is answered.
    pub(super) fn is_known(&self) {
        self.waits(Stage::Known);
    }

    /// As the youngest of those that have begun.
    fn begins_again(&self, mut stages: MutexGuard<'_, Stages>) {
        let number = stages.youngest();
        let before = self.number.swap(number, Ordering::Relaxed);
        self.moves(stages, before, Stage::Begun);
    }

    fn waits(&self, stage: Stage) {
        let stages = self.pending.stages();
        let number = self.number.load(Ordering::Relaxed);
        self.moves(stages, number, stage);
    }

    fn moves(&self, mut stages: MutexGuard<'_, Stages>, before: u64, to: Stage) {
        let number = self.number.load(Ordering::Relaxed);
        stages.moves(before, number, to, self.pending.most_of_a_stage());
        drop(stages);
        self.pending.attended.notify_waiters();
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let OpeningHandle { pending, number } = &self.0;
        pending.stages().leave(number.load(Ordering::Relaxed));
        pending.freed.notify_waiters();
        pending.attended.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
