use std::io::{self, Write};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::answer::{Repeated, Verdict};
use super::input::Chunk;
use super::leftover;
use super::options::Options;
use super::post::{NoAnswer, Post};
use super::unacknowledged::Unacknowledged;
use super::{Done, FeedError};
use crate::backoff::Backoff;
use crate::printable::printable;

/// Brings what is read to the server.
pub(super) struct Feeder<'a> {
    options: &'a Options,
    chunks: mpsc::Receiver<io::Result<Chunk>>,
    /// Nothing more will be read.
    is_read: bool,
    /// Why, if that was not the end.
    broken: Option<io::Error>,
    stop: CancellationToken,
    post: Post<'a>,
    lines: Unacknowledged,
    done: Done,
    /// Lines whose id was in the log before they were sent.
    repeated: usize,
    backoff: Backoff,
    /// What the server did wrong last, for saying it once.
    trouble: Option<String>,
}

/// Why it has to be tried again, and not before this time is over.
struct Trouble {
    why: String,
    at_least: Duration,
}

impl Trouble {
    fn of(why: String) -> Self {
        let at_least = Duration::ZERO;
        Self { why, at_least }
    }
}

/// Once somebody has stopped us, what was read has this long to get there.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// What was just being read when we gave up has this long to come.
const LAST_READ: Duration = Duration::from_millis(200);

