//! Runs a command and reads what it prints: one thread per `exec:` source, and one for what the
//! command says on standard error.

mod child;
mod leash;
mod stderr;

use std::io;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, ioctl_fionread};
use tracing::{error, info, warn};

use super::bell::Bell;
use super::lines::CutOff;
use super::splitter::Splitter;
use super::state::{Report, State, States};
use super::{Arrival, ExecSpec, Handovers, Origin, READ_BYTES, Restart, SourceName, Spec};
use crate::backoff::Backoff;
use child::{Child, How, Next};
use leash::Leash;
use stderr::timespec;

pub use leash::Children;

/// An `exec:` source whose command was not started yet.
#[derive(Debug)]
pub(super) struct Program {
    spec: ExecSpec,
    bell: Bell,
    leash: Leash,
}

/// The thread of one `exec:` source.
#[derive(Debug)]
pub(super) struct Runner {
    origin: Origin,
    spec: ExecSpec,
    /// How long the command has to end when the server stops.
    grace: Duration,
    bell: Bell,
    leash: Leash,
    report: Report,
    handovers: Handovers,
}

/// Ends the command and stops its source when it is dropped.
#[derive(Debug)]
pub(super) struct Stopper {
    bell: Bell,
    leash: Leash,
}

/// What became of a command.
enum Outcome {
    /// It has ended with 0.
    Done,
    /// It has not, or it could not be started: for this reason.
    Failed(String),
    /// The source is to stop, or nobody wants the lines any more.
    Stopped,
}

/// One run of a command.
struct Run<'a> {
    runner: &'a Runner,
    child: Child,
    splitter: Splitter,
    buffer: Vec<u8>,
    /// All that it has printed was read: nobody has its standard output open any more.
    all_read: bool,
    /// When it is told that a command runs on and can print no more.
    mute_at: Option<Instant>,
    is_stopping: bool,
}

/// Nobody wants the lines any more.
struct Unwanted;

impl Program {
    /// What it starts is one of `children`.
    pub(super) fn new(spec: ExecSpec, children: &mut Children) -> io::Result<Self> {
        let leash = Leash::default();
        children.add(leash.clone());
        Ok(Self {
            spec,
            bell: Bell::new()?,
            leash,
        })
    }

    pub(super) fn into_runner(
        self,
        handovers: Handovers,
        states: &States,
        grace: Duration,
    ) -> (Runner, Stopper) {
        let source = Spec::Exec(self.spec.clone()).name();
        let report = states.report(&source);
        let bell = self.bell.clone();
        report.when_paused_or_resumed(move || bell.ring());
        let stopper = Stopper {
            bell: self.bell.clone(),
            leash: self.leash.clone(),
        };
        let runner = Runner {
            origin: Origin {
                source,
                file: None,
                unit: self.spec.unit(),
            },
            spec: self.spec,
            grace,
            bell: self.bell,
            leash: self.leash,
            report,
            handovers,
        };
        (runner, stopper)
    }
}

impl Drop for Stopper {
    fn drop(&mut self) {
        // First, so that the command's end is not taken for a failure.
        self.bell.stop();
        // At once, also when the thread waits for ingest.
        self.leash.stop();
    }
}

