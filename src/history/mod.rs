//! The part of the log that has left the hot tail, read back for clients that are further behind.
//!
//! It is read in stretches of equal length, off the shards, by a bounded number of readers. Who
//! wants the same stretch shares one read of it, and what was read last is kept within a bound, so
//! that a crowd that comes back at once costs little more than one client.

mod incident;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::hub::Segment;
use crate::journal::{Archive, JournalError, Oldest, ReadError, Reader};
use crate::metrics::{Reads, Registry};
use crate::signal::{ReceivedAt, Seq};

use incident::Incident;

/// What a log holds, for whoever reads it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct History(Option<Arc<Shelf>>);

/// A place is not kept any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotKept;

/// What the readers of one log share.
struct Shelf {
    /// Those that have nothing to do.
    readers: Mutex<Vec<Box<dyn Reader>>>,
    idle: Arc<Semaphore>,
    oldest: Oldest,
    stretches: Cache<u64, Arc<Segment>, Footprint>,
    incident: Incident,
    metrics: Reads,
}

/// How much of a stretch is read.
#[derive(Clone, Copy, Debug)]
enum Extent {
    /// All of it.
    Whole,
    /// From the place on that is wanted.
    Rest,
}

/// Signals in a stretch: about a write's worth.
const STRETCH: u64 = 512;

/// Memory for stretches that somebody else may want soon.
const MOST_KEPT_BYTES: u64 = 32 * 1024 * 1024;

/// Stretches in that much memory, for the cache to begin with.
const USUALLY_KEPT: usize = 256;

/// Between two tries to read a log that can't be read.
const READ_RETRY: Duration = Duration::from_millis(500);

impl History {
    /// The history of a log; of one that keeps nothing if there is no archive.
    pub fn of(archive: Option<Archive>) -> Self {
        Self::counting(archive, Reads::new(&Registry::default()))
    }

    /// The same, counting here.
    pub fn counting(archive: Option<Archive>, metrics: Reads) -> Self {
        Self(archive.map(|Archive { readers, oldest }| {
            Arc::new(Shelf {
                idle: Arc::new(Semaphore::new(readers.len())),
                readers: Mutex::new(readers),
                oldest,
                stretches: Cache::with_weighter(USUALLY_KEPT, MOST_KEPT_BYTES, Footprint),
                incident: Incident::default(),
                metrics,
            })
        }))
    }

    /// The place of the oldest signal that is kept; `None` if the log keeps nothing.
    pub fn oldest(&self) -> Option<Seq> {
        self.0.as_ref().map(|shelf| shelf.oldest.get())
    }

    /// The stretch that holds this place, if it was read lately.
    pub fn at_hand(&self, seq: Seq) -> Option<Arc<Segment>> {
        let known = self.0.as_ref()?.stretches.get(&number_of(seq))?;
        holds(&known, seq).then_some(known)
    }

    /// A stretch of the log that holds this place, which must not be beyond the head; waits for as
    /// long as the log can't be read.
    ///
    /// # Errors
    /// The place is older than what is kept.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn insist(&self, seq: Seq) -> Result<Arc<Segment>, NotKept> {
        loop {
            match self.stretch(seq).await {
                Ok(stretch) => return Ok(stretch),
                Err(ReadError::Gone { .. }) => return Err(NotKept),
                // Logged and counted already.
                Err(ReadError::Failed(_)) => sleep(READ_RETRY).await,
            }
        }
    }

    /// A stretch of the log that holds this place, which must not be beyond the head.
    ///
    /// # Errors
    /// The place is older than what is kept, or the log can't be read.
    ///
    /// # Cancel safety
    /// Cancel safe. What was begun to be read for somebody who does not wait any more is lost;
    /// whoever waits for the same reads it again.
    pub async fn stretch(&self, seq: Seq) -> Result<Arc<Segment>, ReadError> {
        let shelf = self.shelf(seq)?;
        let number = number_of(seq);
        let mut extent = Extent::Whole;
        loop {
            match shelf.stretches.get_value_or_guard_async(&number).await {
                Ok(known) if holds(&known, seq) => return Ok(known),
                // It was the newest one and has grown, or its signals are so large that it is read
                // part by part.
                Ok(known) => {
                    extent = Extent::Rest;
                    let is_known = |stretch: &Arc<Segment>| Arc::ptr_eq(stretch, &known);
                    shelf.stretches.remove_if(&number, is_known);
                }
                Err(place) => {
                    let read = shelf.read(move |reader, oldest| read(reader, oldest, seq, extent));
                    let read = read.await?;
                    // Refused only if it was let go of meanwhile, and then it does not matter.
                    place.insert(Arc::clone(&read)).ok();
                    return Ok(read);
                }
            }
        }
    }

    /// The place of the first signal received at this time or later; `None` if there is none yet.
    ///
    /// # Errors
    /// What was received then is not all kept, or the log can't be read.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn received_since(&self, at: ReceivedAt) -> Result<Option<Seq>, ReadError> {
        let shelf = self.shelf(Seq::FIRST)?;
        shelf.read(move |reader, _| reader.received_since(at)).await
    }

    fn shelf(&self, wanted: Seq) -> Result<&Arc<Shelf>, ReadError> {
        self.0.as_ref().ok_or(ReadError::Gone {
            oldest: wanted.next(),
        })
    }
}

