//! The log in an SQLite database, `signals.db` in the data folder: one row a signal, which any SQL
//! tool can read while the server runs.

mod append;
mod bookmarks;
mod checkpoint;
mod connection;
mod continuity;
mod file;
mod made;
mod read_only;
mod reader;
mod retention;
mod row;
mod schema;
mod wal;
mod witness;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tracing::{error, warn};

pub use read_only::ReadOnly;

use super::{
    Appended, Archive, Batch, Duplicate, Epoch, Journal, JournalError, Keeping, Oldest, Reader,
    Recorded, Tended,
};
use crate::clock;
use crate::signal::{ReceivedAt, Seq};
use crate::source::{Bookmark, SourceName};

use append::{Appender, Placed};
use checkpoint::Checkpointer;
use continuity::{Continuity, Wal};
use file::Files;
use reader::SqliteReader;
use retention::Retaining;
use witness::Witness;

/// A log in an SQLite database: `--journal sqlite`.
#[derive(Debug)]
pub struct Sqlite {
    files: Files,
    keeping: Keeping,
    epoch: Epoch,
    head: Option<Seq>,
    witness: Witness,
    newest_received_at: Option<ReceivedAt>,
    oldest: Oldest,
    /// `None` after a failure that took it out of use: the next attempt opens it anew.
    db: Option<Connection>,
    appender: Appender,
    retaining: Retaining,
    /// Held while writing, and by checkpoints that must not be written beside.
    writing: Arc<Mutex<()>>,
    checkpointer: Option<Checkpointer>,
}

/// The log can't be opened.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", .path.display())]
pub struct OpenError {
    path: PathBuf,
    why: JournalError,
}

impl OpenError {
    fn in_folder(folder: &Path, why: JournalError) -> Self {
        let path = folder.join(file::NAME);
        Self { path, why }
    }
}

/// Reads that go on at once.
const READERS: usize = 2;

impl Sqlite {
    /// The log in this folder, which is made if it is not there. Opening it takes the same time
    /// however long it is.
    ///
    /// # Errors
    /// It can't be used; what to do stands after the last semicolon.
    pub fn open(folder: &Path, keeping: Keeping) -> Result<Self, OpenError> {
        Self::open_at(folder, keeping, &Continuity::now(keeping.durability))
    }

    fn open_at(
        folder: &Path,
        keeping: Keeping,
        continuity: &Continuity,
    ) -> Result<Self, OpenError> {
        let failed = |why| OpenError::in_folder(folder, why);
        let mut files = Files::in_folder(folder).map_err(|why| failed(why.into()))?;
        let witness = Witness::in_folder(folder).map_err(JournalError::Witness);
        witness
            .and_then(|witness| open_or_make(&mut files, witness, keeping, continuity))
            .map_err(failed)
    }

    /// The connection, if what it writes to is where it should be.
    fn connected(&mut self) -> Result<(), JournalError> {
        if let Some(db) = &self.db {
            return self.files.check(db);
        }
        self.files.check_database()?;
        let mut db = connection::writer(self.files.database(), connection::PATIENCE)?;
        connection::use_wal(&db)?;
        connection::synchronous(&db, self.keeping.durability)?;
        // What was published must be what stands there.
        if continuity::epoch(&db)? != Some(self.epoch) || reader::head(&db)? != self.head {
            return Err(JournalError::Changed);
        }
        self.files.opened()?;
        if let Some(checkpointer) = &self.checkpointer {
            checkpointer.follow(&mut db)?;
        }
        self.db = Some(db);
        Ok(())
    }

    /// All or nothing: after an error the database is as it was.
    fn transact<T>(
        &mut self,
        write: impl FnOnce(&mut Self, &Connection) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        self.connected()?;
        let db = self.db.take().ok_or(JournalError::Moved)?;
        let writing = Arc::clone(&self.writing);
        let outcome = {
            let _writing = writing.lock().unwrap_or_else(PoisonError::into_inner);
            transaction(&db, || write(self, &db))
        };
        // One that could not even be rolled back is beyond use.
        let is_usable = db.is_autocommit();
        if is_usable && !matches!(&outcome, Err(why) if why.wants_reopening()) {
            self.db = Some(db);
        }
        outcome.map_err(|why| match why {
            JournalError::Io(_) if self.files.is_read_only() => JournalError::ReadOnly,
            why => why,
        })
    }
}

impl Journal for Sqlite {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn head(&self) -> Option<Seq> {
        self.head
    }

    fn newest_received_at(&self) -> Option<ReceivedAt> {
        self.newest_received_at
    }

    fn bookmarks(&self, source: &SourceName) -> Result<Option<Vec<Bookmark>>, JournalError> {
        match &self.db {
            Some(db) => bookmarks::of(db, source),
            None => bookmarks::of(&connection::reader(self.files.database())?, source),
        }
    }

    fn append(&mut self, batch: &mut Batch) -> Result<Appended, JournalError> {
        let next = self.head.map_or(Seq::FIRST, Seq::next);
        let newest = self.newest_received_at;
        self.transact(|journal, db| {
            journal.appender.write(db, next, newest, &batch.entries)?;
            bookmarks::write(db, &batch.bookmarks)
        })?;
        batch.bookmarks.clear();
        let appended = recorded(batch, &self.appender);
        self.retaining.appended(appended.recorded.len() as u64);
        if let Some(newest) = appended.recorded.last() {
            self.head = Some(newest.seq);
            self.newest_received_at = Some(newest.received_at);
            self.witness.note(newest.seq);
        }
        Ok(appended)
    }

