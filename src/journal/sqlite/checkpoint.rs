use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::{io, thread};

use rusqlite::Connection;
use tracing::{debug, warn};

use super::super::JournalError;
use super::connection;
use super::file::Files;
use super::wal;

/// Moves what was committed from the write-ahead log into the database, on a thread of its own:
/// inside a commit it would take tens of milliseconds.
///
/// Mostly it disturbs nobody. Under a load that never pauses it never gets to the end of the
/// write-ahead log, so that grows; then the writer waits once, for what is left after the bulk.
#[derive(Debug)]
pub(super) struct Checkpointer {
    watch: Watch,
    stop: Arc<AtomicBool>,
    writing: Arc<Mutex<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// Pages of 4 KiB in the write-ahead log at which they are moved: 16 MiB. Pages that are written
/// again and again are moved once.
const ENOUGH: u32 = 4096;

/// Pages at which the writer has to wait: 64 MiB.
const TOO_MANY: u32 = 4 * ENOUGH;

/// Pages at which somebody must be holding it: 1 GiB.
const HELD_UP: u32 = 64 * ENOUGH;

/// How long the write-ahead log is, as the writer sees it after each commit.
#[derive(Clone, Debug)]
struct Watch {
    pages: Arc<AtomicU32>,
    wake_at: Arc<AtomicU32>,
    /// One is enough: it is told that there is something to do, not what.
    wake: SyncSender<()>,
}

impl Checkpointer {
    pub(super) fn start(files: Files) -> io::Result<Self> {
        let (wake, wakes) = sync_channel(1);
        let watch = Watch {
            pages: Arc::default(),
            wake_at: Arc::new(AtomicU32::new(ENOUGH)),
            wake,
        };
        let (stop, writing) = (Arc::<AtomicBool>::default(), Arc::<Mutex<()>>::default());
        let worker = Worker {
            files,
            db: None,
            pages: Arc::clone(&watch.pages),
            wake_at: Arc::clone(&watch.wake_at),
            writing: Arc::clone(&writing),
            failed: false,
            warned: false,
        };
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(move || worker.run(&wakes, &stopped))?;
        Ok(Self {
            watch,
            stop,
            writing,
            thread: Some(thread),
        })
    }

    /// Sees what this connection commits.
    pub(super) fn follow(&self, writer: &mut Connection) -> Result<(), JournalError> {
        let watch = self.watch.clone();
        writer.wal_hook(Some(move |_: &mut _, pages| {
            watch.committed(u32::try_from(pages).unwrap_or_default());
            Ok(())
        }))?;
        Ok(())
    }

    /// Held by the writer while it writes, and by the checkpoint that it has to wait for.
    pub(super) fn writing(&self) -> Arc<Mutex<()>> {
        Arc::clone(&self.writing)
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Full: it will wake up anyway.
        let _ = self.watch.wake.try_send(());
        if let Some(thread) = self.thread.take() {
            // A panic was reported where it happened.
            let _ = thread.join();
        }
    }
}

impl Watch {
    fn committed(&self, pages: u32) {
        let before = self.pages.swap(pages, Ordering::Relaxed);
        if pages < before {
            // The writer has begun at the start of the file again.
            self.wake_at.store(ENOUGH, Ordering::Relaxed);
        }
        if pages >= self.wake_at.load(Ordering::Relaxed) {
            // Full: it knows.
            let _ = self.wake.try_send(());
        }
    }
}

struct Worker {
    files: Files,
    db: Option<Connection>,
    pages: Arc<AtomicU32>,
    wake_at: Arc<AtomicU32>,
    writing: Arc<Mutex<()>>,
    failed: bool,
    warned: bool,
}

impl Worker {
    fn run(mut self, wakes: &Receiver<()>, stop: &AtomicBool) {
        while wakes.recv().is_ok() && !stop.load(Ordering::Relaxed) {
            match self.checkpoint() {
                Ok(()) => self.failed = false,
                Err(why) => {
                    self.db = None;
                    self.wake_after(self.pages.load(Ordering::Relaxed));
                    if !std::mem::replace(&mut self.failed, true) {
                        warn!(%why, "the write-ahead log of signals.db can't be moved into it and grows; tried again as it does");
                    }
                }
            }
        }
    }

