use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

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

/// How each source is doing. Cheap to clone, can be asked on any thread at any time: a relaxed
/// atomic or two per source.
#[derive(Clone, Debug)]
pub struct States {
    begun: Instant,
    sources: Arc<[Source]>,
}

/// What is known of one source.
#[derive(Debug)]
struct Source {
    name: SourceName,
    state: AtomicU8,
    /// When its newest signal was read, in milliseconds since the beginning and one more; 0: it has
    /// brought none yet.
    last_signal: AtomicU64,
}

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
    pub fn new(names: impl IntoIterator<Item = SourceName>) -> Self {
        let waiting = |name| Source {
            name,
            state: AtomicU8::new(State::Waiting as u8),
            last_signal: AtomicU64::new(0),
        };
        Self {
            begun: Instant::now(),
            sources: names.into_iter().map(waiting).collect(),
        }
    }

    /// Every source with its state, in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = (&SourceName, State)> {
        self.sources
            .iter()
            .map(|source| (&source.name, source.state()))
    }

    /// Every source with its state and how long ago its newest signal was read; none if it has
    /// brought no signal since the start.
    pub fn ages(
        &self,
        now: Instant,
    ) -> impl Iterator<Item = (&SourceName, State, Option<Duration>)> {
        let elapsed = now.saturating_duration_since(self.begun);
        self.sources.iter().map(move |source| {
            let last = source.last_signal.load(Ordering::Relaxed).checked_sub(1);
            let age = last.map(|last| elapsed.saturating_sub(Duration::from_millis(last)));
            (&source.name, source.state(), age)
        })
    }

    /// A signal of this source was read at this time. What is no source of ours is not counted.
    pub(crate) fn brought(&self, name: &SourceName, at: Instant) {
        if let Some(source) = self.sources.iter().find(|source| source.name == *name) {
            let millis = at.saturating_duration_since(self.begun).as_millis();
            let millis = u64::try_from(millis).unwrap_or(u64::MAX - 1);
            source.last_signal.fetch_max(millis + 1, Ordering::Relaxed);
        }
    }

    /// The state of one source; none if there is no such source.
    pub fn get(&self, name: &SourceName) -> Option<State> {
        self.iter()
            .find_map(|(known, state)| (known == name).then_some(state))
    }

    pub(super) fn report(&self, name: &SourceName) -> Report {
        let place = self.iter().position(|(known, _)| known == name);
        Report {
            states: self.clone(),
            place: place.expect("sources report on what they were prepared with"),
        }
    }
}

impl Source {
    fn state(&self) -> State {
        State::of(self.state.load(Ordering::Relaxed))
    }
}

impl Report {
    pub(super) fn set(&self, state: State) {
        self.states.sources[self.place]
            .state
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
    fn the_age_of_the_newest_signal_is_known_once_there_is_one() {
        let names: [SourceName; 2] = ["stdin".into(), "file:a".into()];
        let states = States::new(names.clone());
        let at = |millis| states.begun + Duration::from_millis(millis);
        states.brought(&names[1], at(500));
        // Lines that were read earlier may be parsed later.
        states.brought(&names[1], at(400));
        states.brought(&"file:b".into(), at(900));
        let ages: Vec<_> = states.ages(at(1700)).map(|(_, _, age)| age).collect();
        assert_eq!(ages, [None, Some(Duration::from_millis(1200))]);
        states.brought(&names[0], states.begun);
        let first = states.ages(at(3)).next().unwrap();
        assert_eq!(first.2, Some(Duration::from_millis(3)));
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
