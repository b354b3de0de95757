use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use uuid::Uuid;

use super::accept::Errand;
use super::refusal::Refusal;
use crate::shard::{Listed, Shard};

/// All clients, whatever their shard. Each shard answers for its own, on its own thread.
#[derive(Clone, Debug)]
pub(super) struct Crowd(Arc<[mpsc::Sender<Errand>]>);

/// What one shard is asked.
#[derive(Debug)]
pub(super) enum Question {
    /// Who is there.
    Who(oneshot::Sender<Vec<Listed>>),
    /// To let the client of this id go, and whether it was there.
    SendAway(Uuid, oneshot::Sender<bool>),
}

/// Longest wait for the shards. They answer between two passes.
const PATIENCE: Duration = Duration::from_secs(5);

impl Crowd {
    /// Those whose shards take errands there.
    pub(super) fn new(inboxes: &[mpsc::Sender<Errand>]) -> Self {
        Self(inboxes.into())
    }

    /// All clients, those first that came first.
    pub(super) async fn list(&self) -> Result<Vec<Listed>, Refusal> {
        let answers = self.ask(Question::Who).await?;
        let mut all: Vec<Listed> = answers.into_iter().flatten().collect();
        all.sort_unstable_by_key(|listed| listed.id);
        Ok(all)
    }

    /// Lets the client of this id go; whether there was one.
    pub(super) async fn send_away(&self, id: Uuid) -> Result<bool, Refusal> {
        let answers = self.ask(|found| Question::SendAway(id, found)).await?;
        Ok(answers.into_iter().any(|found| found))
    }

    /// What each shard answers; one that has ended has no clients, and says nothing.
    async fn ask<T>(
        &self,
        question: impl Fn(oneshot::Sender<T>) -> Question,
    ) -> Result<Vec<T>, Refusal> {
        let asked = self.0.iter().map(async |inbox| {
            let (answer, answered) = oneshot::channel();
            inbox.send(Errand::Answer(question(answer))).await.ok()?;
            answered.await.ok()
        });
        match timeout(PATIENCE, join_all(asked)).await {
            Ok(answers) => Ok(answers.into_iter().flatten().collect()),
            Err(_) => Err(Refusal::Unfinished(
                "the server is too busy to look through its clients; ask again".into(),
            )),
        }
    }
}

impl Question {
    /// Answers for the clients of this shard.
    pub(super) async fn answer(self, shard: &Shard) {
        // Whoever asked may be gone.
        match self {
            Self::Who(answer) => {
                let listed = shard.roster().list(|| shard.next()).await;
                answer.send(listed).ok();
            }
            Self::SendAway(id, answer) => {
                answer.send(shard.roster().send_away(id)).ok();
            }
        }
    }
}
