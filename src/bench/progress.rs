use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use super::moment::Moment;

/// A line on the terminal that says how far the run is; nothing where nobody looks at it.
#[derive(Debug)]
pub(super) struct Progress {
    is_shown: bool,
    next: Moment,
}

/// Between two looks.
const EVERY: Duration = Duration::from_millis(250);

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            is_shown: io::stderr().is_terminal(),
            next: Moment::default(),
        }
    }

    /// Says it, if the last time is long enough ago.
    pub(super) fn say(&mut self, text: impl FnOnce() -> String) {
        let now = Moment::now();
        if !self.is_shown || now < self.next {
            return;
        }
        self.next = now + EVERY;
        // Who has closed standard error does not want to know.
        let _ = write!(io::stderr(), "{BEGIN_ANEW}{}", text());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "{BEGIN_ANEW}");
        }
    }
}

/// To the start of the line, which is erased.
const BEGIN_ANEW: &str = "\r\x1b[2K";
