//! Whether an id that comes with a signal was made here, for one that the log holds. Made ids are
//! in no index, which would cost every signal; but they tell when, and the log is in that order.

use rusqlite::{Connection, OptionalExtension};

use super::super::JournalError;
use super::super::made_ids::made_at;
use super::reader;
use super::row::signed;
use crate::signal::{Id, ReceivedAt, Seq};

/// The place of the signal that was given this id when it was recorded, if the log holds one.
/// `newest`: when the newest was received that anybody may have seen.
///
/// A look at the id suffices for most; for one that looks like ours, a binary search.
pub(super) fn place(
    db: &Connection,
    id: &Id,
    newest: Option<ReceivedAt>,
) -> Result<Option<Seq>, JournalError> {
    let Some(at) = made_at(id).filter(|&at| newest.is_some_and(|newest| at <= newest)) else {
        return Ok(None);
    };
    let Some((oldest, newest)) = reader::bounds(db)? else {
        return Ok(None);
    };
    let after = ReceivedAt::from_micros(at.micros().saturating_add(1000));
    let first = reader::search(db, (oldest, newest), at)?;
    let beyond = match reader::received(db, newest)? {
        received if received < after => newest.next(),
        _ => reader::search(db, (first, newest), after)?,
    };
    between(db, id, first, beyond)
}

fn between(db: &Connection, id: &Id, first: Seq, beyond: Seq) -> Result<Option<Seq>, JournalError> {
    let sql = "SELECT seq FROM signals WHERE seq >= ?1 AND seq < ?2 AND id = ?3";
    let mut select = db.prepare_cached(sql)?;
    let places = (signed(first.get()), signed(beyond.get()));
    let found = select.query_row((places.0, places.1, id.as_str()), |row| row.get(0));
    found.optional()?.map(reader::place).transpose()
}
