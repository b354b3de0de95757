use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::CheckError;
use super::findings::Findings;
use crate::signal::TimeUnit;
use crate::source::{CutOff, Origin, SourceName, Splitter};

/// A feed, to be read once from its start to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// The file; none: standard input.
    pub file: Option<PathBuf>,
    /// What a bare number in `timestamp` counts.
    pub unit: TimeUnit,
}

/// What the end of the bytes means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The end of a stream: what stands there is all there will be.
    Final,
    /// The end of a file that is written to: a line without its newline may go on.
    Open,
}

impl Feed {
    pub(super) fn check(&self, findings: &mut Findings<impl Write>) -> Result<(), CheckError> {
        let read = |why| CheckError::Read {
            path: self.file.clone().unwrap_or("stdin".into()),
            why,
        };
        let Some(path) = &self.file else {
            return self.lines(io::stdin().lock(), End::Final, findings, read);
        };
        let file = File::open(path).map_err(read)?;
        // A pipe that is named, as by `<(…)` of a shell, ends as standard input does.
        let end = if file.metadata().map_err(read)?.is_file() {
            End::Open
        } else {
            End::Final
        };
        self.lines(file, end, findings, read)
    }

    fn lines(
        &self,
        mut input: impl Read,
        end: End,
        findings: &mut Findings<impl Write>,
        unreadable: impl Fn(io::Error) -> CheckError,
    ) -> Result<(), CheckError> {
        let mut splitter = Splitter::new(self.origin(), 1, 0);
        let mut arrivals = Vec::new();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match input.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => splitter.push(&buffer[..count], &mut arrivals),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(error)),
            }
            findings.take(arrivals.drain(..))?;
            // Who pipes a feed in may wait to see what is wrong with a line.
            if end == End::Final {
                findings.flush()?;
            }
        }
        match end {
            End::Final => splitter.finish(&mut arrivals),
            // What there is of the last line comes back as a line that has no end.
            End::Open => splitter.cut_off(CutOff::Stopped, &mut arrivals),
        }
        findings.take(arrivals.drain(..))
    }

    fn origin(&self) -> Origin {
        Origin {
            source: SourceName::from("check"),
            file: self.file.as_deref().map(<&Path>::into),
            unit: self.unit,
        }
    }
}

const READ_BYTES: usize = 64 * 1024;
