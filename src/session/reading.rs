use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use super::Session;
use crate::history::{History, NotKept};
use crate::hub::{LeftTail, Segment};
use crate::shard::Run;
use crate::signal::Seq;

/// What a client that is further behind than the hot tail waits for, or has just got. It is kept
/// from one step to the next at most, and only while the client takes what it is sent.
#[derive(Default)]
pub(super) enum Reading {
    /// Nothing.
    #[default]
    Nothing,
    /// A stretch of the log. Boxed, for most clients never need one.
    Asked(Pin<Box<dyn Future<Output = Came>>>),
    /// It has come.
    Came(Came),
}

type Came = Result<Arc<Segment>, NotKept>;

/// Whether there is something to send to a client that is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It is in the run.
    Ready,
    /// Not yet: it is being read from the log.
    Reading,
    /// There never will be: it is not kept any more.
    Gone,
}

impl Reading {
    /// Ends when what was asked for has come; never if nothing was asked for.
    ///
    /// # Cancel safety
    /// Cancel safe: the same reading goes on.
    pub(super) async fn done(&mut self) {
        match self {
            Self::Asked(reading) => {
                let came = reading.as_mut().await;
                *self = Self::Came(came);
            }
            Self::Came(_) => {}
            Self::Nothing => std::future::pending().await,
        }
    }

    fn ask(&mut self, history: &History, seq: Seq) {
        let history = history.clone();
        *self = match history.at_hand(seq) {
            Some(stretch) => Self::Came(Ok(stretch)),
            None => Self::Asked(Box::pin(async move { history.insist(seq).await })),
        };
    }
}

impl Session {
    /// Puts what the client gets next into the run.
    pub(super) fn next_run(&self, reading: &mut Reading, run: &mut Run) -> Next {
        let (from, view) = (self.client.cursor(), self.group.view());
        loop {
            let stretch = match reading {
                Reading::Came(Ok(stretch)) => Some(&**stretch),
                _ => None,
            };
            match (self.shard.catch_up(run, from, view, stretch), &*reading) {
                (Ok(()), _) => return Next::Ready,
                (Err(LeftTail), Reading::Asked(_)) => return Next::Reading,
                (Err(LeftTail), Reading::Came(Err(NotKept))) => return Next::Gone,
                // What has come was all used.
                (Err(LeftTail), Reading::Came(Ok(_)) | Reading::Nothing) => {
                    reading.ask(&self.settings.history, from);
                }
            }
        }
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Asked(_) => "Asked",
            Self::Came(_) => "Came",
        })
    }
}
