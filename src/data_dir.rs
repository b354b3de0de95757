//! The folder for what the server keeps, which one process has to itself.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// The folder, held for this process until it is dropped. The system lets go of it with the
/// process, however that ends.
#[derive(Debug)]
pub struct DataDir {
    _lock: File,
}

/// The folder can't be held.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process holds it.
    #[error("process {pid} uses it already; stop that one, or give this one another folder")]
    Taken {
        /// That process, as it said.
        pid: String,
    },
    /// The lock file can't be opened or written.
    #[error("{0}; make the folder writable, or give another one")]
    Unusable(#[from] io::Error),
}

impl DataDir {
    /// Takes the folder for this process.
    ///
    /// # Errors
    /// Another process has it, or it can't be written to.
    pub fn hold(folder: &Path) -> Result<Self, DataDirError> {
        let path = folder.join("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        let mut tries = TRIES;
        let held = loop {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) if tries > 1 => tries -= 1,
                held => break held,
            }
            thread::sleep(BETWEEN_TRIES);
        };
        match held {
            Ok(()) => {}
            Err(error) => return Err(refused(lock, error)),
        }
        lock.set_len(0)?;
        lock.rewind()?;
        writeln!(lock, "{}", std::process::id())?;
        Ok(Self { _lock: lock })
    }

    /// Whether another process has the folder now. Makes nothing, and takes nothing.
    ///
    /// # Errors
    /// Another process has it, or that can't be told.
    pub fn look(folder: &Path) -> Result<(), DataDirError> {
        let lock = match File::open(folder.join("lock")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        flock(&lock, FlockOperation::NonBlockingLockShared).map_err(|error| refused(lock, error))
    }
}

/// Why the lock was not given.
fn refused(mut lock: File, error: Errno) -> DataDirError {
    if error != Errno::WOULDBLOCK {
        return io::Error::from(error).into();
    }
    let mut pid = String::new();
    match lock.read_to_string(&mut pid) {
        Ok(_) => DataDirError::Taken {
            pid: pid.trim().to_owned(),
        },
        Err(error) => error.into(),
    }
}

/// Who only looks lets go of the lock at once, and is no reason not to start.
const TRIES: usize = 4;
const BETWEEN_TRIES: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_and_the_second_is_told_who() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataDir::hold(folder.path()).unwrap();
        for second in [
            DataDir::hold(folder.path()).map(drop),
            DataDir::look(folder.path()),
        ] {
            let Err(DataDirError::Taken { pid }) = second else {
                panic!("held twice");
            };
            assert_eq!(pid, std::process::id().to_string());
        }
        drop(first);
        DataDir::look(folder.path()).unwrap();
        DataDir::hold(folder.path()).unwrap();
    }

    #[test]
    fn to_look_is_not_to_make() {
        let folder = tempfile::tempdir().unwrap();
        DataDir::look(folder.path()).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
