//! A vocabulary for tests of sources.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "each test file compiles its own copy and uses a part of it; a test that cannot go on fails"
)]

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use signalcast::source::{
    Arrival, Bookmark, Bookmarks, Handover, Mark, SourceName, Sources, Spec, State, States,
};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// A folder for feeds.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn append(&self, name: &str, text: &str) {
        append(&self.path(name), text);
    }

    /// Truncates a file and writes to it, as `> file` does.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub fn copy(&self, from: &str, to: &str) {
        fs::copy(self.path(from), self.path(to)).unwrap();
    }

    pub fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    pub fn truncate(&self, name: &str, length: u64) {
        let file = File::options().write(true).open(self.path(name)).unwrap();
        file.set_len(length).unwrap();
    }

    pub fn source(&self, pattern: &str) -> String {
        format!("file:{}", self.path(pattern).display())
    }

    pub fn run(&self, pattern: &str) -> Run {
        Run::of(&[&self.source(pattern)])
    }

    /// The server starts again.
    pub fn run_again(&self, pattern: &str, log: Log) -> Run {
        let specs = [spec(&self.source(pattern))];
        let sources = Sources::prepare(&specs, log.remembered()).unwrap();
        Run::go_on(sources, log)
    }

    /// The next line, with its file's path in this folder.
    pub async fn line(&self, run: &mut Run) -> String {
        let folder = format!("{}/", self.0.path().display());
        run.line().await.replace(&folder, "")
    }

    /// The next so many lines, only their texts.
    pub async fn texts(&self, run: &mut Run, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        while texts.len() < count {
            texts.push(run.line().await.split_once(' ').unwrap().1.to_owned());
        }
        texts
    }
}

pub fn append(path: &Path, text: &str) {
    let mut options = OpenOptions::new();
    let mut file = options.append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Lines of twenty bytes, each other than the others: `NAME 000000000017`.
pub fn lines(name: &str, numbers: std::ops::Range<usize>) -> String {
    let width = 18 - name.len();
    numbers.map(|n| format!("{name} {n:0width$}\n")).collect()
}

/// What the log knows of where the sources are: what was taken with what was handed over.
#[derive(Clone, Debug, Default)]
pub struct Log(BTreeMap<(SourceName, Box<str>), Box<str>>);

impl Log {
    pub fn commit(&mut self, bookmarks: Vec<Bookmark>) {
        for Bookmark { source, part, mark } in bookmarks {
            match mark {
                Mark::At(mark) => self.0.insert((source, part), mark),
                Mark::Gone => self.0.remove(&(source, part)),
            };
        }
    }

    pub fn remembered(&self) -> Bookmarks {
        let mut remembered = Bookmarks::new();
        for ((source, part), mark) in &self.0 {
            let bookmarks = remembered.entry(source.clone()).or_default();
            bookmarks.push(Bookmark {
                source: source.clone(),
                part: part.clone(),
                mark: Mark::At(mark.clone()),
            });
        }
        remembered
    }

    /// Somebody else has written this.
    pub fn change(&mut self, part: &str, mark: &str) {
        for ((_, known), value) in &mut self.0 {
            if **known == *part {
                *value = mark.into();
            }
        }
    }

    /// The parts that it knows, without the files' heads and histories.
    pub fn parts(&self) -> Vec<&str> {
        let parts = self.0.keys().map(|(_, part)| &**part);
        let is_whole = |part: &&str| !part.ends_with(" head") && !part.ends_with(" ended");
        parts.filter(is_whole).collect()
    }
}

/// Running sources and what they have brought.
pub struct Run {
    log: Log,
    handovers: mpsc::Receiver<Handover>,
    arrivals: VecDeque<Arrival>,
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
        Self::go_on(sources, Log::default())
    }

    /// Starts sources that were prepared with what this log knows.
    pub fn go_on(mut sources: Sources, mut log: Log) -> Self {
        log.commit(sources.first_bookmarks());
        // Two, so that sources have to wait for the test.
        let (sender, handovers) = mpsc::channel(2);
        let (states, stop) = (sources.states(), CancellationToken::new());
        let mut running = JoinSet::new();
        running.spawn(sources.run(sender, stop.clone()));
        Self {
            log,
            handovers,
            arrivals: VecDeque::new(),
            lines: VecDeque::new(),
            states,
            stop,
            running,
        }
    }

    pub fn of(specs: &[&str]) -> Self {
        let specs: Vec<Spec> = specs.iter().map(|text| spec(text)).collect();
        Self::start(Sources::prepare(&specs, Bookmarks::new()).unwrap())
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
        while self.arrivals.is_empty() {
            let handover = timeout(PATIENCE, self.handovers.recv())
                .await
                .expect("something arrives in time")
                .expect("the sources are running");
            self.take(handover);
        }
        self.arrivals.pop_front().unwrap()
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

    fn take(&mut self, handover: Handover) {
        self.log.commit(handover.bookmarks);
        self.arrivals.extend(handover.arrivals);
    }

    /// Lines that were taken and not looked at.
    pub fn lines_taken(&mut self) -> VecDeque<String> {
        std::mem::take(&mut self.lines)
    }

    /// What the log knows by now.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The server is killed: what it has not recorded is lost. Returns what it has.
    pub async fn crash(mut self) -> (Vec<Arrival>, VecDeque<String>, Log) {
        self.handovers.close();
        self.join().await;
        (self.arrivals.into(), self.lines, self.log)
    }

    /// Stops the sources; returns what they still bring.
    pub async fn stop(self) -> Vec<Arrival> {
        self.shut_down().await.0
    }

    /// The same with what the log knows then.
    pub async fn shut_down(mut self) -> (Vec<Arrival>, Log) {
        self.stop.cancel();
        // Lets the sources know before any more of what they bring is taken.
        tokio::task::yield_now().await;
        while let Some(handover) = timeout(PATIENCE, self.handovers.recv())
            .await
            .expect("the sources stop in time")
        {
            self.take(handover);
        }
        self.join().await;
        (self.arrivals.into(), self.log)
    }

    /// The sources have ended by themselves.
    pub async fn ended(mut self) {
        assert_eq!(timeout(PATIENCE, self.handovers.recv()).await, Ok(None));
        self.join().await;
    }

    pub async fn nobody_listens(mut self) {
        self.handovers.close();
        self.join().await;
    }

    async fn join(&mut self) {
        let ended = timeout(PATIENCE, self.running.join_next()).await;
        ended.expect("the sources end in time").unwrap().unwrap();
    }
}

const PATIENCE: Duration = Duration::from_secs(10);
