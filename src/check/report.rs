use std::fmt;

/// What a check has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Signals; none if there was no feed among what was checked.
    pub(super) signals: Option<u64>,
    /// Those of them that are tests.
    pub(super) tests: u64,
    /// Those of them that the server drops, since their id was there before.
    pub(super) duplicates: u64,
    /// Those of them that are too old by now to be sent.
    pub(super) stale: u64,
    /// Comments and empty lines.
    pub(super) skipped: u64,
    /// Lines that would be dead letters.
    pub(super) refused: u64,
    /// Reasons for a server not to start; none if there were no settings among what was checked.
    pub(super) mistakes: Option<u64>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_fine(&self) -> bool {
        self.refused == 0 && self.mistakes.is_none_or(|mistakes| mistakes == 0)
    }
}

/// On one line, each number with its name before it.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(signals) = self.signals {
            let Self {
                tests,
                duplicates,
                stale,
                skipped,
                refused,
                ..
            } = self;
            write!(
                f,
                "signals: {signals} (tests: {tests}, duplicates: {duplicates}, stale: {stale}); \
                 comments and empty lines: {skipped}; refused: {refused}"
            )?;
        }
        if let Some(mistakes) = self.mistakes {
            let between = if self.signals.is_some() { "; " } else { "" };
            write!(f, "{between}mistakes in settings: {mistakes}")?;
        }
        Ok(())
    }
}
