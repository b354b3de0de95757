use std::time::Duration;

/// How a log is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keeping {
    /// What a commit outlives.
    pub durability: Durability,
    /// How much is kept.
    pub retention: Retention,
}

/// What a commit outlives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process, however it ends.
    #[default]
    Os,
    /// A loss of power too: each commit is on the disk before anybody hears of it.
    Disk,
}

/// When the oldest signals are let go of. The newest is always kept, so that seqs go on after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// They were received longer ago than this. `None`: age does not matter.
    pub age: Option<Duration>,
    /// All together take more than this on disk. `None`: size does not matter.
    pub bytes: Option<u64>,
}
