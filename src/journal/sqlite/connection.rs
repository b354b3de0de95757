use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, MAIN_DB, OpenFlags};

use super::super::{Durability, JournalError};

/// Longest wait at the start for a program that has the database locked.
pub(super) const PATIENCE_AT_START: Duration = Duration::from_secs(5);

/// The same while running: whoever waits tries again anyway.
pub(super) const PATIENCE: Duration = Duration::from_millis(100);

/// Memory for pages of the writer, in KiB: what the ids of a large batch touch.
const WRITER_CACHE_KIB: i64 = 32 * 1024;

/// The same for each reader: a scan needs little.
const READER_CACHE_KIB: i64 = 4 * 1024;

/// The write-ahead log is cut to this when it begins anew: somebody who reads for long makes it
/// grow.
const WAL_BYTES: i64 = 128 << 20;

/// A connection that writes. Nothing is set yet that would write by itself.
pub(super) fn writer(database: &Path, patience: Duration) -> Result<Connection, JournalError> {
    let db = open(database)?;
    db.busy_timeout(patience)?;
    // Asked to read and write, SQLite is content with reading.
    if db.is_readonly(MAIN_DB)? {
        return Err(JournalError::ReadOnly);
    }
    db.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    db.pragma_update(None, "temp_store", "memory")?;
    Ok(db)
}

/// Writes go to a write-ahead log from now on, so that readers never block the writer; this
/// connection does not tidy that up by itself.
pub(super) fn use_wal(db: &Connection) -> Result<(), JournalError> {
    let mode: String = db.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        let why = format!("SQLite can't use a write-ahead log here, but {mode}");
        return Err(JournalError::Other(why));
    }
    db.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    db.pragma_update_and_check(None, "journal_size_limit", WAL_BYTES, |_| Ok(()))?;
    Ok(())
}

/// When a commit is on the disk.
pub(super) fn synchronous(db: &Connection, durability: Durability) -> Result<(), JournalError> {
    let level = match durability {
        Durability::Os => "normal",
        Durability::Disk => "full",
    };
    Ok(db.pragma_update(None, "synchronous", level)?)
}

/// A connection that only reads.
pub(super) fn reader(database: &Path) -> Result<Connection, JournalError> {
    let db = open(database)?;
    db.busy_timeout(PATIENCE)?;
    db.pragma_update(None, "query_only", true)?;
    db.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    Ok(db)
}

/// A connection that moves the write-ahead log into the database.
pub(super) fn checkpointer(database: &Path) -> Result<Connection, JournalError> {
    let db = open(database)?;
    db.busy_timeout(PATIENCE)?;
    db.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    Ok(db)
}

/// A connection from outside of the server, which can't write.
pub(super) fn read_only(database: &Path) -> Result<Connection, JournalError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(database, flags)?;
    db.busy_timeout(PATIENCE_AT_START)?;
    Ok(db)
}

/// The same for a file that nobody writes, at an SQLite URL that says so.
pub(super) fn immutable(url: &Path) -> Result<Connection, JournalError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    Ok(Connection::open_with_flags(url, flags)?)
}

/// Never makes the file: it was there, or somebody has taken it away.
fn open(database: &Path) -> Result<Connection, JournalError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Ok(Connection::open_with_flags(database, flags)?)
}
