use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::source::file::bytes::{open, read_at, tail_before};
use crate::source::file::file_id::FileId;
use crate::source::file::history::Tail;
use crate::source::file::times::born;

/// How a followed file is reached: it is open, or can be opened again, and is the same then.
#[derive(Debug)]
pub(super) struct Handle {
    id: FileId,
    /// When it was made, in nanoseconds since 1970, if its file system tells: once it is deleted and
    /// closed, another file is given its inode.
    born: Option<u64>,
    /// Closed when too many are open.
    file: Option<File>,
    /// Where it can be opened; none when nobody knows, and then it is held open.
    path: Option<PathBuf>,
}

impl Handle {
    pub(super) fn new(file: File, metadata: &Metadata, path: Option<PathBuf>) -> Self {
        Self {
            id: FileId::of(metadata),
            born: born(metadata),
            file: Some(file),
            path,
        }
    }

    /// Of a file that is gone.
    pub(super) fn gone(id: FileId) -> Self {
        Self {
            id,
            born: None,
            file: None,
            path: None,
        }
    }

    pub(super) fn id(&self) -> FileId {
        self.id
    }

    pub(super) fn born(&self) -> Option<u64> {
        self.born
    }

    /// Whether this is the same file, and not one that was given its inode.
    pub(super) fn is(&self, there: &Metadata) -> bool {
        let births = self.born.zip(born(there));
        FileId::of(there) == self.id
            && (self.is_open() || births.is_none_or(|(own, other)| own == other))
    }

    pub(super) fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Opens it again if it was closed, and makes sure that it is the same.
    pub(super) fn open(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            let file = open(self.path()?)?;
            self.is_it(&file.metadata()?)?;
            self.file = Some(file);
        }
        Ok(())
    }

    /// Keeps it open from now on, whatever its name comes to stand for.
    pub(super) fn hold_open(&mut self) -> io::Result<()> {
        self.open()?;
        self.path = None;
        Ok(())
    }

    /// Closes it if it can be opened again.
    pub(super) fn close(&mut self) {
        if self.path.is_some() {
            self.file = None;
        }
    }

    /// Its size and more, asked without its name if it is open.
    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        if let Some(file) = &self.file {
            return file.metadata();
        }
        let metadata = fs::metadata(self.path()?)?;
        self.is_it(&metadata)?;
        Ok(metadata)
    }

    /// As much of what stands there as the buffer takes, less only at the end of the file.
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.reading(|file| read_at(file, buffer, offset))
    }

    pub(super) fn tail_before(&self, offset: u64) -> io::Result<Tail> {
        self.reading(|file| tail_before(file, offset))
    }

    /// It can be opened here.
    pub(super) fn is_at(&mut self, path: &Path) {
        self.path = Some(path.to_owned());
    }

    /// It can be opened there no more. `elsewhere`: where it is instead, needed only if it is
    /// closed. False if it can't be read any more.
    pub(super) fn left(
        &mut self,
        path: &Path,
        elsewhere: impl FnOnce() -> Option<PathBuf>,
    ) -> bool {
        if self.path.as_deref() == Some(path) {
            self.path = if self.is_open() { None } else { elsewhere() };
        }
        self.is_open() || self.path.is_some()
    }

    fn path(&self) -> io::Result<&Path> {
        Ok(self.path.as_deref().ok_or(ErrorKind::NotFound)?)
    }

    fn is_it(&self, there: &Metadata) -> io::Result<()> {
        if self.is(there) {
            Ok(())
        } else {
            Err(ErrorKind::NotFound.into())
        }
    }

    fn reading<T>(&self, read: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        match &self.file {
            Some(file) => read(file),
            None => read(&open(self.path()?)?),
        }
    }
}
