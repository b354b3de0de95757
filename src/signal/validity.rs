use std::time::Duration;

use super::Timestamp;

/// How long a signal is worth anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Validity {
    /// For ever.
    #[default]
    Unlimited,
    /// For so long after its timestamp: a whole second at least.
    For(Duration),
    /// Not at all: it was recorded while the server was halted, or was stale already when it came.
    /// It is stale to everybody, also to who reads it later.
    Void,
}

impl Validity {
    /// No longer than this.
    pub(super) fn at_most(self, most: Duration) -> Self {
        match self {
            Self::Unlimited => Self::For(most),
            Self::For(own) => Self::For(own.min(most)),
            Self::Void => Self::Void,
        }
    }

    /// When a signal of this time becomes stale; `None`: never.
    pub(super) fn end(self, made: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Unlimited => None,
            Self::For(valid_for) => Some(made.saturating_add(valid_for)),
            Self::Void => Some(Timestamp::MIN),
        }
    }

    /// What a signal of this time was that becomes stale then; `None`: it can't be one of ours.
    /// Only what is void is stale from the beginning of time, for all others are valid for a second.
    pub(super) fn ending(end: Option<Timestamp>, made: Timestamp) -> Option<Self> {
        match end {
            None => Some(Self::Unlimited),
            Some(Timestamp::MIN) => Some(Self::Void),
            Some(end) => {
                let seconds = end.get().checked_sub(made.get())?;
                Some(Self::For(Duration::from_secs(seconds)))
            }
        }
    }
}
