use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::{Change, Halt, HaltFile, Kept, Position, Reason};
use crate::key_file::UnusableFile;
use crate::signal::{ReceivedAt, Seq};

/// The switch, for whoever throws it and whoever looks at it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Switch(Arc<Shared>);

/// How the switch stands, for whoever asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stand {
    /// Nothing is broadcast.
    Halted {
        /// Why, and since when.
        halt: Arc<Halt>,
        /// The first signal that is void; `None` as long as the recorder has not come to it.
        from: Option<Seq>,
    },
    /// Everything is as usual.
    Lifted {
        /// The last signal that is void, 0 if there is none; `None` if there was no halt since the
        /// start of the process.
        to: Option<u64>,
    },
}

/// The switch was thrown, and something about it is still to be done.
#[derive(Debug, thiserror::Error)]
pub enum Unfinished {
    /// The recorder, or a shard, has not come to it.
    #[error(
        "it does not hold yet, for the server hangs, perhaps in its log; it will as soon as that \
         goes on: look again"
    )]
    NotYet,
    /// It holds, but the next start would not know of it.
    #[error("the server is halted, but would not be after a restart: {0}; then halt again")]
    NotKept(UnusableFile),
    /// Neither.
    #[error(
        "it does not hold yet, for the server hangs, perhaps in its log; it will as soon as that \
         goes on, but not after a restart: {0}; then halt again"
    )]
    NeitherYetNorKept(UnusableFile),
    /// The file is still there, so it is not lifted.
    #[error("the server is still halted, for it would be after a restart: {0}; then lift it again")]
    NotForgotten(UnusableFile),
    /// Somebody else halted while it was being lifted.
    #[error("somebody has halted the server again meanwhile")]
    HaltedAgain,
}

/// What the handles share.
pub(super) struct Shared {
    /// Held while it is written. The file of none is for tests.
    file: Mutex<Option<HaltFile>>,
    state: Mutex<State>,
    /// The state is another one.
    changed: Condvar,
    /// What [`State::thrown`] is, to be looked at before each batch.
    thrown: AtomicU64,
    /// Wakes the recorder.
    bell: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

#[derive(Debug, Default)]
struct State {
    /// The halt that is wanted; `None`: none is.
    wanted: Option<Arc<Halt>>,
    /// The newest one there was.
    newest: Option<Arc<Halt>>,
    /// How often the switch was thrown.
    thrown: u64,
    /// How often it was by the time the recorder came to it.
    heeded: u64,
    /// How it stands for the recorder.
    stands: Option<Position>,
    /// Shards that have not come to the newest change that the recorder has.
    waiting: usize,
    /// The first signal that is void: of the halt that holds.
    from: Option<Seq>,
    /// The last one of the newest halt that was lifted.
    to: Option<u64>,
}

/// How long whoever throws the switch waits until it holds. It takes a commit and a pass, unless
/// the log hangs.
const PATIENCE: Duration = Duration::from_secs(2);

impl Switch {
    /// The switch as the last process left it.
    ///
    /// # Errors
    /// That can't be told.
    pub fn open(data_dir: &Path) -> Result<Self, UnusableFile> {
        let file = HaltFile::in_folder(data_dir);
        let mut state = State::default();
        if let Some(Kept { halt, from }) = file.load()? {
            let halt = Arc::new(halt);
            state.wanted = Some(Arc::clone(&halt));
            state.newest = Some(halt);
            state.from = from;
            state.thrown = 1;
        }
        Ok(Self::of(Some(file), state))
    }

    /// A switch that no file keeps.
    pub fn unkept() -> Self {
        Self::of(None, State::default())
    }

    fn of(file: Option<HaltFile>, state: State) -> Self {
        Self(Arc::new(Shared {
            file: Mutex::new(file),
            thrown: AtomicU64::new(state.thrown),
            state: Mutex::new(state),
            changed: Condvar::new(),
            bell: OnceLock::new(),
        }))
    }

    /// How it stands.
    pub fn stand(&self) -> Stand {
        self.0.state().stand()
    }

    /// The halt that is wanted, if one is.
    pub fn halt(&self) -> Option<Arc<Halt>> {
        self.0.state().wanted.clone()
    }

    /// Says that nothing is to be broadcast, which is heard without waiting for anything. One that
    /// goes on gets another reason. Returns which change it is, for [`Self::keep`].
    pub fn throw(&self, reason: Reason, now: ReceivedAt) -> u64 {
        let mut state = self.0.state();
        let since = state.wanted.as_ref().map_or(now, |halt| halt.since);
        let halt = Arc::new(Halt { reason, since });
        state.newest = Some(Arc::clone(&halt));
        state.wanted = Some(halt);
        self.0.announce(state)
    }