impl Runner {
    /// Blocks until the command has ended for good, until it is stopped, or until nobody wants the
    /// lines any more.
    pub(super) fn run(self) {
        let mut backoff = Backoff::default();
        while self.may_begin() {
            let begun = Instant::now();
            let outcome = self.run_once();
            if begun.elapsed() >= LONG_RUN {
                backoff = Backoff::default();
            }
            let goes_on = match (outcome, self.spec.restart()) {
                (Outcome::Stopped, _) => false,
                (outcome, Restart::Never) => {
                    self.end(&outcome);
                    false
                }
                (outcome, Restart::Always) => self.rest(&outcome, backoff.next()),
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Waits while it is paused; false when it is stopped.
    fn may_begin(&self) -> bool {
        while self.report.is_paused() && !self.bell.is_stopped() {
            self.listen(None);
        }
        !self.bell.is_stopped()
    }

    /// The source ends with its command.
    fn end(&self, outcome: &Outcome) {
        let source = self.source().clone();
        let last = if let Outcome::Failed(why) = outcome {
            self.report.set(State::Failed);
            error!(%source, why, "source failed; to run the command again, restart the server");
            Arrival::Failed(source)
        } else {
            self.report.set(State::Ended);
            info!(%source, "source ended");
            Arrival::Ended(source)
        };
        self.handovers.send(vec![last]);
    }

    /// Waits until the command is to be started again; false when it is stopped.
    fn rest(&self, outcome: &Outcome, wait: Duration) -> bool {
        let (source, seconds) = (self.source(), wait.as_secs_f32());
        if let Outcome::Failed(why) = outcome {
            self.report.set(State::Failed);
            warn!(%source, why, seconds, "the command has failed; it is started again after a while");
        } else {
            self.report.set(State::Waiting);
            info!(%source, seconds, "the command has ended; it is started again after a while");
        }
        let until = Instant::now() + wait;
        while Instant::now() < until && !self.bell.is_stopped() {
            self.listen(Some(until));
        }
        !self.bell.is_stopped()
    }

    fn run_once(&self) -> Outcome {
        let source = self.source();
        match Child::start(source, self.spec.command(), &self.leash) {
            Ok(Some(child)) => {
                info!(%source, pid = child.pid(), "command started");
                self.report.set(State::Live);
                self.attend(child)
            }
            Ok(None) => Outcome::Stopped,
            Err(why) => Outcome::Failed(format!(
                "it can't be started: {why}; are the limits of processes and open files too low (ulimit -u, ulimit -n)?"
            )),
        }
    }

    fn attend(&self, child: Child) -> Outcome {
        let mut run = Run {
            runner: self,
            child,
            splitter: Splitter::new(self.origin.clone(), 1, 0),
            buffer: vec![0; READ_BYTES],
            all_read: false,
            mute_at: None,
            is_stopping: false,
        };
        match run.read_all() {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(Unwanted)) => Outcome::Stopped,
            Err(why) => match run.give_up() {
                Ok(()) => Outcome::Failed(format!("nobody knows what became of it: {why}")),
                Err(Unwanted) => Outcome::Stopped,
            },
        }
    }

    /// Sleeps until it is stopped, paused or resumed.
    fn listen(&self, until: Option<Instant>) {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let mut bell = [PollFd::new(&self.bell, PollFlags::IN)];
        // Whoever calls looks at what has changed, and comes back.
        let _ = poll(&mut bell, left.map(timespec).as_ref());
        self.bell.hush();
    }

    fn source(&self) -> &SourceName {
        &self.origin.source
    }
}

impl Run<'_> {
    /// Reads what the command prints until all of it has ended.
    fn read_all(&mut self) -> io::Result<Result<Outcome, Unwanted>> {
        loop {
            self.look()?;
            let paused = self.runner.report.is_paused();
            if let Some((status, how)) = self.child.over()
                && (self.child.output().is_none() || (paused && self.is_stopping))
            {
                return Ok(self.finish(status, how));
            }
            match self.child.wait(&self.runner.bell, !paused, self.mute_at)? {
                Next::Read => {
                    if self.read().is_err() {
                        return Ok(Err(Unwanted));
                    }
                }
                Next::Look if self.child.over().is_some() && !paused => {
                    // Its pipe is empty, so whoever holds the other end has left the group.
                    let source = self.runner.source();
                    warn!(%source, "what the command has started has left its process group and may run on; not waiting for it");
                    self.child.close_output();
                }
                Next::Look => {}
            }
        }
    }

    fn look(&mut self) -> io::Result<()> {
        let now = Instant::now();
        self.runner.bell.hush();
        if self.runner.bell.is_stopped() && !self.is_stopping {
            self.is_stopping = true;
            self.child.end(now + self.runner.grace);
        }
        self.child.look(now)?;
        if let Some((status, _)) = self.child.over()
            && !status.success()
            && !self.is_stopping
        {
            // Known before the rest is read, which a pause may put off.
            self.runner.report.set(State::Failed);
        }
        if self.mute_at.is_some_and(|at| at <= now) {
            self.mute_at = None;
            if self.child.runs() && !self.is_stopping {
                let source = self.runner.source();
                warn!(%source, "the command has closed its standard output, so nothing comes from it until it ends");
                self.runner.report.set(State::Waiting);
            }
        }
        Ok(())
    }

    fn read(&mut self) -> Result<(), Unwanted> {
        // Paused since it was looked.
        let Some(reading) = self.runner.report.begin_read() else {
            return Ok(());
        };
        let Some(output) = self.child.output() else {
            return Ok(());
        };
        let mut ready = Vec::new();
        match rustix::io::read(output, &mut *self.buffer) {
            Ok(0) => {
                self.all_read = true;
                self.output_ended();
            }
            Ok(count) => self.splitter.push(&self.buffer[..count], &mut ready),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(why) => {
                let source = self.runner.source();
                error!(%source, %why, "can't read what the command prints");
                self.output_ended();
            }
        }
        drop(reading);
        self.hand_over(ready)
    }

    fn output_ended(&mut self) {
        self.child.close_output();
        self.mute_at = Some(Instant::now() + TIME_TO_END);
    }

    /// A last line without its newline counts only when the command has ended as it should, and
    /// whoever could have printed the rest has ended by itself: else it may be the beginning of
    /// another one.
    fn finish(&mut self, status: ExitStatus, how: How) -> Result<Outcome, Unwanted> {
        let source = self.runner.source();
        let bytes = self.unread();
        if bytes > 0 {
            warn!(%source, bytes, "stopped while paused; what the command has printed meanwhile is not sent");
        }
        if status.success() && how == How::ByItself && self.all_read {
            let mut ready = Vec::new();
            self.splitter.finish(&mut ready);
            self.hand_over(ready)?;
        } else {
            self.cut_off(Some(status))?;
        }
        if self.is_stopping {
            info!(%source, %status, "command ended");
            return Ok(Outcome::Stopped);
        }
        Ok(if status.success() {
            Outcome::Done
        } else {
            Outcome::Failed(status.to_string())
        })
    }

    /// Nobody can tell how the command has ended, or whether. What it has printed by now still counts,
    /// unless the source is paused.
    fn give_up(&mut self) -> Result<(), Unwanted> {
        let end = self.splitter.end() + self.unread();
        while self.splitter.end() < end
            && self.child.output().is_some()
            && !self.runner.report.is_paused()
        {
            self.read()?;
        }
        let bytes = end.saturating_sub(self.splitter.end());
        if bytes > 0 {
            let source = self.runner.source();
            warn!(%source, bytes, "what the command has printed while it was paused is not sent");
        }
        self.cut_off(None)
    }

    /// The last line will never be whole.
    fn cut_off(&mut self, status: Option<ExitStatus>) -> Result<(), Unwanted> {
        let why = match status {
            _ if self.is_stopping => CutOff::Stopped,
            Some(status) if status.success() => CutOff::Outlived,
            _ => CutOff::Failed,
        };
        let mut ready = Vec::new();
        self.splitter.cut_off(why, &mut ready);
        self.hand_over(ready)
    }

    /// Bytes in its pipe.
    fn unread(&self) -> u64 {
        let output = self.child.output();
        output
            .and_then(|output| ioctl_fionread(output).ok())
            .unwrap_or(0)
    }

    fn hand_over(&self, ready: Vec<Arrival>) -> Result<(), Unwanted> {
        self.runner
            .handovers
            .send(ready)
            .then_some(())
            .ok_or(Unwanted)
    }
}

/// A command that ran for so long has begun well: the next wait is a short one again.
const LONG_RUN: Duration = Duration::from_secs(60);

/// What has closed its standard output usually ends then.
const TIME_TO_END: Duration = Duration::from_secs(1);
