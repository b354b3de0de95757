use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Instant;

use tracing::warn;

use super::Feed;
use super::bookmark::Remembered;
use super::follower::Follower;
use super::wake::{Stopper, Wake};
use crate::source::state::{Report, State, States};
use crate::source::{Bookmark, FileSpec, Handovers, SourceError, SourceName, Spec};

/// A `file:` source that looks at what is there, on a thread of its own: its file system may be
/// slow, or not answer at all.
#[derive(Debug)]
pub(in crate::source) struct Preparing {
    source: SourceName,
    /// It was never started before.
    is_new: bool,
    looking: Receiver<Feed>,
    ready: Option<Feed>,
}

/// A `file:` source that can be run.
pub(in crate::source) struct Start {
    preparing: Preparing,
    handovers: Handovers,
    wake: Arc<Wake>,
    report: Report,
}

impl Preparing {
    /// `bookmarks`: what the log knows, if the source was started before.
    pub(in crate::source) fn begin(
        spec: FileSpec,
        most_open: usize,
        bookmarks: Option<Vec<Bookmark>>,
    ) -> Result<Self, SourceError> {
        let source = Spec::File(spec.clone()).name();
        let remembered = bookmarks.map(Remembered::read).transpose();
        let remembered = remembered.map_err(|why| SourceError::Bookmark {
            source_name: source.clone(),
            why,
        })?;
        let is_new = remembered.is_none();
        let (sender, looking) = sync_channel(1);
        // Not waited for when it hangs; else it ends before the source runs.
        thread::Builder::new()
            .name("look".to_owned())
            .spawn(move || {
                // Nobody waits any more when the server stops.
                let _ = sender.send(Feed::prepare(&spec, most_open, remembered));
            })
            .map_err(SourceError::File)?;
        Ok(Self {
            source,
            is_new,
            looking,
            ready: None,
        })
    }

    /// Waits until it is known what is there.
    pub(in crate::source) fn wait(&mut self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        self.ready = self.looking.recv_timeout(left).ok();
        if self.ready.is_none() && self.is_new {
            warn!(
                source = %self.source,
                "the file system does not answer, starting without this source; \
                 what is written until it answers is not new"
            );
        } else if self.ready.is_none() {
            warn!(
                source = %self.source,
                "the file system does not answer, starting without this source; \
                 it goes on where it was when it answers"
            );
        }
    }

    /// What the log is to know before anybody is told that the source runs: where it begins. Of
    /// a file system that does not answer it comes later, with the first that is handed over.
    pub(in crate::source) fn bookmarks(&mut self) -> Vec<Bookmark> {
        self.ready.as_mut().map(Feed::bookmarks).unwrap_or_default()
    }

    pub(in crate::source) fn into_follower(
        self,
        handovers: Handovers,
        states: &States,
    ) -> (Start, Stopper) {
        let wake = Arc::new(Wake::default());
        let stopper = Stopper::new(Arc::clone(&wake));
        let report = states.report(&self.source);
        let start = Start {
            preparing: self,
            handovers,
            wake,
            report,
        };
        (start, stopper)
    }
}

#[cfg(test)]
impl Preparing {
    /// A source whose file system does not answer, until the sender is dropped.
    pub(in crate::source) fn hanging(source: SourceName) -> (Self, Box<dyn std::any::Any>) {
        let (sender, looking) = sync_channel(1);
        let hanging = Self {
            source,
            is_new: true,
            looking,
            ready: None,
        };
        (hanging, Box::new(sender))
    }
}

impl Start {
    /// Blocks until it is stopped or nobody wants the lines any more.
    pub(in crate::source) fn run(self) {
        let Preparing { looking, ready, .. } = self.preparing;
        if ready.is_none() {
            self.report.set(State::Failed);
        }
        // No answer at all: the look has failed, which was reported as a panic is.
        if let Some(feed) = ready.or_else(|| looking.recv().ok()) {
            Follower::new(feed, self.handovers, self.wake, self.report).run();
        }
    }
}
