//! How many connections that are no client yet there may be.

/// Room for connections that are no client yet, in each of their stages.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct Room {
    /// Files that this process may have open.
    open_files: usize,
}

impl Room {
    /// For a process that may have so many files open; `None`: no limit.
    pub(in crate::server) fn new(open_files: Option<u64>) -> Self {
        let open_files = open_files.and_then(|files| usize::try_from(files).ok());
        Self {
            open_files: open_files.unwrap_or(usize::MAX),
        }
    }

    /// How many may wait in one stage, beside so many clients: half of the files that are left,
    /// for there are two stages in which a stranger may be silent for long. All clients of a server
    /// may come in one of them at once. Those who are known come on top of that, and when the files
    /// run out after all, the silent ones make room.
    pub(in crate::server) fn of_each_stage(self, clients: usize) -> usize {
        let left = self.open_files.saturating_sub(OURS + clients);
        (left / 2).clamp(LEAST, MOST)
    }
}

/// Listeners, feeds, the journal and the like. The connection limit leaves as much again.
const OURS: usize = 100;

/// However few files are allowed: an operator must get in to see what is wrong.
const LEAST: usize = 8;

/// A peer in the middle of a handshake or a request costs some 36 KB, so this many of them 300 MB.
/// All clients of a big server may come at once, after a restart: then none is to be turned away.
const MOST: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_has_half_of_the_files_that_are_left() {
        for (files, clients, room) in [
            (Some(20_000), 500, 8192),
            (Some(20_000), 10_000, 4950),
            (Some(20_000), 19_800, 50),
            (Some(20_000), 20_000, 8),
            (Some(1024), 0, 462),
            (Some(16), 0, 8),
            (Some(1 << 20), 0, 8192),
            (None, 1 << 20, 8192),
        ] {
            assert_eq!(
                Room::new(files).of_each_stage(clients),
                room,
                "{files:?} {clients}"
            );
        }
    }
}
