use std::convert::Infallible;
use std::sync::Arc;

use tokio::sync::Notify;

use super::heeded::Heeded;
use crate::hub::Hub;
use crate::signal::Seq;

/// A recorder that has recorded and published everything. Clients may still be on their way through
/// that, and the halt switch stops them, too.
pub struct Finished {
    hub: Hub,
    halts: Heeded,
    /// The place after all there is.
    next: Seq,
    /// Rung when the switch is thrown.
    bell: Arc<Notify>,
}

impl Finished {
    pub(super) fn new(hub: Hub, halts: Heeded, next: Seq, bell: Arc<Notify>) -> Self {
        Self {
            hub,
            halts,
            next,
            bell,
        }
    }

    /// Has the shards do what the halt switch says, whenever it is thrown.
    ///
    /// # Cancel safety
    /// Cancel safe, but nobody does it any more then.
    pub async fn heed(mut self) -> Infallible {
        loop {
            if let Some(change) = self.halts.news() {
                self.hub.change(change, self.next);
            }
            // Rung before, it does not wait.
            self.bell.notified().await;
        }
    }
}
