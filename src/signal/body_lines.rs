use serde::Serialize;

use super::Signal;

/// What the lines of a body turn out to be: signals, all of them, or nothing is taken.
#[derive(Debug, Default)]
pub struct BodyLines {
    signals: Vec<(usize, Signal)>,
    refused: Vec<RefusedLine>,
}

/// A line of a body that is no signal, as its sender is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedLine {
    /// Which one; the first is 1.
    pub line: usize,
    /// What is wrong with it, and what to write instead.
    pub reason: String,
}

impl BodyLines {
    /// What a line, the first being 1, turned out to be; `None` if nothing stands on it.
    pub fn take(&mut self, line: usize, outcome: Result<Option<Signal>, String>) {
        match outcome {
            Ok(None) => {}
            Ok(Some(signal)) => self.signals.push((line, signal)),
            Err(reason) => self.refused.push(RefusedLine { line, reason }),
        }
    }

    /// How many of them were something.
    pub fn count(&self) -> usize {
        self.signals.len() + self.refused.len()
    }

    /// The signals, each with its line.
    ///
    /// # Errors
    /// Every line that is none; or, if there is nothing at all, the first for this reason.
    pub fn all(mut self, nothing: &str) -> Result<Vec<(usize, Signal)>, Vec<RefusedLine>> {
        if self.count() == 0 {
            self.take(1, Err(nothing.to_owned()));
        }
        if self.refused.is_empty() {
            Ok(self.signals)
        } else {
            Err(self.refused)
        }
    }
}
