use std::collections::HashMap;

use metrics::{Counter, Gauge};

use super::registry::Registry;
use super::table::{DEAD_LETTERS, SIGNALS, SOURCE_LAST_SIGNAL};
use crate::signal::Side;
use crate::source::{SourceName, States};

/// What is counted of what the sources bring.
#[derive(Debug)]
pub struct Feeds {
    registry: Registry,
    sources: HashMap<SourceName, Feed>,
    /// The name under which all are counted that publish over HTTP.
    http: SourceName,
}

/// What is counted of one source.
#[derive(Debug)]
struct Feed {
    buys: Counter,
    sells: Counter,
    dead_letters: Counter,
    last_signal: Gauge,
}

/// How many signals a run of lines brought.
#[derive(Clone, Copy, Debug, Default)]
pub struct Brought {
    buys: u64,
    sells: u64,
}

impl Feeds {
    /// The handles, resolved for these sources.
    pub fn new(registry: &Registry, sources: &States) -> Self {
        let feeds = sources
            .iter()
            .map(|(name, _)| (name.clone(), Feed::new(registry, name)));
        Self {
            registry: registry.clone(),
            sources: feeds.collect(),
            http: "http".into(),
        }
    }

    /// A run of lines of this source brought so many signals, at this Unix time.
    pub fn brought(&mut self, source: &SourceName, brought: Brought, at: u64) {
        if brought.buys + brought.sells == 0 {
            return;
        }
        let feed = self.of(source);
        feed.buys.increment(brought.buys);
        feed.sells.increment(brought.sells);
        #[expect(clippy::cast_precision_loss, reason = "seconds are far below 2^53")]
        feed.last_signal.set(at as f64);
    }

    /// A line of this source went to the dead letters.
    pub fn refused(&mut self, source: &SourceName) {
        self.of(source).dead_letters.increment(1);
    }

    /// Sources that are in no configuration are our own, and few: those that are named after
    /// whoever publishes, of whom there may be any number, are counted together.
    fn of(&mut self, source: &SourceName) -> &Feed {
        let is_http = source.as_str().starts_with("http:");
        let source = if is_http { &self.http } else { source };
        if !self.sources.contains_key(source) {
            let feed = Feed::new(&self.registry, source);
            self.sources.insert(source.clone(), feed);
        }
        &self.sources[source]
    }
}

impl Feed {
    fn new(registry: &Registry, name: &SourceName) -> Self {
        let source = ("source", name.as_str());
        let last_signal = registry.gauge(&SOURCE_LAST_SIGNAL, &[source]);
        last_signal.set(0.0);
        Self {
            buys: registry.counter(&SIGNALS, &[source, ("type", Side::Buy.as_str())]),
            sells: registry.counter(&SIGNALS, &[source, ("type", Side::Sell.as_str())]),
            dead_letters: registry.counter(&DEAD_LETTERS, &[source]),
            last_signal,
        }
    }
}

impl Brought {
    /// One more.
    pub fn count(&mut self, side: Side) {
        match side {
            Side::Buy => self.buys += 1,
            Side::Sell => self.sells += 1,
        }
    }
}
