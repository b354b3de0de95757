use rusqlite::{Connection, OptionalExtension};

use super::super::{Epoch, JournalError, MOST_READ_BYTES, ReadError, Reader, Recorded};
use super::file::Files;
use super::row::{Rows, content_bytes, received_at, signed};
use super::{connection, continuity};
use crate::signal::{ReceivedAt, Seq};

/// Reads the log beside the writer: with a write-ahead log neither waits for the other.
#[derive(Debug)]
pub(super) struct SqliteReader {
    files: Files,
    epoch: Epoch,
    /// `None` after a failure: the next read opens it anew.
    db: Option<Connection>,
    rows: Rows,
}

/// Rows for which memory is set aside before they are there.
const MOST_PREPARED: usize = 4096;

impl SqliteReader {
    pub(super) fn open(files: &Files, epoch: Epoch) -> Result<Self, JournalError> {
        let mut reader = Self {
            files: files.clone(),
            epoch,
            db: None,
            rows: Rows::new(),
        };
        reader.connected()?;
        Ok(reader)
    }

    /// A connection to the log that is ours: another one's signals have the same seqs.
    fn connected(&mut self) -> Result<(&Connection, &mut Rows), JournalError> {
        if self.db.is_none() {
            self.files.check_database()?;
            let db = connection::reader(self.files.database())?;
            if continuity::epoch(&db)? != Some(self.epoch) {
                return Err(JournalError::Changed);
            }
            self.db = Some(db);
        }
        let db = self.db.as_ref().ok_or(JournalError::Moved)?;
        Ok((db, &mut self.rows))
    }

    fn forget_if_broken<T>(&mut self, outcome: Result<T, ReadError>) -> Result<T, ReadError> {
        if let Err(ReadError::Failed(why)) = &outcome
            && why.wants_reopening()
        {
            self.db = None;
        }
        outcome
    }
}

impl Reader for SqliteReader {
    fn read(&mut self, from: Seq, most: usize) -> Result<Vec<Recorded>, ReadError> {
        let connected = self.connected();
        let outcome = connected
            .map_err(ReadError::from)
            .and_then(|(db, rows)| read(db, rows, from, most));
        self.forget_if_broken(outcome)
    }

    fn received_since(&mut self, at: ReceivedAt) -> Result<Option<Seq>, ReadError> {
        let connected = self.connected();
        let outcome = connected
            .map_err(ReadError::from)
            .and_then(|(db, _)| received_since(db, at));
        self.forget_if_broken(outcome)
    }
}

/// The oldest and the newest place; `None` while the log is empty.
pub(super) fn bounds(db: &Connection) -> Result<Option<(Seq, Seq)>, JournalError> {
    // Not both in one statement: SQLite would look at every row.
    let oldest = end(db, "SELECT min(seq) FROM signals")?;
    Ok(oldest.zip(head(db)?))
}

/// The newest place; `None` while the log is empty.
pub(super) fn head(db: &Connection) -> Result<Option<Seq>, JournalError> {
    end(db, "SELECT max(seq) FROM signals")
}

fn end(db: &Connection, sql: &str) -> Result<Option<Seq>, JournalError> {
    let seq: Option<i64> = db.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    seq.map(place).transpose()
}

/// A seq as it stands in a column.
pub(super) fn place(seq: i64) -> Result<Seq, JournalError> {
    let seq = u64::try_from(seq).ok().and_then(Seq::new);
    seq.ok_or_else(|| JournalError::Damaged("a seq below 1".to_owned()))
}

pub(super) fn read(
    db: &Connection,
    rows: &mut Rows,
    from: Seq,
    most: usize,
) -> Result<Vec<Recorded>, ReadError> {
    let mut select = db.prepare_cached(SELECT).map_err(JournalError::from)?;
    let limit = signed(most as u64);
    let mut found = select
        .query([signed(from.get()), limit])
        .map_err(JournalError::from)?;
    let mut read = Vec::with_capacity(most.min(MOST_PREPARED));
    let (mut next, mut bytes) = (from, 0);
    while bytes < MOST_READ_BYTES
        && let Some(row) = found.next().map_err(JournalError::from)?
    {
        let recorded = rows.read(row)?;
        bytes += content_bytes(row);
        if recorded.seq() != next {
            drop(found);
            return Err(missing(db, next));
        }
        next = next.next();
        read.push(recorded);
    }
    Ok(read)
}

/// The one signal at this place.
pub(super) fn read_one(
    db: &Connection,
    rows: &mut Rows,
    seq: Seq,
) -> Result<Recorded, JournalError> {
    let mut select = db.prepare_cached(SELECT)?;
    let mut found = select.query([signed(seq.get()), 1])?;
    match found.next()? {
        Some(row) => rows.read(row),
        None => Err(JournalError::Damaged(format!(
            "the signal of seq {seq} is missing"
        ))),
    }
}

/// Why the signal at this place is not there, although later ones are.
fn missing(db: &Connection, seq: Seq) -> ReadError {
    match bounds(db) {
        Ok(Some((oldest, _))) if seq < oldest => ReadError::Gone { oldest },
        Ok(_) => JournalError::Damaged(format!("the signal of seq {seq} is missing")).into(),
        Err(why) => why.into(),
    }
}

/// Within one transaction, so that nothing is deleted meanwhile.
pub(super) fn received_since(db: &Connection, at: ReceivedAt) -> Result<Option<Seq>, ReadError> {
    let snapshot = db.unchecked_transaction().map_err(JournalError::from)?;
    let Some((oldest, newest)) = bounds(&snapshot)? else {
        return Ok(None);
    };
    if received(&snapshot, newest)? < at {
        return Ok(None);
    }
    // Signals of one batch were received at the same time, and some of it may be gone.
    if oldest > Seq::FIRST && at <= received(&snapshot, oldest)? {
        return Err(ReadError::Gone { oldest });
    }
    Ok(Some(search(&snapshot, (oldest, newest), at)?))
}

/// The first of these that was received at this time or later; the last one was.
pub(super) fn search(
    db: &Connection,
    (mut first, mut last): (Seq, Seq),
    at: ReceivedAt,
) -> Result<Seq, JournalError> {
    while first < last {
        let middle = first.plus((last.get() - first.get()) / 2);
        if received(db, middle)? < at {
            first = middle.next();
        } else {
            last = middle;
        }
    }
    Ok(first)
}

/// When the signal at this place was received; one that is missing is named by who reads it, and
/// here the next one stands for it.
pub(super) fn received(db: &Connection, seq: Seq) -> Result<ReceivedAt, JournalError> {
    let sql = "SELECT received_at FROM signals WHERE seq >= ?1 ORDER BY seq LIMIT 1";
    let mut select = db.prepare_cached(sql)?;
    let found = select
        .query_row([signed(seq.get())], |row| Ok(received_at(row, 0)))
        .optional()?;
    match found {
        Some(Some(at)) => Ok(at),
        Some(None) => Err(JournalError::Damaged(format!(
            "the signal of seq {seq}: its received_at is no such thing"
        ))),
        None => Err(JournalError::Damaged(format!(
            "the signal of seq {seq} is missing"
        ))),
    }
}

/// Its columns are in the order in which [`Rows`] reads them.
const SELECT: &str = "SELECT seq, id, id_given, type, symbol, price, timestamp, is_test,
        stale_after, source, received_at, content
    FROM signals WHERE seq >= ?1 ORDER BY seq LIMIT ?2";
