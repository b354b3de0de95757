use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::fs::Access;
use rustix::io::Errno;

use super::super::JournalError;
use super::wal;

/// The database and its write-ahead log. What is open must be what stands at their paths: what is
/// written to a deleted file is lost.
#[derive(Clone, Debug)]
pub(super) struct Files {
    database: File,
    wal: File,
    /// Held open, so that it can be looked into when no file is left to open.
    wal_held: Option<Arc<fs::File>>,
    looked_at: Option<Instant>,
}

#[derive(Clone, Debug)]
struct File {
    path: PathBuf,
    /// Device and inode of what is open.
    opened: Option<(u64, u64)>,
}

/// The database's name in the data folder.
pub(super) const NAME: &str = "signals.db";

/// A few system calls are cheap, but not beside a commit of one signal.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

impl Files {
    /// Those in this folder. The database is made if it is not there, for its owner only; SQLite
    /// gives the files beside it the same mode.
    pub(super) fn in_folder(folder: &Path) -> io::Result<Self> {
        // Absolute: to SQLite, a name that begins with "file:" would be a URL.
        let database = std::path::absolute(folder)?.join(NAME);
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&database);
        match made {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            // Closed before SQLite opens it, and never opened by us again: closing any descriptor
            // of a file drops all POSIX locks that this process has on it, SQLite's too.
            _ => {}
        }
        let wal = wal_of(&database);
        Ok(Self {
            database: File::at(database),
            wal: File::at(wal),
            wal_held: None,
            looked_at: None,
        })
    }

    pub(super) fn database(&self) -> &Path {
        &self.database.path
    }

    pub(super) fn wal(&self) -> &Path {
        &self.wal.path
    }

    /// What stands there now is what is open from now on.
    pub(super) fn opened(&mut self) -> io::Result<()> {
        self.database.opened = Some(self.database.look()?);
        self.wal.opened = Some(self.wal.look()?);
        self.wal_held = Some(Arc::new(fs::File::open(self.wal())?));
        Ok(())
    }

    /// Whether the database was emptied under its write-ahead log, which SQLite then throws away.
    pub(super) fn is_emptied(&self) -> io::Result<bool> {
        let wal = match fs::metadata(&self.wal.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            wal => wal?,
        };
        Ok(wal.len() > 0 && fs::metadata(&self.database.path)?.len() == 0)
    }

    /// Whether what this connection has opened still stands there, looked at now and then.
    pub(super) fn check(&mut self, db: &Connection) -> Result<(), JournalError> {
        if self
            .looked_at
            .is_some_and(|at| at.elapsed() < BETWEEN_LOOKS)
        {
            return Ok(());
        }
        self.database.check()?;
        self.wal.check()?;
        if self.is_emptied()? || self.is_wal_cut_short(db)? {
            return Err(JournalError::Moved);
        }
        self.looked_at = Some(Instant::now());
        Ok(())
    }

    /// Whether pages that this connection believes to be in the write-ahead log are gone.
    pub(super) fn is_wal_cut_short(&self, db: &Connection) -> Result<bool, JournalError> {
        match &self.wal_held {
            Some(wal) => wal::is_cut_short(db, wal),
            None => Ok(false),
        }
    }

    /// Whether the database can be opened anew. Its write-ahead log may have gone, as it does when
    /// nobody has it open.
    pub(super) fn check_database(&self) -> Result<(), JournalError> {
        self.database.check()
    }

    /// Whether this process may write: the system says so better than SQLite.
    pub(super) fn is_read_only(&self) -> bool {
        [&self.database, &self.wal].into_iter().any(|file| {
            let refused = rustix::fs::access(&file.path, Access::WRITE_OK).err();
            matches!(refused, Some(Errno::ROFS | Errno::ACCESS | Errno::PERM))
        })
    }
}

/// Where SQLite keeps the write-ahead log of a database.
pub(super) fn wal_of(database: &Path) -> PathBuf {
    let mut wal = database.to_owned().into_os_string();
    wal.push("-wal");
    wal.into()
}

impl File {
    fn at(path: PathBuf) -> Self {
        Self { path, opened: None }
    }

    fn check(&self) -> Result<(), JournalError> {
        match self.look() {
            Ok(found) if self.opened == Some(found) => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Err(JournalError::Moved),
        }
    }

    fn look(&self) -> io::Result<(u64, u64)> {
        let file = fs::metadata(&self.path)?;
        Ok((file.dev(), file.ino()))
    }
}
