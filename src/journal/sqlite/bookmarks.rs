use std::collections::HashMap;

use rusqlite::Connection;

use super::super::{JournalError, Part};
use crate::source::{Bookmark, Mark, SourceName};

/// How far each part of this source was read; `None` if the log has never heard of it.
pub(super) fn of(
    db: &Connection,
    source: &SourceName,
) -> Result<Option<Vec<Bookmark>>, JournalError> {
    let mut select = db.prepare_cached(SELECT)?;
    let bookmark = |row: &rusqlite::Row<'_>| {
        let (part, mark): (String, String) = (row.get(0)?, row.get(1)?);
        Ok((part, mark))
    };
    let rows = select.query_map([source.as_str()], bookmark)?;
    let mut bookmarks = Vec::new();
    for row in rows {
        let (part, mark) = row?;
        bookmarks.push(Bookmark {
            source: source.clone(),
            part: part.into(),
            mark: Mark::At(mark.into()),
        });
    }
    let is_known =
        !bookmarks.is_empty() || db.prepare_cached(IS_KNOWN)?.exists([source.as_str()])?;
    Ok(is_known.then_some(bookmarks))
}

/// Notes how far sources were read, within the transaction that is open.
pub(super) fn write(db: &Connection, bookmarks: &HashMap<Part, Mark>) -> Result<(), JournalError> {
    if bookmarks.is_empty() {
        return Ok(());
    }
    let mut upsert = db.prepare_cached(UPSERT)?;
    for ((source, part), mark) in bookmarks {
        match mark {
            Mark::At(mark) => upsert.execute([source.as_str(), part, mark])?,
            Mark::Gone => {
                // A source all of whose parts are gone has been heard of all the same.
                db.prepare_cached(KNOW)?.execute([source.as_str()])?;
                db.prepare_cached(DELETE)?
                    .execute([source.as_str(), part])?
            }
        };
    }
    Ok(())
}

const SELECT: &str = "SELECT part, place FROM bookmarks WHERE source = ?1";

const UPSERT: &str = "INSERT INTO bookmarks (source, part, place) VALUES (?1, ?2, ?3)
    ON CONFLICT (source, part) DO UPDATE SET place = excluded.place";

const DELETE: &str = "DELETE FROM bookmarks WHERE source = ?1 AND part = ?2";

const KNOW: &str = "INSERT INTO log (key, value) VALUES ('source ' || ?1, 'known')
    ON CONFLICT (key) DO NOTHING";

const IS_KNOWN: &str = "SELECT 1 FROM log WHERE key = 'source ' || ?1";
