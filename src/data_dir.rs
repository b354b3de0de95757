//! The folder for what the server keeps, which one process has to itself.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

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
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                lock.read_to_string(&mut pid)?;
                return Err(DataDirError::Taken {
                    pid: pid.trim().to_owned(),
                });
            }
            Err(error) => return Err(io::Error::from(error).into()),
        }
        lock.set_len(0)?;
        lock.rewind()?;
        writeln!(lock, "{}", std::process::id())?;
        Ok(Self { _lock: lock })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_and_the_second_is_told_who() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataDir::hold(folder.path()).unwrap();
        let Err(DataDirError::Taken { pid }) = DataDir::hold(folder.path()) else {
            panic!("held twice");
        };
        assert_eq!(pid, std::process::id().to_string());
        drop(first);
        DataDir::hold(folder.path()).unwrap();
    }
}
