//! How signals come in over HTTP: their bodies, the wait until they are in the log, and the answer.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use hyper::body::{Buf, Bytes};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::{Instant, interval, timeout_at};
use tokio_util::task::task_tracker::TaskTrackerToken;
use warp::http::header::HeaderMap;
use warp::http::{Response, StatusCode};

use super::answer;
use super::body::{Bodies, Body};
use super::call::Visit;
use super::refusal::Refusal;
use super::share::Shares;
use crate::auth::Principal;
use crate::ingest::{Publisher, Signals};
use crate::journal::Receipt;
use crate::source::SourceName;

/// Takes signals in. Cheap to clone: all clones share their bounds.
#[derive(Clone, Debug)]
pub(super) struct Intake {
    /// Of those who publish.
    bodies: Bodies,
    shares: Shares,
    /// Of what is posted to hooks: publishers keep nobody out there.
    pub(super) posts: Bodies,
    pub(super) publisher: Publisher,
    turns: Arc<Semaphore>,
    /// How far a body may stay behind; longest time for the log to take what it brought.
    pub(super) patience: Duration,
}

/// Signals that are in the log.
#[derive(Debug)]
pub(super) struct Published {
    /// One for each, in order.
    receipts: Vec<Receipt>,
    /// A drain waits until it is dropped: then the answer is on its way.
    answering: TaskTrackerToken,
}

#[derive(Serialize)]
struct Accepted<'a> {
    accepted: Vec<AcceptedLine<'a>>,
}

#[derive(Serialize)]
struct AcceptedLine<'a> {
    line: usize,
    seq: u64,
    id: &'a str,
    duplicate: bool,
}

/// Room for the bodies of all publishers together, in KiB: four of the largest, or thousands of the
/// usual ones. A body has it piece by piece as it comes, until what it brought is in the log.
const ROOM_KIB: usize = 64 * 1024;

/// What one publisher may have of it, on all his connections: a quarter, which is one of the largest.
const SHARE_KIB: usize = ROOM_KIB / 4;

/// Room for all that is posted to hooks: 256 of the largest, of 64 KiB.
const POSTS_ROOM_KIB: usize = 16 * 1024;

/// Publications that wait for the log at once: more than fit into ingest's channel, and few enough
/// for the descriptors that their connections hold while the log can't be written.
const MOST_PUBLICATIONS: usize = 64;

/// How often whoever brings a body is asked about while it comes: he may be revoked to make an end of
/// what he does.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

impl Intake {
    /// `patience`: how long a peer may keep us waiting for a body, and we it for the log.
    pub(super) fn new(publisher: Publisher, patience: Duration) -> Self {
        Self {
            bodies: Bodies::new(ROOM_KIB, patience),
            shares: Shares::new(SHARE_KIB),
            posts: Bodies::new(POSTS_ROOM_KIB, patience),
            publisher,
            turns: Arc::new(Semaphore::new(MOST_PUBLICATIONS)),
            patience,
        }
    }

    /// Reads what a publisher brings, `most` bytes of it, for as long as he may bring it. The share
    /// in it is to be held until he is answered.
    pub(super) async fn read<B: Buf, E: Display>(
        &self,
        publisher: &Principal,
        headers: &HeaderMap,
        body: impl Stream<Item = Result<B, E>>,
        most: usize,
        still_admitted: impl Fn() -> Result<(), Refusal>,
    ) -> Result<Body, Refusal> {
        let share = self.shares.of(publisher.subject());
        let body = self.bodies.read_within(Some(share), headers, body, most);
        let withdrawn = async {
            let mut looks = interval(BETWEEN_LOOKS);
            loop {
                looks.tick().await;
                if let Err(refusal) = still_admitted() {
                    return refusal;
                }
            }
        };
        tokio::select! {
            body = body => body,
            refusal = withdrawn => Err(refusal),
        }
    }

    /// Publishes all of these or none, and waits until the log holds them, for so long at most.
    /// What was handed over is recorded in the end, also when nobody waits any more; whether whoever
    /// brings it still may is asked right before.
    pub(super) async fn publish(
        &self,
        visit: &Visit,
        source: SourceName,
        signals: Signals,
        within: Duration,
        still_admitted: impl FnOnce() -> Result<(), Refusal>,
    ) -> Result<Published, Refusal> {
        // Before they are handed over: what a drain still brings into the log is answered.
        let answering = visit.answering.token();
        let deadline = Instant::now() + within;
        let Ok(Ok(_turn)) = timeout_at(deadline, self.turns.acquire()).await else {
            return Err(Refusal::NoRoom);
        };
        let published = timeout_at(deadline, async {
            let place = self.publisher.place().await?;
            still_admitted()?;
            Ok(place.publish(source, signals).await?)
        });
        match visit.opening.while_for_log(published).await {
            Ok(Ok(receipts)) => Ok(Published {
                receipts,
                answering,
            }),
            Ok(Err(refusal)) => Err(refusal),
            Err(_late) => Err(Refusal::NotRecorded),
        }
    }
}

impl Published {
    /// Whether the log held all of them before.
    pub(super) fn are_repeated(&self) -> bool {
        let mut receipts = self.receipts.iter();
        receipts.all(|receipt| receipt.is_duplicate)
    }

    /// The answer to whoever brought them: which of these lines brought which.
    pub(super) fn answer(self, code: StatusCode, lines: &[usize]) -> Response<Bytes> {
        let accepted = lines.iter().zip(&self.receipts);
        let accepted = accepted.map(|(&line, receipt)| AcceptedLine {
            line,
            seq: receipt.seq.get(),
            id: receipt.id.as_str(),
            duplicate: receipt.is_duplicate,
        });
        let accepted = Accepted {
            accepted: accepted.collect(),
        };
        answer::awaited(answer::json(code, &accepted), self.answering)
    }
}
