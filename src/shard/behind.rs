use std::cell::RefCell;
use std::rc::Rc;

use slab::Slab;

use super::client::{Client, Listing};
use crate::signal::Seq;

/// The clients of one shard that passes leave alone, for they have not been sent everything yet.
/// Those that are caught up are not here and cost nothing.
#[derive(Debug, Default)]
pub struct Behind(RefCell<Slab<Rc<Client>>>);

impl Behind {
    /// This client has fallen behind, unless it is on a list already.
    pub fn add(&self, client: &Rc<Client>) {
        if client.listing.get() == Listing::Nowhere {
            let index = self.0.borrow_mut().insert(Rc::clone(client));
            client.listing.set(Listing::Behind(index));
        }
    }

    /// It is not behind any more.
    pub fn remove(&self, client: &Client) {
        if let Listing::Behind(index) = client.listing.get() {
            client.listing.set(Listing::Nowhere);
            self.0.borrow_mut().remove(index);
        }
    }

    /// How many there are, and how many signals the last of them lacks of a log whose next signal
    /// is `head`. O(clients that are behind).
    pub(super) fn count_and_lag(&self, head: Seq) -> (usize, u64) {
        let behind = self.0.borrow();
        let lags = behind
            .iter()
            .map(|(_, client)| head.get().saturating_sub(client.cursor().get()));
        (behind.len(), lags.max().unwrap_or(0))
    }
}
