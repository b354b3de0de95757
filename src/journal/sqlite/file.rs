use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::JournalError;

/// The database's files. What is open must be what stands at their paths: what is written to a
/// deleted file is lost.
#[derive(Clone, Debug)]
pub(super) struct Files {
    database: PathBuf,
    wal: PathBuf,
    identity: Option<Identity>,
    looked_at: Option<Instant>,
}

/// Device and inode of the database and of its write-ahead log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    database: (u64, u64),
    wal: (u64, u64),
}

/// The database's name in the data folder.
pub(super) const NAME: &str = "signals.db";

/// Two system calls are cheap, but not beside a commit of one signal.
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
        let mut wal = database.clone().into_os_string();
        wal.push("-wal");
        Ok(Self {
            database,
            wal: wal.into(),
            identity: None,
            looked_at: None,
        })
    }

    pub(super) fn database(&self) -> &Path {
        &self.database
    }

    /// What stands there now is what is open from now on.
    pub(super) fn opened(&mut self) -> io::Result<()> {
        self.identity = Some(self.look()?);
        Ok(())
    }

    /// Whether what was opened still stands there, looked at now and then.
    pub(super) fn check(&mut self) -> Result<(), JournalError> {
        if self
            .looked_at
            .is_some_and(|at| at.elapsed() < BETWEEN_LOOKS)
        {
            return Ok(());
        }
        self.check_now()?;
        self.looked_at = Some(Instant::now());
        Ok(())
    }

    /// Whether what was opened still stands there.
    pub(super) fn check_now(&self) -> Result<(), JournalError> {
        match (self.look(), self.identity) {
            (Ok(found), Some(opened)) if found == opened => Ok(()),
            (Err(error), _) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Err(JournalError::Moved),
        }
    }

    fn look(&self) -> io::Result<Identity> {
        let identity = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino()));
        Ok(Identity {
            database: identity(&self.database)?,
            wal: identity(&self.wal)?,
        })
    }
}
