use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::super::{JournalError, OpenError, ReadError, Reader, Recorded};
use super::row::Rows;
use super::{connection, file, reader, schema};
use crate::signal::{ReceivedAt, Seq};

/// Reads a log from outside of the server, while that writes it or when nobody does. Makes nothing
/// in its folder, not even what SQLite would put there to read.
#[derive(Debug)]
pub struct ReadOnly {
    database: PathBuf,
    open: Open,
    rows: Rows,
}

#[derive(Debug)]
struct Open {
    db: Connection,
    /// Without a write-ahead log nobody writes: the file is read as it lies there, as long as it
    /// is this one.
    lies_still: Option<Stamp>,
}

/// What changes with a file.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl ReadOnly {
    /// The log in this folder; `None` if there is none.
    ///
    /// # Errors
    /// It can't be read.
    pub fn open(folder: &Path) -> Result<Option<Self>, OpenError> {
        let open = || -> Result<Option<Self>, JournalError> {
            let database = std::path::absolute(folder)?.join(file::NAME);
            if !database.try_exists()? {
                return Ok(None);
            }
            let open = Open::at(&database)?;
            Ok(Some(Self {
                database,
                open,
                rows: Rows::new(),
            }))
        };
        open().map_err(|why| OpenError::in_folder(folder, why))
    }

    /// The oldest and the newest place; `None` while the log is empty.
    ///
    /// # Errors
    /// It can't be read.
    pub fn bounds(&mut self) -> Result<Option<(Seq, Seq)>, JournalError> {
        self.reading(|db, _| match schema::check(db)? {
            schema::Found::Empty => Ok(None),
            schema::Found::Log { .. } => reader::bounds(db),
        })
    }

    /// What was read while the file changed beneath is read again.
    fn reading<T, E: From<JournalError>>(
        &mut self,
        read: impl Fn(&Connection, &mut Rows) -> Result<T, E>,
    ) -> Result<T, E> {
        loop {
            let outcome = read(&self.open.db, &mut self.rows);
            if self.open.is_current(&self.database)? {
                return outcome;
            }
            self.open = Open::at(&self.database)?;
        }
    }
}

impl Reader for ReadOnly {
    fn read(&mut self, from: Seq, most: usize) -> Result<Vec<Recorded>, ReadError> {
        self.reading(|db, rows| reader::read(db, rows, from, most))
    }

    fn received_since(&mut self, at: ReceivedAt) -> Result<Option<Seq>, ReadError> {
        self.reading(|db, _| reader::received_since(db, at))
    }
}

impl Open {
    fn at(database: &Path) -> Result<Self, JournalError> {
        let stamp = Stamp::of(database)?;
        let lies_still = (!is_written(database)?).then_some(stamp);
        let db = match lies_still {
            Some(_) => connection::immutable(&immutable_url(database))?,
            None => connection::read_only(database)?,
        };
        Ok(Self { db, lies_still })
    }

    fn is_current(&self, database: &Path) -> Result<bool, JournalError> {
        let Some(stamp) = &self.lies_still else {
            return Ok(true);
        };
        Ok(!is_written(database)? && Stamp::of(database)? == *stamp)
    }
}

/// Whether there is a write-ahead log: of a server that runs, or was killed.
fn is_written(database: &Path) -> io::Result<bool> {
    file::wal_of(database).try_exists()
}

impl Stamp {
    fn of(file: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(file)?;
        Ok(Self {
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

/// The file as an SQLite URL that says that nobody writes it.
fn immutable_url(database: &Path) -> PathBuf {
    let mut url = b"file://".to_vec();
    for &byte in database.as_os_str().as_bytes() {
        match byte {
            b'?' | b'#' | b'%' => url.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            _ => url.push(byte),
        }
    }
    url.extend_from_slice(b"?immutable=1");
    OsString::from_vec(url).into()
}

#[cfg(test)]
mod tests {
    use super::super::super::{Batch, Durability, Journal, Keeping, Retention};
    use super::super::Sqlite;
    use super::*;
    use crate::signal::{Signal, TimeUnit, Timestamp};

    fn keeping() -> Keeping {
        Keeping {
            durability: Durability::Os,
            retention: Retention::default(),
        }
    }

    fn append(log: &mut Sqlite, count: usize) {
        let now = Timestamp::new(7).unwrap();
        let signal = Signal::parse_line(b"buy A 1", TimeUnit::Seconds, now);
        let signal = signal.unwrap().unwrap();
        let mut batch = Batch::of(std::iter::repeat_n(signal, count));
        log.append(&mut batch).unwrap();
    }

    fn seqs(log: &mut ReadOnly) -> Vec<u64> {
        let read = log.read(Seq::FIRST, 100).unwrap();
        read.iter().map(|recorded| recorded.seq().get()).collect()
    }

    fn files(folder: &Path) -> Vec<OsString> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn it_is_read_while_it_is_written_and_when_nobody_does() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("a?b#c%64");
        fs::create_dir(&data).unwrap();
        assert!(ReadOnly::open(&data).unwrap().is_none());
        assert_eq!(files(&data), [""; 0], "to look is not to make");

        let mut log = Sqlite::open(&data, keeping()).unwrap();
        let mut beside = ReadOnly::open(&data).unwrap().unwrap();
        assert_eq!(beside.bounds().unwrap(), None);
        append(&mut log, 2);
        assert_eq!(seqs(&mut beside), [1, 2]);
        drop(beside);
        drop(log);
        let left = files(&data);

        let mut alone = ReadOnly::open(&data).unwrap().unwrap();
        assert!(alone.open.lies_still.is_some());
        assert_eq!(seqs(&mut alone), [1, 2]);
        assert_eq!(files(&data), left, "to look is not to make");

        // A server begins while we read, and ends.
        let mut log = Sqlite::open(&data, keeping()).unwrap();
        append(&mut log, 1);
        assert_eq!(seqs(&mut alone), [1, 2, 3]);
        let mut other = ReadOnly::open(&data).unwrap().unwrap();
        drop((log, alone));
        assert_eq!(seqs(&mut other), [1, 2, 3]);
    }
}
