use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What tells whether a file may have changed, without reading it: of what the path leads to, so
/// that links that are turned to another file count. A file that can't be looked at has one too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp(Option<Marks>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Marks {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    /// Of rights and owner too. Nobody can set it back.
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(path: &Path) -> Self {
        Self(fs::metadata(path).ok().map(|file| Marks::of(&file)))
    }

    /// Whether a later change would give another stamp: clocks of file systems are coarse, and a
    /// file that is written twice within one tick looks the same.
    pub(super) fn is_settled(&self, now: SystemTime) -> bool {
        self.age(now).is_none_or(|age| age >= TICK)
    }

    /// Whether somebody may just be writing it.
    pub(super) fn is_warm(&self, now: SystemTime) -> bool {
        self.age(now)
            .is_some_and(|age| !age.is_zero() && age < WRITING)
    }

    /// Since its last change; none at all if that is in the future, none if there is no file.
    fn age(&self, now: SystemTime) -> Option<Duration> {
        let (seconds, nanoseconds) = self.0?.changed;
        let changed = Duration::new(
            u64::try_from(seconds).unwrap_or(0),
            u32::try_from(nanoseconds).unwrap_or(0),
        );
        Some(now.duration_since(UNIX_EPOCH + changed).unwrap_or_default())
    }
}

impl Marks {
    fn of(file: &Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
            bytes: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}

/// The coarsest clock of a file system that is still met (FAT).
const TICK: Duration = Duration::from_secs(2);

/// Between the two steps of a writer that empties a file and fills it again.
const WRITING: Duration = Duration::from_millis(20);
