//! A file was truncated before all of it was read: the rest stands in its copy.

use std::iter;

use tracing::info;

use super::{Ended, Follower};
use crate::source::file::bookmark::Kept;
use crate::source::file::file_id::FileId;
use crate::source::file::followed::{Followed, Prompt, Suspicion};
use crate::source::file::search::Search;

impl Follower {
    /// The copy of what this file was, if there is one beside it that has more than was read: what
    /// is read next, whether the source follows it anyway or not.
    pub(super) fn rest_of(&mut self, lost: &Kept) -> Result<Option<FileId>, Ended> {
        let known = self.feed.known.files.iter();
        let cleared = known.filter(|(_, file)| file.suspicion() == Suspicion::Cleared);
        let mut search = Search::new(Vec::new(), cleared.map(|(id, _)| *id).collect());
        search.list(iter::once(lost));
        let copy = search.copy(lost);
        let Some(copy) = copy.filter(|copy| copy.metadata.len() > lost.mark.offset) else {
            return Ok(None);
        };
        let (id, file) = (copy.id(), lost.path().display());
        info!(%file, copy = %copy.path.display(), "the rest of what the file was is read from its copy");
        if self.feed.selection.matches(&copy.path) {
            self.check(&copy.path, Prompt::Reported)?;
        } else {
            let origin = &self.feed.origin;
            let rest = Followed::resume(copy.file, &copy.metadata, origin, None, lost);
            let mut rest = rest.read_instead();
            rest.lost_name();
            self.feed.known.adopt(id, rest, false);
        }
        Ok(Some(id))
    }
}
