use std::io;

use rusqlite::ffi;

/// The log can't be used just now. It says what is wrong and, after a semicolon, what to do.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// No room.
    #[error("the disk is full; make room on it")]
    DiskFull,
    /// It may not be written.
    #[error("it can only be read; let this user write to the file and to its folder")]
    ReadOnly,
    /// Somebody else is at it.
    #[error("another program has locked it; end what that program does in it")]
    Locked,
    /// What stands in it can't be true.
    #[error(
        "it is damaged ({0}); while no server runs, put a backup in its place, or move it away to begin a new log"
    )]
    Damaged(String),
    /// What is written now would be lost.
    #[error(
        "its file was moved, deleted, emptied or replaced while the server runs; put it back, or restart the server to begin a new log"
    )]
    Moved,
    /// Not what this server wrote.
    #[error("another program has written into it; restart the server")]
    Changed,
    /// Not a database.
    #[error(
        "it is no SQLite database, or its beginning is damaged; put a backup in its place, or move it away to begin a new log"
    )]
    NotADatabase,
    /// A database, but no log.
    #[error("it is a database of another program; move it away, or name another folder")]
    NotOurs,
    /// How far it went can't be noted.
    #[error(
        "signals.head beside it can't be read or written ({0}); let this user read and write that file, and make room on the disk"
    )]
    Witness(io::Error),
    /// A log from the future.
    #[error(
        "a newer signalcast wrote it (schema {found}, this one knows {known}); run that version, or name another folder"
    )]
    Newer {
        /// Its schema.
        found: i64,
        /// The newest one that is known here.
        known: i64,
    },
    /// The system refuses.
    #[error(
        "the system can't open, read or write it ({0}); look at the disk and at who may use the folder"
    )]
    Io(io::Error),
    /// Anything else that SQLite says.
    #[error("{0}; please report it")]
    Other(String),
}

impl JournalError {
    /// Whether what is open may be beyond use, so that going on takes opening it anew.
    pub(super) fn wants_reopening(&self) -> bool {
        matches!(
            self,
            Self::Damaged(_) | Self::NotADatabase | Self::Changed | Self::Io(_) | Self::Other(_)
        )
    }
}

impl From<io::Error> for JournalError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Self::ReadOnly,
            _ => Self::Io(error),
        }
    }
}

impl From<rusqlite::Error> for JournalError {
    fn from(error: rusqlite::Error) -> Self {
        let Some(code) = error.sqlite_extended_error_code() else {
            return match error {
                // A column that is not what the schema says.
                rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::QueryReturnedNoRows
                | rusqlite::Error::Utf8Error(..) => Self::Damaged(error.to_string()),
                error => Self::Other(error.to_string()),
            };
        };
        match (code, code & 0xff) {
            // The index of the write-ahead log can't grow.
            (ffi::SQLITE_IOERR_SHMSIZE, _) | (_, ffi::SQLITE_FULL) => Self::DiskFull,
            (ffi::SQLITE_READONLY_DBMOVED, _) => Self::Moved,
            (_, ffi::SQLITE_READONLY | ffi::SQLITE_PERM) => Self::ReadOnly,
            (_, ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED) => Self::Locked,
            (_, ffi::SQLITE_NOTADB) => Self::NotADatabase,
            (_, ffi::SQLITE_CORRUPT) => Self::Damaged(error.to_string()),
            (_, ffi::SQLITE_CONSTRAINT) => Self::Changed,
            (_, ffi::SQLITE_IOERR | ffi::SQLITE_CANTOPEN) => {
                Self::Io(io::Error::other(format!("SQLite: {error}")))
            }
            _ => Self::Other(error.to_string()),
        }
    }
}