    fn tend(&mut self) -> Result<Tended, JournalError> {
        self.connected()?;
        self.witness.catch_up(self.head);
        let Some(head) = self.head.filter(|_| self.retaining.is_due()) else {
            return Ok(Tended::Done);
        };
        let (oldest, now) = (self.oldest.get(), clock::received_now());
        match self.transact(|journal, db| journal.retaining.delete_some(db, oldest, head, now)) {
            Ok((oldest, tended)) => {
                self.retaining.succeeded();
                self.oldest.move_to(oldest);
                Ok(tended)
            }
            Err(why) => {
                self.retaining.failed(&why);
                Ok(Tended::Done)
            }
        }
    }

    fn archive(&self) -> Result<Option<Archive>, JournalError> {
        let reader = || SqliteReader::open(&self.files, self.epoch);
        let readers =
            (0..READERS).map(|_| reader().map(|reader| Box::new(reader) as Box<dyn Reader>));
        Ok(Some(Archive {
            readers: readers.collect::<Result<_, _>>()?,
            oldest: self.oldest.clone(),
        }))
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        // Nobody is to be told any more.
        self.checkpointer = None;
        let Some(db) = self.db.take() else { return };
        if matches!(self.files.is_wal_cut_short(&db), Ok(true)) {
            error!(
                "signals.db-wal was emptied while the log was in use: its last signals are lost"
            );
            // Whoever closes it last moves what is not there any more over what is in the database.
            // That is not us as long as this is open.
            std::mem::forget(db);
            return;
        }
        if let Err(why) = close(&db, &self.witness) {
            warn!(%why, "the log was not closed as it should be; nothing is lost by that");
        }
    }
}

/// Opens what is there, or makes it.
fn open_or_make(
    files: &mut Files,
    mut witness: Witness,
    keeping: Keeping,
    continuity: &Continuity,
) -> Result<Sqlite, JournalError> {
    if files.is_emptied()? {
        return Err(JournalError::NotADatabase);
    }
    // SQLite mends it by itself when it opens it.
    let wal = match wal::is_damaged(files.wal())? {
        true => Wal::Damaged,
        false => Wal::Whole,
    };
    let mut db = connection::writer(files.database(), connection::PATIENCE_AT_START)?;
    let found = schema::check(&db)?;
    if found == schema::Found::Empty {
        // Only an empty file can be told to shrink one day.
        db.pragma_update(None, "auto_vacuum", "incremental")?;
    }
    connection::use_wal(&db)?;
    // That the log is in use must be on the disk before anything else is.
    connection::synchronous(&db, super::Durability::Disk)?;
    let epoch = transaction(&db, || {
        schema::migrate(&db, found)?;
        continuity.begin(&db, files.database(), wal, &mut witness)
    })?;
    connection::synchronous(&db, keeping.durability)?;
    db.busy_timeout(connection::PATIENCE)?;
    files.opened()?;
    let bounds = reader::bounds(&db)?;
    let newest_received_at = match bounds {
        Some((oldest, newest)) => Some(look_at_both_ends(&db, oldest, newest)?),
        None => None,
    };
    let checkpointer = Checkpointer::start(files.clone())?;
    checkpointer.follow(&mut db)?;
    Ok(Sqlite {
        files: files.clone(),
        keeping,
        epoch,
        head: bounds.map(|(_, newest)| newest),
        witness,
        newest_received_at,
        oldest: Oldest::at(bounds.map_or(Seq::FIRST, |(oldest, _)| oldest)),
        db: Some(db),
        appender: Appender::new(),
        retaining: Retaining::new(keeping.retention),
        writing: checkpointer.writing(),
        checkpointer: Some(checkpointer),
    })
}

/// A damaged file shows here rather than under a client. Returns when the newest was received.
fn look_at_both_ends(
    db: &Connection,
    oldest: Seq,
    newest: Seq,
) -> Result<ReceivedAt, JournalError> {
    let mut rows = row::Rows::new();
    reader::read_one(db, &mut rows, oldest)?;
    Ok(reader::read_one(db, &mut rows, newest)?.received_at())
}

/// Notes that all is written, and leaves one file.
fn close(db: &Connection, witness: &Witness) -> Result<(), JournalError> {
    transaction(db, || Continuity::end(db))?;
    checkpoint::finish(db)?;
    witness.sync().map_err(JournalError::Witness)
}

/// What `write` does is done in one commit, or not at all.
fn transaction<T>(
    db: &Connection,
    write: impl FnOnce() -> Result<T, JournalError>,
) -> Result<T, JournalError> {
    let run = |sql| -> Result<(), JournalError> {
        db.prepare_cached(sql)?.execute([])?;
        Ok(())
    };
    run("BEGIN IMMEDIATE")?;
    let outcome = write().and_then(|done| run("COMMIT").map(|()| done));
    // After some errors SQLite has rolled back by itself.
    if outcome.is_err()
        && !db.is_autocommit()
        && let Err(why) = run("ROLLBACK")
    {
        warn!(%why, "a commit that failed could not be rolled back");
    }
    outcome
}

/// The batch's signals as they were recorded; the batch is empty afterwards.
fn recorded(batch: &mut Batch, appender: &Appender) -> Appended {
    let mut appended = Appended {
        recorded: Vec::with_capacity(batch.entries.len()),
        duplicates: Vec::new(),
    };
    for (place, entry) in batch.entries.drain(..).enumerate() {
        match appender.placed[place] {
            Placed::New(seq, id) => appended.recorded.push(Recorded::of(entry, seq, id)),
            Placed::Known(seq, id) => appended.duplicates.push(Duplicate {
                entry: place,
                id,
                seq,
            }),
        }
    }
    appended
}

#[cfg(test)]
mod tests;
