use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

use super::SourceName;

/// How a source is doing, as heartbeats and metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    /// It brings lines as they come: a file is followed, standard input is read.
    Live,
    /// There is nothing to read yet: no such file is there, or it waits for clients.
    Waiting,
    /// It came to its end and brings nothing more.
    Ended,
    /// It can't be read. A file is tried again, and the state changes when that works.
    Failed,
}

/// How each source is doing. Cheap to clone, can be asked on any thread at any time: one relaxed
/// atomic per source.
#[derive(Clone, Debug)]
pub struct States(Arc<[(SourceName, AtomicU8)]>);

/// Where one source says how it is doing. One whose thread panics has failed.
#[derive(Debug)]
pub(super) struct Report {
    states: States,
    place: usize,
}

impl State {
    /// The word for it: `live`, `waiting`, `ended`, `failed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Waiting => "waiting",
            Self::Ended => "ended",
            Self::Failed => "failed",
        }
    }

    fn of(number: u8) -> Self {
        [Self::Live, Self::Waiting, Self::Ended, Self::Failed]
            .into_iter()
            .find(|state| *state as u8 == number)
            .unwrap_or(Self::Failed)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl States {
    /// All of them wait.
    pub(crate) fn new(names: impl IntoIterator<Item = SourceName>) -> Self {
        let waiting = |name| (name, AtomicU8::new(State::Waiting as u8));
        Self(names.into_iter().map(waiting).collect())
    }

    /// Every source with its state, in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = (&SourceName, State)> {
        self.0
            .iter()
            .map(|(name, state)| (name, State::of(state.load(Ordering::Relaxed))))
    }

    /// The state of one source; none if there is no such source.
    pub fn get(&self, name: &SourceName) -> Option<State> {
        self.iter()
            .find_map(|(known, state)| (known == name).then_some(state))
    }

    pub(super) fn report(&self, name: &SourceName) -> Report {
        let place = self.0.iter().position(|(known, _)| known == name);
        Report {
            states: self.clone(),
            place: place.expect("sources report on what they were prepared with"),
        }
    }
}

impl Report {
    pub(super) fn set(&self, state: State) {
        self.states.0[self.place]
            .1
            .store(state as u8, Ordering::Relaxed);
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if thread::panicking() {
            self.set(State::Failed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_seen_by_whoever_asks() {
        let names: [SourceName; 2] = ["stdin".into(), "file:a".into()];
        let states = States::new(names.clone());
        let seen = states.clone();
        states.report(&names[1]).set(State::Live);
        let all: Vec<String> = seen.iter().map(|(n, s)| format!("{n} {s}")).collect();
        assert_eq!(all, ["stdin waiting", "file:a live"]);
        assert_eq!(seen.get(&"file:b".into()), None);
    }

    #[test]
    fn a_source_that_panics_has_failed() {
        let name = SourceName::from("stdin");
        let states = States::new([name.clone()]);
        let report = states.report(&name);
        report.set(State::Live);
        let thread = thread::spawn(move || {
            let _report = report;
            panic!("as a bug would");
        });
        assert!(thread.join().is_err());
        assert_eq!(states.get(&name), Some(State::Failed));
    }
}
