use std::fmt;

use crate::printable::printable;

/// One reason not to start: what was set, why that can't be, and what to do instead.
///
/// It reads `signalcast: THING: REASON; REMEDY`, on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    thing: String,
    reason: String,
    remedy: String,
}

impl Refusal {
    /// A refusal of `thing`, named as the user wrote it.
    pub fn new(
        thing: impl fmt::Display,
        reason: impl fmt::Display,
        remedy: impl fmt::Display,
    ) -> Self {
        Self {
            // Values are the user's own and may hold anything; a refusal is one line all the same.
            thing: printable(&thing.to_string()),
            reason: printable(&reason.to_string()),
            remedy: printable(&remedy.to_string()),
        }
    }

    pub(crate) fn line(&self) -> String {
        let Self {
            thing,
            reason,
            remedy,
        } = self;
        format!("{thing}: {reason}; {remedy}")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "signalcast: {}", self.line())
    }
}

/// Everything that is wrong with how the program was started, said at once.
///
/// `main` prints it, one line each, and leaves with exit code 2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals(Vec<Refusal>);

impl Refusals {
    /// Nothing refused so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one more; the same line is never said twice.
    pub fn push(&mut self, refusal: Refusal) {
        if !self.0.contains(&refusal) {
            self.0.push(refusal);
        }
    }

    /// Adds all of `others`.
    pub fn extend(&mut self, others: Self) {
        for refusal in others.0 {
            self.push(refusal);
        }
    }

    /// Whether nothing was refused.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many lines it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The lines without the program's name, for the log, where all are its own.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(Refusal::line)
    }

    /// `Ok` when nothing was refused.
    ///
    /// # Errors
    /// Itself, when anything was.
    pub fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl std::error::Error for Refusals {}

impl From<Refusal> for Refusals {
    fn from(refusal: Refusal) -> Self {
        Self(vec![refusal])
    }
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, refusal) in self.0.iter().enumerate() {
            let between = if place == 0 { "" } else { "\n" };
            write!(f, "{between}{refusal}")?;
        }
        Ok(())
    }
}

/// What a value is refused for, before it is known where the value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong with it.
    pub reason: String,
    /// What to write instead.
    pub remedy: String,
}

impl Problem {
    /// A problem with a value that the reason quotes.
    pub fn new(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            remedy: remedy.into(),
        }
    }

    /// What another module says of a value, in our form: `REASON; REMEDY`.
    pub fn said(text: impl fmt::Display) -> Self {
        let text = text.to_string();
        match text.rsplit_once("; ") {
            Some((reason, remedy)) => Self::new(reason, remedy),
            None => Self::new(text, "write another"),
        }
    }

    /// The refusal of what has this problem.
    pub fn with(self, thing: impl fmt::Display) -> Refusal {
        Refusal::new(thing, self.reason, self.remedy)
    }
}
