use std::collections::HashSet;
use std::fmt::Display;
use std::io::{self, BufWriter, Write};
use std::time::Duration;

use super::{CheckError, Report};
use crate::clock;
use crate::config::Refusals;
use crate::signal::{Id, Signal};
use crate::source::{Arrival, Lines, Position, Unfinished};

/// What was found so far, and where it is said.
pub(super) struct Findings<W: Write> {
    /// None: nobody reads any more.
    out: Option<BufWriter<W>>,
    max_age: Option<Duration>,
    ids: HashSet<Id>,
    report: Report,
}

impl<W: Write> Findings<W> {
    pub(super) fn new(out: W, max_age: Option<Duration>) -> Self {
        Self {
            out: Some(BufWriter::new(out)),
            max_age,
            ids: HashSet::new(),
            report: Report::default(),
        }
    }

    /// What is wrong with settings, in the server's words.
    pub(super) fn settings(
        &mut self,
        refusals: &Refusals,
        warnings: &[String],
    ) -> Result<(), CheckError> {
        *self.report.mistakes.get_or_insert(0) += refusals.len() as u64;
        for warning in warnings {
            self.say(format_args!("note: {warning}"))?;
        }
        if refusals.is_empty() {
            return Ok(());
        }
        self.say(refusals)
    }

    /// What a feed brings, in order.
    pub(super) fn take(
        &mut self,
        arrivals: impl IntoIterator<Item = Arrival>,
    ) -> Result<(), CheckError> {
        self.report.signals.get_or_insert(0);
        for arrival in arrivals {
            match arrival {
                Arrival::Lines(lines) => self.lines(&lines)?,
                Arrival::TooLong(line) => self.refuse(&line.position, &line)?,
                Arrival::Unfinished(line) => self.unfinished(&line)?,
                // Said of sources that run; this one is read.
                Arrival::Ended(_) | Arrival::Failed(_) => {}
            }
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<(), CheckError> {
        self.tell(|out| out.flush())
    }

    pub(super) fn finish(mut self) -> Result<Report, CheckError> {
        self.flush()?;
        Ok(self.report)
    }

    fn lines(&mut self, lines: &Lines) -> Result<(), CheckError> {
        let now = clock::now();
        for (position, line) in lines.iter() {
            match Signal::parse_line(line, lines.origin.unit, now) {
                Ok(Some(signal)) => self.signal(&position, &signal.with_max_age(self.max_age))?,
                Ok(None) => self.report.skipped += 1,
                Err(why) => self.refuse(&position, &why)?,
            }
        }
        Ok(())
    }

    fn signal(&mut self, position: &Position, signal: &Signal) -> Result<(), CheckError> {
        *self.report.signals.get_or_insert(0) += 1;
        self.report.tests += u64::from(signal.is_test());
        let stale = signal
            .stale_after()
            .is_some_and(|after| after <= clock::now());
        self.report.stale += u64::from(stale);
        match signal.id() {
            Some(id) if !self.ids.insert(*id) => self.duplicate(position, *id),
            _ => Ok(()),
        }
    }

    fn duplicate(&mut self, position: &Position, id: Id) -> Result<(), CheckError> {
        self.report.duplicates += 1;
        self.say(format_args!(
            "{position}: note: the server drops this signal, its id \"{id}\" was there before"
        ))
    }

    fn refuse(&mut self, position: &Position, why: &dyn Display) -> Result<(), CheckError> {
        self.report.refused += 1;
        self.say(format_args!("{position}: line refused: {why}"))
    }

    /// The server waits for the rest of such a line.
    fn unfinished(&mut self, line: &Unfinished) -> Result<(), CheckError> {
        let position = &line.position;
        let waits = "the server does not read this line yet, it has no newline";
        match Signal::parse_line(&line.line, line.origin.unit, clock::now()) {
            Ok(Some(_)) => self.say(format_args!("{position}: note: {waits}")),
            Ok(None) => Ok(()),
            Err(why) => self.say(format_args!("{position}: note: {waits}; as it is: {why}")),
        }
    }

    fn say(&mut self, line: impl Display) -> Result<(), CheckError> {
        self.tell(|out| writeln!(out, "{line}"))
    }

    fn tell(
        &mut self,
        say: impl FnOnce(&mut BufWriter<W>) -> io::Result<()>,
    ) -> Result<(), CheckError> {
        let Some(out) = &mut self.out else {
            return Ok(());
        };
        match say(out) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.out = None,
            said => said.map_err(CheckError::Write)?,
        }
        Ok(())
    }
}