impl Shelf {
    /// Lets an idle reader do this, on a thread that may wait for the disk.
    async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        what: impl FnOnce(&mut dyn Reader, &Oldest) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        // Never closed.
        let turn = Arc::clone(&self.idle)
            .acquire_owned()
            .await
            .map_err(failed)?;
        let shelf = Arc::clone(self);
        let reading = spawn_blocking(move || {
            let reader = shelf.lock().pop();
            let mut reader = reader.expect("there are as many turns as readers");
            let read = what(&mut *reader, &shelf.oldest);
            shelf.lock().push(reader);
            drop(turn);
            shelf.note(&read);
            read
        });
        reading.await.map_err(failed)?
    }

    /// Counts it, and says once if it went wrong.
    fn note<T>(&self, read: &Result<T, ReadError>) {
        if let Err(ReadError::Failed(why)) = read {
            self.metrics.failed();
            self.incident.failed(why, Instant::now());
        } else {
            self.metrics.read();
            self.incident.read(Instant::now());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Box<dyn Reader>>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which of the stretches holds this place.
fn number_of(seq: Seq) -> u64 {
    (seq.get() - 1) / STRETCH
}

fn holds(stretch: &Segment, seq: Seq) -> bool {
    stretch.first() <= seq && seq <= stretch.last()
}

/// Reads the stretch that holds this place, as far as it is kept and as one read goes.
fn read(
    reader: &mut dyn Reader,
    oldest: &Oldest,
    seq: Seq,
    extent: Extent,
) -> Result<Arc<Segment>, ReadError> {
    let number = number_of(seq);
    let first = match extent {
        Extent::Whole => Seq::FIRST.plus(number * STRETCH).max(oldest.get()),
        Extent::Rest => seq,
    };
    let read = |reader: &mut dyn Reader, from: Seq| {
        let end = (number + 1) * STRETCH;
        let most = (end + 1).saturating_sub(from.get());
        reader.read(from, usize::try_from(most).unwrap_or(usize::MAX))
    };
    let mut recorded = match read(reader, first) {
        // Retention went on meanwhile.
        Err(ReadError::Gone { oldest }) if oldest <= seq => read(reader, oldest),
        other => other,
    }?;
    if recorded.last().is_some_and(|last| last.seq() < seq) {
        // The signals are so large that the read has ended before this place.
        recorded = read(reader, seq)?;
    }
    match (recorded.first(), recorded.last()) {
        (Some(first), Some(last)) if first.seq() <= seq && seq <= last.seq() => {
            Ok(Arc::new(Segment::of(&recorded, Instant::now())))
        }
        _ => Err(ReadError::Gone {
            oldest: oldest.get(),
        }),
    }
}

fn failed(why: impl std::error::Error + Send + Sync + 'static) -> ReadError {
    JournalError::from(std::io::Error::other(why)).into()
}

/// Stretches count by what they take in memory.
#[derive(Clone)]
struct Footprint;

impl Weighter<u64, Arc<Segment>> for Footprint {
    fn weight(&self, _: &u64, stretch: &Arc<Segment>) -> u64 {
        stretch.footprint() as u64
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf")
            .field("oldest", &self.oldest)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
