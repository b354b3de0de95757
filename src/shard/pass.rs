use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Shard;
use super::client::Sent;
use super::group::Group;
use super::halts::Thrown;
use super::run::Run;
use crate::clock;
use crate::crash;
use crate::hub::Segment;
use crate::metrics::Written;
use crate::signal::{Seq, Timestamp};

/// Brings what is new to every caught-up client of a shard, writing straight to the sockets.
///
/// It yields now and then, so that pings, handshakes and commands go on; meanwhile clients come,
/// go, and catch up by themselves. Their cursors say who still needs what.
#[derive(Debug)]
pub(super) struct Pass {
    new: Vec<Arc<Segment>>,
    run: Run,
    turn: Turn,
}

/// Whether there may be more to pass on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    More,
    Done,
}

/// Most bytes of frames a pass takes on at once: what a socket's buffer is likely to take.
const PASS_BYTES: usize = 64 * 1024;

impl Pass {
    pub(super) fn new() -> Self {
        Self {
            new: Vec::new(),
            run: Run::default(),
            turn: Turn::begin(),
        }
    }

    /// Brings what is new, as far as it goes at once; to nobody while the server is halted.
    /// [`Progress::Done`] when nothing was new.
    pub(super) async fn go(&mut self, shard: &Shard) -> Progress {
        self.new.clear();
        let (from, thrown) = shard.take_new(PASS_BYTES, &mut self.new);
        if thrown == Thrown::Yes {
            shard.tell_of_change();
        }
        let Some(oldest) = self.new.first() else {
            return if thrown == Thrown::Yes {
                Progress::More
            } else {
                Progress::Done
            };
        };
        if shard.halts().is_halted() {
            // It is nobody's: what was in the groups has left them.
            shard.passed.notify_waiters();
            return Progress::More;
        }
        let read_at = oldest.read_at();
        let mut written = Written::default();
        self.turn = Turn::begin();
        let now = clock::now();
        shard.passing.set(true);
        for group in shard.groups().all() {
            self.over(&group, from, now, &mut written).await;
            // Its last client may have gone while it was held here.
            shard.groups().release(&group);
        }
        shard.metrics().passed(&written, read_at);
        shard.passing.set(false);
        shard.passed.notify_waiters();
        Progress::More
    }

    async fn over(&mut self, group: &Group, from: Seq, now: Timestamp, written: &mut Written) {
        self.run.begin(from);
        for segment in &self.new {
            self.run.take(segment, group.view(), now);
        }
        for index in group.indices() {
            let Some(client) = group.at(index) else {
                continue;
            };
            // One that its own session served meanwhile stands at the end of the run already.
            if client.cursor() == from {
                match client.offer(&self.run) {
                    Ok(Sent {
                        all,
                        signals,
                        bytes,
                    }) => {
                        written.client(signals, bytes);
                        crash::point("mid_broadcast");
                        if !all {
                            group.leave(&client);
                            client.hand_over(None);
                        }
                    }
                    Err(error) => {
                        group.leave(&client);
                        client.hand_over(Some(error));
                    }
                }
            }
            drop(client);
            if self.turn.is_over() {
                written.stamp();
                tokio::task::yield_now().await;
                self.turn = Turn::begin();
            }
        }
        written.stamp();
    }
}

/// How long a pass may go on without letting others run.
#[derive(Debug)]
struct Turn {
    began: Instant,
    sessions: u32,
}

impl Turn {
    const MOST_SESSIONS: u32 = 256;
    const LONGEST: Duration = Duration::from_millis(1);
    /// Sessions between two looks at the clock, which costs a hundredth of a write.
    const CLOCK_EVERY: u32 = 16;

    fn begin() -> Self {
        Self {
            began: Instant::now(),
            sessions: 0,
        }
    }

    fn is_over(&mut self) -> bool {
        self.sessions += 1;
        self.sessions >= Self::MOST_SESSIONS
            || (self.sessions.is_multiple_of(Self::CLOCK_EVERY)
                && self.began.elapsed() >= Self::LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use futures::future::poll_immediate;

    use super::*;
    use crate::hub::Hub;
    use crate::hub::View;
    use crate::journal::{Batch, Journal, Memory};
    use crate::metrics::{Passes, Registry};
    use crate::signal::{Signal, TimeUnit};

    fn publish(hub: &mut Hub, count: usize) {
        let line = Signal::parse_line(b"buy X 1 7", TimeUnit::Seconds, clock::now());
        let signal = line.unwrap().unwrap();
        let mut batch = Batch::of(std::iter::repeat_n(signal, count));
        let recorded = Memory::new().append(&mut batch).unwrap().recorded;
        hub.publish(&recorded, Instant::now());
    }

    #[tokio::test]
    async fn a_shard_draws_level_with_what_was_published() {
        let (mut hub, mut followers) = Hub::new(None, 1 << 20, 1);
        let metrics = Passes::new(&Registry::default(), 0);
        let shard = Shard::new(followers.remove(0), metrics);
        assert!(poll_immediate(shard.draws_level()).await.is_some());
        publish(&mut hub, 2000);
        let mut level = std::pin::pin!(shard.draws_level());
        let mut pass = Pass::new();
        while shard.next().get() <= 2000 {
            assert!(poll_immediate(&mut level).await.is_none());
            pass.go(&shard).await;
        }
        assert!(poll_immediate(&mut level).await.is_some());
    }

    #[tokio::test]
    async fn a_group_whose_last_client_goes_during_a_pass_is_forgotten() {
        let (mut hub, mut followers) = Hub::new(None, 1 << 20, 1);
        let metrics = Passes::new(&Registry::default(), 0);
        let shard = Shard::new(followers.remove(0), metrics);
        publish(&mut hub, 1);

        let held = shard.groups().of(&View::default());
        let own = shard.groups().of(&View::default());
        shard.groups().release(&own);
        drop((own, held));
        assert_eq!(shard.groups().all().len(), 1, "somebody held it");
        Pass::new().go(&shard).await;
        assert_eq!(shard.groups().all().len(), 0);
    }
}
