//! When a file was made and last written to, as its file system tells.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// When it was last written to: seconds since 1970, and nanoseconds.
pub(super) type Modified = (i64, i64);

pub(super) fn modified(metadata: &Metadata) -> Modified {
    (metadata.mtime(), metadata.mtime_nsec())
}

/// When it was made, in nanoseconds since 1970, if its file system tells.
pub(super) fn born(metadata: &Metadata) -> Option<u64> {
    let age = metadata.created().ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(age.as_nanos()).ok()
}

/// The same for the file at this path.
pub(super) fn born_at(path: &Path) -> Option<u64> {
    born(&fs::metadata(path).ok()?)
}

/// Since 1970, or 0 if it was before.
pub(super) fn nanoseconds((seconds, rest): Modified) -> u64 {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    let rest = u64::try_from(rest).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}
