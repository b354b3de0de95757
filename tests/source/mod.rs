//! A vocabulary for tests of sources.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "each test file compiles its own copy and uses a part of it; a test that cannot go on fails"
)]

use std::collections::VecDeque;
use std::time::Duration;

use signalcast::source::{Arrival, Sources, Spec, State, States};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Running sources and what they have brought.
pub struct Run {
    arrivals: mpsc::Receiver<Arrival>,
    lines: VecDeque<String>,
    states: States,
    stop: CancellationToken,
    running: JoinSet<()>,
}

pub fn spec(text: &str) -> Spec {
    text.parse().unwrap()
}

pub fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

impl Run {
    pub fn start(sources: Sources) -> Self {
        // Two, so that sources have to wait for the test.
        let (sender, arrivals) = mpsc::channel(2);
        let (states, stop) = (sources.states(), CancellationToken::new());
        let mut running = JoinSet::new();
        running.spawn(sources.run(sender, stop.clone()));
        Self {
            arrivals,
            lines: VecDeque::new(),
            states,
            stop,
            running,
        }
    }

    pub fn of(specs: &[&str]) -> Self {
        let specs: Vec<Spec> = specs.iter().map(|text| spec(text)).collect();
        Self::start(Sources::prepare(&specs).unwrap())
    }

    /// The next line, as `POSITION@OFFSET TEXT`.
    pub async fn line(&mut self) -> String {
        while self.lines.is_empty() {
            match self.arrival().await {
                Arrival::Lines(lines) => self.lines.extend(
                    lines
                        .iter()
                        .map(|(at, line)| format!("{at}@{} {}", at.offset, text(line))),
                ),
                other => panic!("not a line: {other:?}"),
            }
        }
        self.lines.pop_front().unwrap()
    }

    /// The next thing that arrives and is no line.
    pub async fn arrival(&mut self) -> Arrival {
        assert_eq!(self.lines, Vec::<String>::new(), "lines not looked at");
        timeout(PATIENCE, self.arrivals.recv())
            .await
            .expect("something arrives in time")
            .expect("the sources are running")
    }

    /// Waits until the only source is in this state.
    pub async fn is(&mut self, state: State) {
        let mut pause = tokio::time::interval(Duration::from_millis(5));
        let reached = async {
            while self.states.iter().any(|(_, now)| now != state) {
                pause.tick().await;
            }
        };
        let reached = timeout(PATIENCE, reached).await;
        assert!(reached.is_ok(), "{:?}, not {state}", self.states);
    }

    /// Stops the sources; returns what they still bring.
    pub async fn stop(mut self) -> Vec<Arrival> {
        self.stop.cancel();
        // Lets the sources know before any more of what they bring is taken.
        tokio::task::yield_now().await;
        let mut rest = Vec::new();
        while let Some(arrival) = timeout(PATIENCE, self.arrivals.recv())
            .await
            .expect("the sources stop in time")
        {
            rest.push(arrival);
        }
        self.join().await;
        rest
    }

    /// The sources have ended by themselves.
    pub async fn ended(mut self) {
        assert_eq!(timeout(PATIENCE, self.arrivals.recv()).await, Ok(None));
        self.join().await;
    }

    pub async fn nobody_listens(mut self) {
        self.arrivals.close();
        self.join().await;
    }

    async fn join(&mut self) {
        let ended = timeout(PATIENCE, self.running.join_next()).await;
        ended.expect("the sources end in time").unwrap().unwrap();
    }
}

const PATIENCE: Duration = Duration::from_secs(10);
