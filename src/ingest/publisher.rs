use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use super::delivery::{Delivery, Refused};
use super::publication::{Publication, Signals};
use crate::journal::Receipt;
use crate::source::SourceName;

/// Brings in signals that no source reads. Cheap to clone. It does not keep ingest from ending:
/// when the sources have stopped, nothing more is taken.
#[derive(Clone, Debug)]
pub struct Publisher(mpsc::WeakSender<Delivery>);

/// A place in the channel to ingest, for one to be brought in without another wait. As long as it is
/// held, it keeps ingest from ending.
#[derive(Debug)]
pub struct Place(mpsc::OwnedPermit<Delivery>);

/// Nothing more is taken: the server stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server stops and takes no more signals; bring them again when it is back")]
pub struct Stopped;

impl Publisher {
    /// One that brings them this way.
    pub fn new(deliveries: &mpsc::Sender<Delivery>) -> Self {
        Self(deliveries.downgrade())
    }

    /// Waits for a place, while the log can't be written or others come first.
    ///
    /// # Errors
    /// The server stops.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn place(&self) -> Result<Place, Stopped> {
        let deliveries = self.0.upgrade().ok_or(Stopped)?;
        let place = deliveries.reserve_owned().await;
        place.map(Place).map_err(|_| Stopped)
    }

    /// Has a line that was refused kept with the dead letters, for somebody who can't be asked for a
    /// better one.
    ///
    /// # Errors
    /// The server stops.
    ///
    /// # Cancel safety
    /// Dropped, it may be kept or not.
    pub async fn refuse(&self, refused: Refused) -> Result<(), Stopped> {
        let Place(place) = self.place().await?;
        place.send(Delivery::Refused(refused));
        Ok(())
    }
}

impl Place {
    /// Publishes all of these signals or none, under this name, and waits until the log holds them,
    /// however long it takes while that can't be written. They are on their way at once. Returns a
    /// receipt for each, in order.
    ///
    /// # Errors
    /// The server stops. Whether the log has taken the signals nobody knows then; those that carry
    /// an id may be brought again.
    ///
    /// # Cancel safety
    /// Dropped, the signals are published all the same or not at all, as when the server stops.
    pub async fn publish(
        self,
        source: SourceName,
        signals: impl Into<Signals>,
    ) -> Result<Vec<Receipt>, Stopped> {
        let signals = signals.into();
        if signals.signals.is_empty() {
            return Ok(Vec::new());
        }
        let (receipts, recorded) = oneshot::channel();
        let publication = Publication {
            source,
            signals,
            read_at: Instant::now(),
            receipts,
        };
        self.0.send(Delivery::Publication(publication));
        recorded.await.map_err(|_| Stopped)
    }
}
