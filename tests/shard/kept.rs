//! A log in memory that can be made to hang, to fail, and to forget.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use signalcast::journal::{
    Appended, Archive, Batch, Epoch, Journal, JournalError, Memory, Oldest, ReadError, Reader,
    Recorded, Tended,
};
use signalcast::signal::{ReceivedAt, Seq};
use signalcast::source::{Bookmark, SourceName};

/// What somebody may do to a log while others read it.
#[derive(Clone)]
pub struct Grip {
    log: Arc<Mutex<Vec<Recorded>>>,
    pub oldest: Oldest,
    pub broken: Arc<AtomicBool>,
    hung: Arc<(Mutex<bool>, Condvar)>,
    reads: Arc<AtomicUsize>,
}

pub struct Kept {
    memory: Memory,
    grip: Grip,
}

impl Kept {
    pub fn new() -> Self {
        let grip = Grip {
            log: Arc::default(),
            oldest: Oldest::at(Seq::FIRST),
            broken: Arc::default(),
            hung: Arc::default(),
            reads: Arc::default(),
        };
        Self {
            memory: Memory::new(),
            grip,
        }
    }

    pub fn grip(&self) -> Grip {
        self.grip.clone()
    }
}

impl Grip {
    /// How many reads have begun.
    pub fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    /// Reads wait until they go on.
    pub fn hang(&self, hung: bool) {
        *self.hung.0.lock().unwrap() = hung;
        self.hung.1.notify_all();
    }
}

impl Journal for Kept {
    fn epoch(&self) -> Epoch {
        self.memory.epoch()
    }

    fn head(&self) -> Option<Seq> {
        self.memory.head()
    }

    fn newest_received_at(&self) -> Option<ReceivedAt> {
        self.memory.newest_received_at()
    }

    fn bookmarks(&self, source: &SourceName) -> Result<Option<Vec<Bookmark>>, JournalError> {
        self.memory.bookmarks(source)
    }

    fn append(&mut self, batch: &mut Batch) -> Result<Appended, JournalError> {
        let appended = self.memory.append(batch)?;
        let mut log = self.grip.log.lock().unwrap();
        log.extend(appended.recorded.iter().cloned());
        Ok(appended)
    }

    fn tend(&mut self) -> Result<Tended, JournalError> {
        self.memory.tend()
    }

    fn archive(&self) -> Result<Option<Archive>, JournalError> {
        let reader = || Box::new(self.grip()) as Box<dyn Reader>;
        Ok(Some(Archive {
            readers: vec![reader(), reader()],
            oldest: self.grip.oldest.clone(),
        }))
    }
}

impl Reader for Grip {
    fn read(&mut self, from: Seq, most: usize) -> Result<Vec<Recorded>, ReadError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let hung = self.hung.0.lock().unwrap();
        drop(self.hung.1.wait_while(hung, |hung| *hung).unwrap());
        if self.broken.load(Ordering::SeqCst) {
            return Err(JournalError::from(io::Error::other("the disk is gone")).into());
        }
        let oldest = self.oldest.get();
        if from < oldest {
            return Err(ReadError::Gone { oldest });
        }
        let log = self.log.lock().unwrap();
        let from = usize::try_from(from.get() - 1).unwrap().min(log.len());
        Ok(log[from..].iter().take(most).cloned().collect())
    }

    fn received_since(&mut self, _: ReceivedAt) -> Result<Option<Seq>, ReadError> {
        Ok(None)
    }
}
