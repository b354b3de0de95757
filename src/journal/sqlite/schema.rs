use rusqlite::Connection;

use super::super::JournalError;

/// Says "this is signalcast's" in the file's header (`PRAGMA application_id`): "sgnl".
const APPLICATION_ID: i64 = 0x7367_6e6c;

/// What made each schema version of the one before it; the first one of an empty file. A step
/// that was released never changes.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE signals (
        -- Place in the log: 1, 2, 3 and so on.
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL,
        -- 1: its source gave the id, 0: it was made here.
        id_given INTEGER NOT NULL,
        -- buy or sell.
        type TEXT NOT NULL,
        symbol TEXT NOT NULL,
        -- The exact digits.
        price TEXT NOT NULL,
        -- Unix seconds.
        timestamp INTEGER NOT NULL,
        is_test INTEGER NOT NULL,
        -- Unix seconds; NULL: never.
        stale_after INTEGER,
        source TEXT NOT NULL,
        -- Microseconds since 1970; never decreases.
        received_at INTEGER NOT NULL,
        -- JSON, as clients get it.
        content TEXT NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX signals_given_id ON signals (id) WHERE id_given;
    -- How far each part of a source was read.
    CREATE TABLE bookmarks (
        source TEXT NOT NULL,
        part TEXT NOT NULL,
        place TEXT NOT NULL,
        PRIMARY KEY (source, part)
    ) STRICT, WITHOUT ROWID;
    -- What is to be known of the log as a whole.
    CREATE TABLE log (
        key TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
"];

/// The schema this version writes.
const VERSION: i64 = MIGRATIONS.len() as i64;

/// Whether this is a log of ours that this version can use, or an empty file that can become one.
///
/// # Errors
/// It is neither, or can't be read.
pub(super) fn check(db: &Connection) -> Result<Found, JournalError> {
    let pragma = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application, version) {
        (0, 0) if tables == 0 => Ok(Found::Empty),
        (APPLICATION_ID, version) if version > VERSION => Err(JournalError::Newer {
            found: version,
            known: VERSION,
        }),
        (APPLICATION_ID, 1..) => Ok(Found::Log { version }),
        _ => Err(JournalError::NotOurs),
    }
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing yet.
    Empty,
    /// A log of this schema version.
    Log {
        /// 1 to [`VERSION`].
        version: i64,
    },
}

/// Brings the schema up to date, within the transaction that is open.
pub(super) fn migrate(db: &Connection, found: Found) -> Result<(), JournalError> {
    let version = match found {
        Found::Empty => 0,
        Found::Log { version } => version,
    };
    if version == VERSION {
        return Ok(());
    }
    let done = usize::try_from(version).unwrap_or_default();
    for step in &MIGRATIONS[done..] {
        db.execute_batch(step)?;
    }
    db.pragma_update(None, "application_id", APPLICATION_ID)?;
    db.pragma_update(None, "user_version", VERSION)?;
    Ok(())
}
