//! How many connections that are no client yet there may be.

/// How many connections may be pending.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Files that this process may have open.
    open_files: usize,
}

impl Room {
    /// For a process that may have so many files open; `None`: no limit.
    pub(super) fn new(open_files: Option<u64>) -> Self {
        let open_files = open_files.and_then(|files| usize::try_from(files).ok());
        Self {
            open_files: open_files.unwrap_or(usize::MAX),
        }
    }

    /// Beside so many clients: an eighth of all files, and no more than are left.
    pub(super) fn beside(self, clients: usize) -> usize {
        let left = self.open_files.saturating_sub(OURS + clients);
        (self.open_files / 8).min(left).clamp(LEAST, MOST)
    }
}

/// Listeners, feeds, the journal and the like. The connection limit leaves as much again.
const OURS: usize = 100;

/// However few files are allowed: an operator must get in to see what is wrong.
const LEAST: usize = 16;

/// A peer in the middle of a TLS handshake costs some 30 KB.
const MOST: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_a_share_of_the_files_and_never_more_than_are_left() {
        for (files, clients, room) in [
            (Some(20_000), 0, 2500),
            (Some(20_000), 19_800, 100),
            (Some(20_000), 20_000, 16),
            (Some(1024), 0, 128),
            (Some(16), 0, 16),
            (Some(1 << 20), 0, 4096),
            (None, 1 << 20, 4096),
        ] {
            assert_eq!(
                Room::new(files).beside(clients),
                room,
                "{files:?} {clients}"
            );
        }
    }
}
