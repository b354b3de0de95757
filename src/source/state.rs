use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::SourceName;
use super::hold::{Hold, Reading};

/// How a source is doing, as heartbeats and metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    /// It brings lines as they come: a file is followed, standard input is read, a command runs.
    Live,
    /// There is nothing to read yet: no such file is there, it waits for clients, or a command that
    /// has ended well is about to be started again.
    Waiting,
    /// It came to its end and brings nothing more.
    Ended,
    /// It can't be read. A file is tried again, a command that did not end well is started again,
    /// and the state changes when that works.
    Failed,
    /// It was told to read nothing until it is told to go on.
    Paused,
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
    /// Since the start.
    signals: AtomicU64,
    dead_letters: AtomicU64,
    hold: Arc<Hold>,
}

/// One source as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing<'a> {
    /// What it is called.
    pub name: &'a SourceName,
    /// How it is doing.
    pub state: State,
    /// How long ago its newest signal was read; none if it has brought no signal since the start.
    pub last_signal_age: Option<Duration>,
    /// Signals that it has brought since the start, repeated ones included.
    pub signals: u64,
    /// Lines of it that were refused since the start.
    pub dead_letters: u64,
}

/// Longest wait, after a source was paused, for a read that was begun before.
const LONGEST_READ: Duration = Duration::from_secs(1);

/// Where one source says how it is doing. One whose thread panics has failed.
#[derive(Debug)]
pub(super) struct Report {
    states: States,
    place: usize,
}

impl State {
    /// The word for it: `live`, `waiting`, `ended`, `failed`, `paused`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Waiting => "waiting",
            Self::Ended => "ended",
            Self::Failed => "failed",
            Self::Paused => "paused",
        }
    }

    fn of(number: u8) -> Self {
        use State::{Ended, Failed, Live, Paused, Waiting};
        [Live, Waiting, Ended, Failed, Paused]
            .into_iter()
            .find(|state| *state as u8 == number)
            .unwrap_or(Failed)
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
            signals: AtomicU64::new(0),
            dead_letters: AtomicU64::new(0),
            hold: Arc::default(),
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

    /// Every source with all that is known of it.
    pub fn standings(&self, now: Instant) -> impl Iterator<Item = Standing<'_>> {
        let elapsed = now.saturating_duration_since(self.begun);
        self.sources.iter().map(move |source| {
            let last = source.last_signal.load(Ordering::Relaxed).checked_sub(1);
            Standing {
                name: &source.name,
                state: source.state(),
                last_signal_age: last
                    .map(|last| elapsed.saturating_sub(Duration::from_millis(last))),
                signals: source.signals.load(Ordering::Relaxed),
                dead_letters: source.dead_letters.load(Ordering::Relaxed),
            }
        })
    }

    /// So many signals of this source were read at this time. What is no source of ours is not
    /// counted.
    pub(crate) fn brought(&self, name: &SourceName, signals: u64, at: Instant) {
        if let Some(source) = self.source(name.as_str()) {
            let millis = at.saturating_duration_since(self.begun).as_millis();
            let millis = u64::try_from(millis).unwrap_or(u64::MAX - 1);
            source.last_signal.fetch_max(millis + 1, Ordering::Relaxed);
            source.signals.fetch_add(signals, Ordering::Relaxed);
        }
    }

    /// A line of this source was refused.
    pub(crate) fn refused(&self, name: &SourceName) {
        if let Some(source) = self.source(name.as_str()) {
            source.dead_letters.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lets a source read nothing until it is [resumed](Self::resume). Comes back when the read that
    /// was begun before has ended, so that nothing is read that is written later; a read that hangs
    /// is not waited for. What was read before is still sent. Returns the source's state, none if
    /// there is no such source.
    pub async fn pause(&self, name: &str) -> Option<State> {
        let source = self.source(name)?;
        let settled = source.hold.pause();
        // Over when the other end is gone, which is no error.
        let _ = timeout(LONGEST_READ, settled).await;
        Some(source.state())
    }

    /// Lets a source go on where it was. Returns its state, none if there is no such source.
    pub fn resume(&self, name: &str) -> Option<State> {
        let source = self.source(name)?;
        source.hold.resume();
        Some(source.state())
    }

    fn source(&self, name: &str) -> Option<&Source> {
        self.sources
            .iter()
            .find(|source| source.name.as_str() == name)
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
        let state = State::of(self.state.load(Ordering::Relaxed));
        match state {
            State::Live | State::Waiting if self.hold.is_paused() => State::Paused,
            // Neither will bring anything when it goes on.
            state => state,
        }
    }
}

impl Report {
    pub(super) fn set(&self, state: State) {
        self.source().state.store(state as u8, Ordering::Relaxed);
    }

    pub(super) fn is_paused(&self) -> bool {
        self.source().hold.is_paused()
    }

    /// What to call, at once and on any thread, when the source is paused or goes on.
    pub(super) fn when_paused_or_resumed(&self, bell: impl Fn() + Send + 'static) {
        self.source().hold.when_changed(bell);
    }

    /// Begins a read, which goes on until what is returned is dropped; none while the source is
    /// paused.
    pub(super) fn begin_read(&self) -> Option<Reading> {
        self.source().hold.enter()
    }

    fn source(&self) -> &Source {
        &self.states.sources[self.place]
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
        states.brought(&names[1], 2, at(500));
        // Lines that were read earlier may be parsed later.
        states.brought(&names[1], 1, at(400));
        states.brought(&"file:b".into(), 1, at(900));
        let ages = |now| -> Vec<_> {
            let standings = states.standings(now);
            standings.map(|one| one.last_signal_age).collect()
        };
        assert_eq!(ages(at(1700)), [None, Some(Duration::from_millis(1200))]);
        states.brought(&names[0], 1, states.begun);
        assert_eq!(ages(at(3))[0], Some(Duration::from_millis(3)));
        states.refused(&names[1]);
        let counts = states.standings(at(3));
        let counts: Vec<_> = counts.map(|one| (one.signals, one.dead_letters)).collect();
        assert_eq!(counts, [(1, 0), (3, 1)]);
    }

    #[tokio::test]
    async fn a_source_that_is_paused_says_so_unless_it_has_ended_or_failed() {
        let name = SourceName::from("stdin");
        let states = States::new([name.clone()]);
        let report = states.report(&name);
        for (state, shown) in [
            (State::Waiting, State::Paused),
            (State::Live, State::Paused),
            (State::Failed, State::Failed),
            (State::Ended, State::Ended),
        ] {
            report.set(state);
            assert_eq!(states.pause("stdin").await, Some(shown));
            assert_eq!(states.resume("stdin"), Some(state));
        }
        assert_eq!(states.pause("file:a").await, None);
        assert_eq!(states.resume("file:a"), None);
    }

    #[tokio::test]
    async fn a_source_is_paused_when_its_read_has_ended_or_takes_too_long() {
        tokio::time::pause();
        let name = SourceName::from("stdin");
        let states = States::new([name.clone()]);
        let report = states.report(&name);
        let reading = report.begin_read();
        let begun = tokio::time::Instant::now();
        states.pause("stdin").await;
        let waited = begun.elapsed();
        assert!(waited >= LONGEST_READ, "{waited:?}");
        drop(reading);
        states.pause("stdin").await;
        assert_eq!(begun.elapsed(), waited);
        assert!(report.begin_read().is_none());
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