    /// Waits until this change holds, for some time, and makes it outlive the process. Blocks.
    ///
    /// # Errors
    /// It does not hold yet, or is not kept.
    pub fn keep(&self, number: u64) -> Result<Stand, Unfinished> {
        let holds = self.0.wait(number);
        match (holds, self.write()) {
            (Ok(()), Ok(())) => Ok(self.stand()),
            (Ok(()), Err(why)) => Err(Unfinished::NotKept(why)),
            (Err(_), Err(why)) => Err(Unfinished::NeitherYetNorKept(why)),
            (Err(not_yet), Ok(())) => Err(not_yet),
        }
    }

    /// Lifts the halt, if there is one, and waits until that holds, for some time. Blocks.
    ///
    /// # Errors
    /// It is not lifted, or that does not hold yet.
    pub fn lift(&self) -> Result<Stand, Unfinished> {
        let number = self.forget()?;
        self.0.wait(number)?;
        Ok(self.stand())
    }

    /// What to call whenever the switch is thrown. The first one stays.
    pub(crate) fn when_thrown(&self, bell: impl Fn() + Send + Sync + 'static) {
        self.0.bell.set(Box::new(bell)).ok();
    }

    /// The newest change, if it is a later one than this.
    pub(crate) fn news(&self, heeded: u64) -> Option<Change> {
        if self.0.thrown.load(Ordering::Acquire) == heeded {
            return None;
        }
        let state = self.0.state();
        let position = match state.wanted {
            Some(_) => Position::Halted,
            None => Position::Lifted,
        };
        Some(Change {
            number: state.thrown,
            position,
            halt: Arc::clone(state.newest.as_ref()?),
            shared: Arc::clone(&self.0),
        })
    }

    /// Writes down how it stands now, whoever wanted it so.
    fn write(&self) -> Result<(), UnusableFile> {
        let file = self.0.file();
        let (wanted, from) = {
            let state = self.0.state();
            (state.wanted.clone(), state.from)
        };
        match (&*file, wanted) {
            (Some(file), Some(halt)) => {
                let halt = (*halt).clone();
                file.save(&Kept { halt, from })
            }
            // It was lifted meanwhile, and the file is gone.
            _ => Ok(()),
        }
    }

    /// The file first: what is lifted is not to come back with the next start.
    fn forget(&self) -> Result<u64, Unfinished> {
        let file = self.0.file();
        let number = {
            let state = self.0.state();
            if state.wanted.is_none() {
                return Ok(state.thrown);
            }
            state.thrown
        };
        if let Some(file) = &*file {
            file.remove().map_err(Unfinished::NotForgotten)?;
        }
        let mut state = self.0.state();
        if state.thrown != number {
            // Whoever that was waits for the file, and writes it.
            return Err(Unfinished::HaltedAgain);
        }
        state.wanted = None;
        Ok(self.0.announce(state))
    }
}

impl Shared {
    /// The switch was thrown, and stands like this.
    fn announce(&self, mut state: MutexGuard<'_, State>) -> u64 {
        state.thrown += 1;
        let number = state.thrown;
        self.thrown.store(number, Ordering::Release);
        drop(state);
        if let Some(ring) = self.bell.get() {
            ring();
        }
        number
    }

    fn wait(&self, number: u64) -> Result<(), Unfinished> {
        let pending = |state: &mut State| state.heeded < number || state.waiting > 0;
        let waited = self
            .changed
            .wait_timeout_while(self.state(), PATIENCE, pending);
        if waited.unwrap_or_else(PoisonError::into_inner).1.timed_out() {
            return Err(Unfinished::NotYet);
        }
        Ok(())
    }

    pub(super) fn begins(&self, change: &Change, next: Seq, shards: usize) {
        let mut state = self.state();
        match (state.stands, change.position) {
            (Some(Position::Halted), Position::Halted) => {}
            (_, Position::Halted) => {
                // One that has outlived a process began earlier, unless the log was lost since.
                let kept = state.from.filter(|from| *from <= next);
                state.from = Some(kept.unwrap_or(next));
            }
            (_, Position::Lifted) => {
                state.from = None;
                state.to = Some(next.get() - 1);
            }
        }
        state.stands = Some(change.position);
        state.heeded = change.number;
        state.waiting = shards;
        self.changed.notify_all();
    }

    pub(super) fn taken_up(&self, number: u64) {
        let mut state = self.state();
        // A later change has its own count.
        if state.heeded == number {
            state.waiting = state.waiting.saturating_sub(1);
            self.changed.notify_all();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self) -> MutexGuard<'_, Option<HaltFile>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn stand(&self) -> Stand {
        match &self.wanted {
            Some(halt) => Stand::Halted {
                halt: Arc::clone(halt),
                from: self.from,
            },
            None => Stand::Lifted { to: self.to },
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
