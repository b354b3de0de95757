use std::num::NonZeroU32;
use std::process::ExitStatus;
use std::thread;
use std::time::Duration;

use super::BenchError;
use super::command::Running;
use super::crowd::Crowd;
use super::ended::Ended;
use super::feed::{Feeding, Pace, Phase, Sink};
use super::interrupt::Interrupt;
use super::line::Lines;
use super::measure::{Connected, Fed, Measured, Stand};
use super::moment::{Moment, thread_cpu};
use super::options::{Feed, Options};
use super::process::{Usage, usage};
use super::progress::Progress;
use super::report::Report;
use super::tally::Rule;

/// Connects the clients, measures, and says what was seen. Ctrl-C ends it early, with a report.
///
/// # Errors
/// There is nothing to report.
pub fn run(options: &Options) -> Result<Report, BenchError> {
    let mut run = Run::prepare(options)?;
    let connected = run.connect()?;
    run.settle()?;
    let idle = run.usage();
    run.warm_up()?;
    let measured = run.measure()?;
    run.crowd.leave()?;
    Ok(run.report(&connected, idle.as_ref(), &measured))
}

/// A run, as far as it has come. What it has started ends with it.
pub(super) struct Run<'a> {
    pub(super) options: &'a Options,
    pub(super) crowd: Crowd,
    pub(super) interrupt: Interrupt,
    pub(super) progress: Progress,
    pub(super) sink: Option<Sink>,
    /// The server and whoever takes the lines, if they were started.
    pub(super) commands: Vec<Running>,
    pub(super) pid: Option<u32>,
    pub(super) before: Option<Usage>,
}

