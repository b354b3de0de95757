use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tracing::{error, info, warn};

use super::bell::{Bell, Stopper};
use super::lines::CutOff;
use super::splitter::Splitter;
use super::state::{Report, State, States};
use super::{Arrival, Handovers, Origin, READ_BYTES, SourceName, StdinSpec};

/// Standard input, not read from yet.
#[derive(Debug)]
pub(super) struct Input {
    spec: StdinSpec,
    input: Fd,
    bell: Bell,
}

/// Reads standard input to its end. Blocks in `poll` on it and on the bell, because a
/// read of a silent terminal could not be interrupted, and because making the file description
/// non-blocking would make it so for the shell that shares it.
#[derive(Debug)]
pub(super) struct Reader {
    source: SourceName,
    input: Fd,
    bell: Bell,
    splitter: Splitter,
    report: Report,
}

impl Input {
    pub(super) fn new(spec: StdinSpec) -> io::Result<Self> {
        Ok(Self {
            spec,
            input: Fd::Standard(io::stdin()),
            bell: Bell::new()?,
        })
    }

    pub(super) fn reading(self, input: OwnedFd) -> Self {
        Self {
            input: Fd::Other(input),
            ..self
        }
    }

    pub(super) fn into_reader(self, states: &States) -> (Reader, Stopper) {
        let source = SourceName::from("stdin");
        let origin = Origin {
            source: source.clone(),
            file: None,
            unit: self.spec.unit,
        };
        let (report, stopper) = (states.report(&source), self.bell.stopper());
        let bell = self.bell.clone();
        report.when_paused_or_resumed(move || bell.ring());
        let reader = Reader {
            report,
            source,
            input: self.input,
            bell: self.bell,
            splitter: Splitter::new(origin, 1, 0),
        };
        (reader, stopper)
    }
}

impl Reader {
    /// Blocks until the end of the input, the stop, or until nobody wants the lines any more.
    pub(super) fn run(mut self, handovers: &Handovers) {
        let mut buffer = vec![0; READ_BYTES];
        let mut ready = Vec::new();
        self.report.set(State::Live);
        loop {
            let end = match self.read(&mut buffer) {
                Ok(Read::Bytes(count)) => {
                    self.splitter.push(&buffer[..count], &mut ready);
                    None
                }
                Ok(Read::End) => {
                    self.splitter.finish(&mut ready);
                    info!(source = %self.source, "source ended");
                    self.report.set(State::Ended);
                    Some(Arrival::Ended(self.source.clone()))
                }
                Ok(Read::Stop) => {
                    self.splitter.cut_off(CutOff::Stopped, &mut ready);
                    handovers.send(ready);
                    return;
                }
                Err(why) => {
                    self.report.set(State::Failed);
                    error!(source = %self.source, %why, "source failed; to read it again, restart the server");
                    self.splitter.cut_off(CutOff::Stopped, &mut ready);
                    Some(Arrival::Failed(self.source.clone()))
                }
            };
            let last = end.is_some();
            ready.extend(end);
            // Each line goes on as soon as its newline was read, without waiting for more.
            let wanted = handovers.send(std::mem::take(&mut ready));
            if last || !wanted {
                return;
            }
        }
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<Read> {
        loop {
            if self.bell.is_stopped() {
                return Ok(Read::Stop);
            }
            let mut both = [
                PollFd::new(&self.bell, PollFlags::IN),
                PollFd::new(&self.input, PollFlags::IN),
            ];
            let heard = if self.report.is_paused() { 1 } else { 2 };
            match poll(&mut both[..heard], None) {
                Ok(_) => {}
                Err(Errno::INTR | Errno::AGAIN) => continue,
                Err(why) => return Err(why.into()),
            }
            let [bell, input] = both.map(|fd| fd.revents());
            if !bell.is_empty() {
                // What it was rung for is looked at after that, so that no ring is missed.
                self.bell.hush();
                continue;
            }
            let Some(_reading) = self.report.begin_read() else {
                continue;
            };
            if input.contains(PollFlags::NVAL) {
                warn!("standard input is closed");
                return Ok(Read::End);
            }
            match rustix::io::read(&self.input, &mut *buffer) {
                Ok(0) => return Ok(Read::End),
                Ok(count) => return Ok(Read::Bytes(count)),
                // Somebody else may have made it non-blocking.
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(why) => return Err(why.into()),
            }
        }
    }
}

enum Read {
    Bytes(usize),
    End,
    Stop,
}

#[derive(Debug)]
enum Fd {
    Standard(io::Stdin),
    Other(OwnedFd),
}

impl AsFd for Fd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Standard(stdin) => stdin.as_fd(),
            Self::Other(fd) => fd.as_fd(),
        }
    }
}
