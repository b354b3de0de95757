//! A file was truncated before all of it was read: the rest stands in its copy.

use std::iter;

use tracing::info;

use super::Follower;
use crate::source::file::bookmark::Kept;
use crate::source::file::file_id::FileId;
use crate::source::file::followed::Followed;
use crate::source::file::search::Search;

impl Follower {
    /// Goes on in a copy of what this file was, if there is one beside it that has more than was
    /// read. One that the source follows anyway is read as such.
    pub(super) fn follow_copy(&mut self, lost: &Kept) -> Option<FileId> {
        let feed = &mut self.feed;
        let mut search = Search::new(Vec::new(), feed.known.files.keys().copied().collect());
        search.list(iter::once(lost));
        let copy = search.copy(lost)?;
        if feed.selection.matches(&copy.path) || copy.metadata.len() <= lost.mark.offset {
            return None;
        }
        let (id, path) = (copy.id(), copy.path.display().to_string());
        let file = lost.path().display();
        let rest = Followed::resume(copy.file, &copy.metadata, &feed.origin, None, lost);
        let mut rest = rest.read_instead();
        rest.lost_name();
        feed.known.adopt(id, rest, false);
        info!(%file, copy = %path, "the rest of what the file was is read from its copy");
        Some(id)
    }
}