    fn checkpoint(&mut self) -> Result<(), JournalError> {
        let writing = Arc::clone(&self.writing);
        let wal = File::open(self.files.wal())?;
        let db = self.connected()?;
        // It would be moved all the same: as zeros, over what is in the database.
        if wal::is_cut_short(db, &wal)? {
            return Err(JournalError::Moved);
        }
        let mut reached = checkpoint(db, "PASSIVE")?;
        if reached.pages >= TOO_MANY {
            // What came during the first is little, and less is left after it.
            checkpoint(db, "PASSIVE")?;
            let _writing = writing.lock().unwrap_or_else(PoisonError::into_inner);
            reached = checkpoint(db, "RESTART")?;
        }
        debug!(
            pages = reached.pages,
            moved = reached.moved,
            "moved the write-ahead log into signals.db"
        );
        self.wake_after(reached.moved);
        self.warn_of(reached.pages);
        Ok(())
    }

    /// Wakes up when the write-ahead log has grown from here, or begins anew and has grown.
    fn wake_after(&self, pages: u32) {
        self.wake_at
            .store(pages.saturating_add(ENOUGH), Ordering::Relaxed);
    }

    /// Somebody who has the database open and does not end a transaction holds all of it.
    fn warn_of(&mut self, pages: u32) {
        if pages < TOO_MANY {
            self.warned = false;
        } else if pages >= HELD_UP && !std::mem::replace(&mut self.warned, true) {
            warn!(
                pages,
                "signals.db-wal grows and can't be emptied: a program that reads signals.db does not end its transaction; end it"
            );
        }
    }

    fn connected(&mut self) -> Result<&Connection, JournalError> {
        if self.db.is_none() {
            self.files.check_database()?;
            self.db = Some(connection::checkpointer(self.files.database())?);
        }
        self.db.as_ref().ok_or(JournalError::Moved)
    }
}

/// How far a checkpoint came.
#[derive(Clone, Copy, Debug)]
struct Reached {
    /// Pages in the write-ahead log.
    pages: u32,
    /// Those of them that are in the database.
    moved: u32,
}

fn checkpoint(db: &Connection, mode: &str) -> Result<Reached, JournalError> {
    let reached = db.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        let pages = |column| -> rusqlite::Result<u32> {
            Ok(u32::try_from(row.get::<_, i64>(column)?).unwrap_or_default())
        };
        Ok(Reached {
            pages: pages(1)?,
            moved: pages(2)?,
        })
    })?;
    Ok(reached)
}

/// Pages in the write-ahead log, as SQLite has it in mind.
pub(super) fn pages(db: &Connection) -> Result<u32, JournalError> {
    checkpoint(db, "NOOP").map(|reached| reached.pages)
}

/// Moves all of it and empties the file, at the end.
pub(super) fn finish(db: &Connection) -> Result<(), JournalError> {
    checkpoint(db, "TRUNCATE").map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_emptied_is_not_moved_into_the_database() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Files::in_folder(folder.path()).unwrap();
        let db = connection::writer(files.database(), connection::PATIENCE).unwrap();
        connection::use_wal(&db).unwrap();
        db.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
            .unwrap();
        files.opened().unwrap();
        let mut worker = Worker {
            files: files.clone(),
            db: None,
            pages: Arc::default(),
            wake_at: Arc::default(),
            writing: Arc::default(),
            failed: false,
            warned: false,
        };
        worker.checkpoint().unwrap();
        db.execute("INSERT INTO t VALUES (2)", []).unwrap();
        let wal = std::fs::File::options().write(true).open(files.wal());
        wal.unwrap().set_len(0).unwrap();
        db.execute("INSERT INTO t VALUES (3)", []).unwrap();
        let before = std::fs::read(files.database()).unwrap();
        assert!(matches!(worker.checkpoint(), Err(JournalError::Moved)));
        assert!(std::fs::read(files.database()).unwrap() == before);
        std::mem::forget(db);
    }
}
