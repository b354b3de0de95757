use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use futures::FutureExt as _;
use futures::future::{MaybeDone, maybe_done};

use super::answer::RequestId;
use super::judge::Refused;
use crate::auth::Principal;
use crate::signal::Seq;

/// A command that can't be followed at once. What the client sends meanwhile is left unread, so
/// that its commands are followed and answered in the order in which it sent them.
pub(super) struct Postponed {
    id: Option<RequestId>,
    coming: MaybeDone<Pin<Box<dyn Future<Output = Came>>>>,
}

/// What a command may wait for.
#[derive(Debug)]
pub(super) enum Came {
    /// Whom a new token lets in.
    Judged(Result<Principal, Refused>),
    /// The shard has all that was published when somebody wanted to go on after this place.
    Level { after: Option<Seq> },
}

impl Postponed {
    pub(super) fn until(
        id: Option<RequestId>,
        coming: impl Future<Output = Came> + 'static,
    ) -> Self {
        let coming: Pin<Box<dyn Future<Output = Came>>> = Box::pin(coming);
        Self {
            id,
            coming: maybe_done(coming),
        }
    }

    /// What has come, and whose it is, once.
    pub(super) fn take(&mut self) -> Option<(Option<RequestId>, Came)> {
        (&mut self.coming).now_or_never()?;
        let came = Pin::new(&mut self.coming).take_output()?;
        Some((self.id.take(), came))
    }
}

/// Ends when what a command waits for has come, which [`Postponed::take`] then finds; never if there
/// is none.
///
/// # Cancel safety
/// Cancel safe: what has come is kept.
pub(super) fn has_come(postponed: &mut Option<Box<Postponed>>) -> impl Future<Output = ()> {
    poll_fn(|cx| match postponed {
        Some(postponed) => postponed.coming.poll_unpin(cx),
        None => Poll::Pending,
    })
}

impl fmt::Debug for Postponed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postponed")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