impl<'a> Feeder<'a> {
    pub(super) fn new(
        options: &'a Options,
        chunks: mpsc::Receiver<io::Result<Chunk>>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            options,
            chunks,
            is_read: false,
            broken: None,
            stop,
            post: Post::new(options),
            lines: Unacknowledged::default(),
            done: Done::default(),
            repeated: 0,
            backoff: options.backoff.clone(),
            trouble: None,
        }
    }

    /// Goes on until the server has everything. What is wrong is said to `err`.
    pub(super) async fn feed(mut self, mut err: impl Write) -> Result<Done, FeedError> {
        let stop = self.stop.clone();
        let stopped = async {
            stop.cancelled().await;
            sleep(LAST_WAIT).await;
        };
        let outcome = tokio::select! {
            outcome = self.bring_all(&mut err) => outcome,
            () = stopped => Err(FeedError::Stopped),
        };
        match outcome {
            Ok(()) => {
                if self.repeated > 1 {
                    let what = "lines were dropped in all, for their ids are in the log already";
                    self.say(&format!("{} {what}", self.repeated), &mut err);
                }
                Ok(self.done)
            }
            Err(why) => Err(self.give_up(why, &mut err).await),
        }
    }

    async fn bring_all(&mut self, err: &mut impl Write) -> Result<(), FeedError> {
        loop {
            self.fill(err).await;
            if self.lines.is_empty() {
                return match self.broken.take() {
                    Some(why) => Err(FeedError::Input(why)),
                    None if self.stop.is_cancelled() => Err(FeedError::Stopped),
                    None => Ok(()),
                };
            }
            self.bring(err).await?;
        }
    }

    /// Takes what was read, and waits for more only when there is nothing to send.
    async fn fill(&mut self, err: &mut impl Write) {
        if self.stop.is_cancelled() {
            // What was read already still comes.
            self.chunks.close();
        }
        while !self.is_read && self.lines.has_room() {
            let chunk = match self.chunks.try_recv() {
                Err(mpsc::error::TryRecvError::Empty) if self.lines.is_empty() => {
                    tokio::select! {
                        chunk = self.chunks.recv() => chunk,
                        () = self.stop.cancelled() => None,
                    }
                }
                Err(mpsc::error::TryRecvError::Empty) => return,
                chunk => chunk.ok(),
            };
            self.take(chunk, err);
        }
    }

    fn take(&mut self, chunk: Option<io::Result<Chunk>>, err: &mut impl Write) {
        match chunk {
            Some(Ok(chunk)) => {
                for (number, why) in chunk.refused {
                    self.refuse(number, &why, err);
                }
                self.lines.push(chunk.lines);
            }
            Some(Err(why)) => {
                self.broken = Some(why);
                self.is_read = true;
            }
            None => self.is_read = true,
        }
    }

    /// Sends some lines, once.
    async fn bring(&mut self, err: &mut impl Write) -> Result<(), FeedError> {
        let (count, text) = self.lines.batch();
        let verdict = match self.post.send(&text).await {
            Ok(answer) => answer.verdict(count),
            Err(NoAnswer::Ended) => {
                self.lines.may_be_there(count);
                return Ok(());
            }
            Err(NoAnswer::ForGood(why)) => Verdict::ForGood(why),
            Err(NoAnswer::Lost(why)) => Verdict::Lost { why },
            Err(NoAnswer::ForNow(why)) => Verdict::NotNow {
                why,
                at_least: Duration::ZERO,
            },
        };
        if let Some(Trouble { why, at_least }) = self.heed(verdict, count, err)? {
            self.wait(&why, at_least, err).await;
            return Ok(());
        }
        if self.trouble.take().is_some() {
            self.say("going on", err);
        }
        self.backoff = self.options.backoff.clone();
        Ok(())
    }

    /// Does what follows from it, but for waiting.
    fn heed(
        &mut self,
        verdict: Verdict,
        count: usize,
        err: &mut impl Write,
    ) -> Result<Option<Trouble>, FeedError> {
        let trouble = match verdict {
            Verdict::Accepted(repeated) => {
                self.done.acknowledged += count as u64;
                let repeated = self.lines.acknowledged(count, repeated);
                self.count_repeated(&repeated, err);
                return Ok(None);
            }
            Verdict::Refused(reasons) => {
                for (number, why) in self.lines.refused(reasons) {
                    self.refuse(number, &printable(&why), err);
                }
                return Ok(None);
            }
            Verdict::TooMany if self.lines.send_fewer(count) => return Ok(None),
            Verdict::TooMany => {
                let words = "a single line is too long for the server".to_owned();
                return Err(FeedError::Refused(words));
            }
            Verdict::TooSlow { why } => {
                self.lines.send_fewer(count);
                Trouble::of(why)
            }
            Verdict::Lost { why } => {
                self.lines.lost(count);
                Trouble::of(why)
            }
            Verdict::Unsure { why, at_least } => {
                self.lines.may_be_there(count);
                Trouble { why, at_least }
            }
            Verdict::NotNow { why, at_least } => Trouble { why, at_least },
            Verdict::ForGood(why) => return Err(why),
        };
        Ok(Some(trouble))
    }

    /// Waits before the next try, and says why when that is news.
    async fn wait(&mut self, why: &str, at_least: Duration, err: &mut impl Write) {
        if self.trouble.as_deref() != Some(why) {
            self.say(&format!("{why}; trying again until it works"), err);
            self.trouble = Some(why.to_owned());
        }
        sleep(self.backoff.next().max(at_least)).await;
    }

    /// Keeps what the server may not have.
    async fn give_up(mut self, why: FeedError, err: &mut impl Write) -> FeedError {
        self.chunks.close();
        let rest = async {
            while let Some(chunk) = self.chunks.recv().await {
                self.take(Some(chunk), err);
            }
        };
        // Who waits for standard input brings nothing more.
        timeout(LAST_READ, rest).await.ok();
        let lines = self.lines.into_lines();
        let Some(first) = lines.first() else {
            return why;
        };
        let (why, count) = (Box::new(why), lines.len());
        match leftover::keep(&self.options.folder, &lines) {
            Ok(file) => FeedError::Unacknowledged { why, count, file },
            Err(file) => FeedError::Lost {
                why,
                count,
                first: first.number,
                file,
            },
        }
    }

    fn refuse(&mut self, number: u64, why: &str, err: &mut impl Write) {
        self.done.refused += 1;
        self.tell(number, &format!("line refused: {why}"), err);
    }

    /// The first one is told; whoever feeds a whole file again knows the rest.
    fn count_repeated(&mut self, repeated: &[(u64, Repeated)], err: &mut impl Write) {
        if let [(number, Repeated { id, seq, .. }), ..] = repeated
            && self.repeated == 0
        {
            let id = printable(id);
            let what =
                format!("dropped: a signal with its id {id} is in the log already, seq {seq}");
            self.tell(*number, &what, err);
        }
        self.repeated += repeated.len();
    }

    fn tell(&self, number: u64, what: &str, err: &mut impl Write) {
        // Whoever has closed that does not want to know.
        let _ = writeln!(err, "signalcast: stdin:{number}: {what}");
    }

    fn say(&self, what: &str, err: &mut impl Write) {
        let _ = writeln!(err, "signalcast: {}: {what}", self.options.url);
    }
}
