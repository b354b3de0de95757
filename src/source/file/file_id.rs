use std::fmt;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Which file it is, whatever its name: its device and inode.
///
/// As long as a file is open, its inode is not given to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// No file's.
    pub(super) const NOBODY: Self = Self::ghost(0);

    pub(super) fn new(device: u64, inode: u64) -> Self {
        Self { device, inode }
    }

    pub(super) fn of(metadata: &Metadata) -> Self {
        Self::new(metadata.dev(), metadata.ino())
    }

    /// For a file that is gone, whose own id may be another's by now.
    pub(super) const fn ghost(number: u64) -> Self {
        Self {
            device: u64::MAX,
            inode: number,
        }
    }

    pub(super) fn is_ghost(self) -> bool {
        self.device == u64::MAX
    }

    pub(super) fn device(self) -> u64 {
        self.device
    }

    pub(super) fn inode(self) -> u64 {
        self.inode
    }

    /// Whether this path stands for it now.
    pub(super) fn is_at(self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|metadata| Self::of(&metadata) == self)
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.device, self.inode)
    }
}