impl Run<'_> {
    fn connect(&mut self) -> Result<Connected, BenchError> {
        let (clients, at_once) = (self.options.clients.get(), self.options.connecting.get());
        let (before, cpu, start) = (self.usage(), thread_cpu(), Moment::now());
        let (mut open, mut since) = (0, start);
        loop {
            while self.crowd.attempts() < clients && self.crowd.pending() < at_once {
                self.crowd.connect()?;
            }
            self.crowd.turn(TURN, |_| {})?;
            let (now, crowd) = (Moment::now(), &self.crowd);
            if crowd.open > open {
                (open, since) = (crowd.open, now);
            }
            self.progress
                .say(|| format!("connecting: {} of {clients}", crowd.open));
            let is_interrupted = self.interrupt.came();
            let is_hopeless = crowd.open == 0 && crowd.failed >= FAILURES_THAT_TELL.max(at_once);
            let why = match (is_interrupted, is_hopeless) {
                (true, _) => Some(Ended::Interrupted),
                (_, true) => Some(Ended::Hopeless),
                _ => (now.since(since) > CONNECTS_WITHIN).then_some(Ended::Late),
            };
            if let Some(why) = why {
                self.crowd.give_up_pending(&why);
                break;
            }
            if crowd.attempts() == clients && crowd.pending() == 0 {
                break;
            }
        }
        let taken = Moment::now().since(start);
        let own_cpu = thread_cpu().saturating_sub(cpu);
        if self.crowd.open == 0 {
            if self.interrupt.came() {
                return Err(BenchError::Interrupted);
            }
            if let Some(status) = self.server_ended()? {
                return Err(BenchError::ServerEnded(status));
            }
            let reasons: Vec<&str> = self.crowd.reasons.keys().map(String::as_str).collect();
            return Err(BenchError::NoClient(reasons.join("; ")));
        }
        Ok(Connected {
            clients: self.crowd.open,
            failed: clients - self.crowd.open - self.crowd.closed,
            taken,
            own_cpu,
            server_cpu: before
                .zip(self.usage())
                .map(|(before, after)| after.cpu - before.cpu),
        })
    }

    /// Lets the server come to rest.
    fn settle(&mut self) -> Result<(), BenchError> {
        let end = Moment::now() + self.options.settle;
        while Moment::now() < end && !self.interrupt.came() {
            self.turn(end.since(Moment::now()))?;
        }
        Ok(())
    }

    fn warm_up(&mut self) -> Result<(), BenchError> {
        let Some(feed) = &self.options.feed else {
            return Ok(());
        };
        if feed.warm_up > 0 {
            self.crowd.count(Rule::All(0));
            let pace = Pace::Rate(WARM_UP_RATE);
            self.feed(phase(feed, 0..feed.warm_up, pace, WARMS_UP_WITHIN))?;
        }
        Ok(())
    }

    fn measure(&mut self) -> Result<Measured, BenchError> {
        let options = self.options;
        let rule = match &options.feed {
            Some(feed) => Rule::All(feed.warm_up),
            None => Rule::AsTheOthers,
        };
        self.crowd.count(rule);
        let server = self.usage();
        let mut start = Stand::now(&self.crowd);
        start.server = server;
        let (fed, end) = match &options.feed {
            Some(feed) => {
                let first = feed.warm_up;
                let end = feed
                    .lines
                    .map_or(u64::MAX, |lines| first.saturating_add(lines));
                let phase = phase(feed, first..end, feed.pace, options.duration);
                let (fed, end) = self.feed(phase)?;
                (Some(fed), self.linger(end)?)
            }
            None => {
                self.receive()?;
                (None, self.stand())
            }
        };
        let mut measured = Measured::between(&start, &end, fed);
        measured.server_ended = self.server_ended()?;
        Ok(measured)
    }

    /// How the server that we started has ended, if it has. Its connections end a little earlier.
    fn server_ended(&mut self) -> Result<Option<ExitStatus>, BenchError> {
        let deadline = Moment::now() + DYING;
        let has_clients = self.crowd.open > 0;
        let started = self.commands.first_mut();
        let Some(server) = started.filter(|_| self.options.server.is_some()) else {
            return Ok(None);
        };
        loop {
            let ended = server.ended()?;
            if ended.is_some() || has_clients || Moment::now() >= deadline {
                return Ok(ended);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn stand(&self) -> Stand {
        let mut stand = Stand::now(&self.crowd);
        stand.server = self.usage();
        stand
    }

    /// Without a feed of our own.
    fn receive(&mut self) -> Result<(), BenchError> {
        let (start, most) = (Moment::now(), self.options.duration);
        let end = start + most;
        loop {
            let now = Moment::now();
            if now >= end || self.interrupt.came() || self.crowd.judge.tally.present() == 0 {
                return Ok(());
            }
            self.turn(end.since(now))?;
            let tally = &self.crowd.judge.tally;
            self.progress.say(|| {
                let seconds = Moment::now().since(start).as_secs_f64();
                let messages = tally.delivered + tally.unnumbered;
                format!(
                    "receiving: {seconds:.1} s of {} s, {messages} messages",
                    most.as_secs()
                )
            });
        }
    }

    /// Writes some lines, and waits until everybody has them, or until nothing more comes. Says how
    /// all stood at the last delivery, for what is waited longer is nobody's work.
    fn feed(&mut self, phase: Phase) -> Result<(Fed, Stand), BenchError> {
        let (first, start, is_paced) = (
            phase.numbers.start,
            Moment::now(),
            matches!(phase.pace, Pace::Rate(_)),
        );
        let mut hard_end = start + phase.time_limit + AFTER_THE_FEED;
        // It is gone when the phase before hangs in a write.
        let sink = self.sink.take().ok_or(BenchError::FeedHangs)?;
        let feeding = Feeding::start(sink, phase)?;
        self.crowd.judge.next_unsent = feeding.begun();
        let mut quiet_since = start;
        let mut stand: Option<Stand> = None;
        let is_complete = loop {
            self.crowd.turn(TURN, |number| feeding.completed(number))?;
            let (now, tally) = (Moment::now(), &self.crowd.judge.tally);
            quiet_since = quiet_since.max(tally.numbered_at);
            if self.interrupt.came() {
                // What is on its way is not lost.
                feeding.stop();
                hard_end = hard_end.min(now + QUIET);
            }
            self.progress.say(|| {
                let (written, delivered) = (feeding.written() - first, tally.delivered);
                format!("feeding: {written} lines, {delivered} deliveries")
            });
            if feeding.is_done() && tally.completed() >= feeding.written() {
                break true;
            }
            let seems_over =
                now.since(tally.delivered_at) > SILENCE && (feeding.is_done() || !is_paced);
            let is_newer = |stand: &Stand| tally.delivered_at > stand.at;
            if seems_over && tally.delivered > 0 && stand.as_ref().is_none_or(is_newer) {
                stand = Some(self.stand());
            }
            let is_quiet = now.since(quiet_since) > QUIET && now.since(start) > QUIET;
            let is_over = tally.present() == 0 || now >= hard_end;
            if is_over || (is_quiet && (feeding.is_done() || !is_paced)) {
                feeding.stop();
                if is_over || feeding.is_done() || now.since(quiet_since) > 2 * QUIET {
                    break false;
                }
            }
        };
        let delivered_at = self.crowd.judge.tally.delivered_at;
        let stand = stand
            .filter(|stand| stand.at >= delivered_at)
            .unwrap_or_else(|| self.stand());
        feeding.stop();
        let end = feeding.written();
        let written = feeding.end_within(HANGING).map(|(sink, written)| {
            self.sink = Some(sink);
            written
        });
        let fed = Fed {
            first,
            end,
            is_complete,
            written,
        };
        Ok((fed, stand))
    }

    /// Waits for what comes late or again, longer while somebody lacks something that may come. Only
    /// a delivery changes how all stood at the last.
    fn linger(&mut self, mut stand: Stand) -> Result<Stand, BenchError> {
        let start = Moment::now();
        loop {
            self.turn(TURN)?;
            let (now, tally) = (Moment::now(), &self.crowd.judge.tally);
            let patience = if tally.is_anything_missing() {
                QUIET
            } else {
                LINGER
            };
            let is_quiet = now.since(tally.numbered_at) > patience;
            let is_over = tally.present() == 0 || now.since(start) > AFTER_THE_FEED;
            if tally.delivered_at > stand.at {
                stand = self.stand();
            }
            if is_quiet || is_over || self.interrupt.came() {
                return Ok(stand);
            }
        }
    }

    fn turn(&mut self, most: Duration) -> Result<(), BenchError> {
        Ok(self.crowd.turn(most.min(TURN), |_| {})?)
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        usage(self.pid?)
    }
}

fn phase(feed: &Feed, numbers: std::ops::Range<u64>, pace: Pace, time_limit: Duration) -> Phase {
    Phase {
        numbers,
        pace,
        batch: feed.batch,
        lines: Lines {
            least_bytes: feed.line_bytes,
            symbols: feed.symbols,
        },
        time_limit,
    }
}

/// Without a single new client.
const CONNECTS_WITHIN: Duration = Duration::from_secs(20);

/// So many failures, those that came at once among them, and not one client: the rest would fare no
/// better, and be a burden.
const FAILURES_THAT_TELL: usize = 20;

/// A turn, unless something happens: how soon Ctrl-C is heeded.
const TURN: Duration = Duration::from_millis(20);

/// Nothing was delivered for so long: that may have been the last.
const SILENCE: Duration = Duration::from_millis(100);

/// Nothing has come for so long: nothing more comes.
const QUIET: Duration = Duration::from_millis(2500);

/// Everybody has everything, and still something might come again.
const LINGER: Duration = Duration::from_millis(500);

/// How long the feed's last lines may take.
const AFTER_THE_FEED: Duration = Duration::from_secs(15);

/// What a process that dies may take for it.
const DYING: Duration = Duration::from_millis(500);

/// A write that takes longer when it should be over.
const HANGING: Duration = Duration::from_secs(2);

const WARM_UP_RATE: NonZeroU32 = NonZeroU32::new(100).expect("not 0");
const WARMS_UP_WITHIN: Duration = Duration::from_secs(15);
