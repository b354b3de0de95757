use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use tracing::{error, info, warn};

use super::lines::CutOff;
use super::splitter::Splitter;
use super::state::{Report, State, States};
use super::{Arrival, Handovers, Origin, READ_BYTES, SourceName, StdinSpec};

/// Standard input, not read from yet.
#[derive(Debug)]
pub(super) struct Input {
    spec: StdinSpec,
    input: Fd,
    stop: OwnedFd,
    stopper: Stopper,
}

/// Reads standard input to its end. Blocks in `poll` on it and on the stopper's pipe, because a
/// read of a silent terminal could not be interrupted, and because making the file description
/// non-blocking would make it so for the shell that shares it.
#[derive(Debug)]
pub(super) struct Reader {
    source: SourceName,
    input: Fd,
    stop: OwnedFd,
    splitter: Splitter,
    report: Report,
}

/// Stops the reader when it is dropped: its pipe's other end becomes readable.
#[derive(Debug)]
pub(super) struct Stopper {
    _pipe: OwnedFd,
}

impl Input {
    pub(super) fn new(spec: StdinSpec) -> io::Result<Self> {
        let (stop, pipe) = pipe_with(PipeFlags::CLOEXEC)?;
        Ok(Self {
            spec,
            input: Fd::Standard(io::stdin()),
            stop,
            stopper: Stopper { _pipe: pipe },
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
        let reader = Reader {
            report: states.report(&source),
            source,
            input: self.input,
            stop: self.stop,
            splitter: Splitter::new(origin, 1, 0),
        };
        (reader, self.stopper)
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
            let mut both = [
                PollFd::new(&self.stop, PollFlags::IN),
                PollFd::new(&self.input, PollFlags::IN),
            ];
            match poll(&mut both, None) {
                Ok(_) => {}
                Err(Errno::INTR | Errno::AGAIN) => continue,
                Err(why) => return Err(why.into()),
            }
            let [stop, input] = both.map(|fd| fd.revents());
            if !stop.is_empty() {
                return Ok(Read::Stop);
            }
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
