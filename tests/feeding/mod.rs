//! A feed that is written and rotated all the time, a server that comes and goes, and bots that
//! come back to it with the last seq they have: what tests of crashes and restarts are made of.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "each test file compiles its own copy and uses a part of it; a test that cannot go on fails"
)]

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use rusqlite::{Connection, OpenFlags};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::{oneshot, watch};
use tokio_tungstenite::Connector;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::common::{Folder, PATIENCE, patiently, trust};

/// SplitMix64: the same numbers for the same seed.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % most
    }
}

/// The one in `SIGNALCAST_SEED`, or another one for each run; shown when the test fails.
pub fn seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = env::var("SIGNALCAST_SEED").map_or_else(
        |_| u64::from(now.subsec_nanos()),
        |seed| seed.parse().unwrap(),
    );
    eprintln!("SIGNALCAST_SEED={seed}");
    seed
}

/// How the feed is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// `signals/live.jsonl` becomes `live.jsonl.1`, which the source's pattern does not match.
    Rename,
    /// It becomes `live-1.jsonl`, which matches, or is copied there and truncated.
    WithinTheGlob,
}

impl Rotation {
    pub fn source(self) -> &'static str {
        match self {
            Self::Rename => "file:signals/live.jsonl",
            Self::WithinTheGlob => "file:signals/live*.jsonl",
        }
    }
}

/// Writes lines, each with the next number as its price, from 1 on.
pub struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Written>,
}

/// Which lines stood in one file, one after the other.
pub type Written = Vec<std::ops::Range<u64>>;

struct Feed {
    folder: Arc<Folder>,
    random: Random,
    rotation: Rotation,
    /// The newest line that a bot has: what the log knows for certain.
    seen: Arc<AtomicU64>,
    file: File,
    next: u64,
    /// The first line of the file that is written to.
    first: u64,
    written: Written,
    rotations: u64,
}

impl Writer {
    /// Begins to write; the file is there when this returns.
    pub fn start(
        folder: &Arc<Folder>,
        rotation: Rotation,
        seed: u64,
        seen: &Arc<AtomicU64>,
    ) -> Self {
        folder.append("signals/live.jsonl", "");
        let stop = Arc::new(AtomicBool::new(false));
        let mut feed = Feed {
            file: open(folder),
            folder: Arc::clone(folder),
            random: Random(seed),
            rotation,
            seen: Arc::clone(seen),
            next: 1,
            first: 1,
            written: Vec::new(),
            rotations: 0,
        };
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                feed.write();
                if feed.random.below(40) == 0 {
                    feed.rotate();
                }
                // Its pace: nobody waits for it.
                thread::sleep(Duration::from_millis(2));
            }
            feed.written.push(feed.first..feed.next);
            feed.written
        });
        Self { stop, thread }
    }

    /// Stops; returns what was written to which file.
    pub fn stop(self) -> Written {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

impl Feed {
    /// Some lines, in two writes that need not meet between lines.
    fn write(&mut self) {
        let count = 1 + self.random.below(12);
        let lines: String = (self.next..self.next + count)
            .map(|n| format!("buy X {n} 1720000000\n"))
            .collect();
        self.next += count;
        let middle = usize::try_from(self.random.below(lines.len() as u64)).unwrap();
        self.file.write_all(&lines.as_bytes()[..middle]).unwrap();
        self.file.write_all(&lines.as_bytes()[middle..]).unwrap();
    }

    fn rotate(&mut self) {
        let seen = self.seen.load(Ordering::Relaxed);
        let folder = &self.folder;
        match self.rotation {
            // Of a file that nobody could know of nothing is promised.
            Rotation::Rename if seen < self.first => return,
            Rotation::Rename => {
                self.rotations += 1;
                let aside = format!("signals/live.jsonl.{}", self.rotations);
                fs::rename(folder.path("signals/live.jsonl"), folder.path(aside)).unwrap();
            }
            Rotation::WithinTheGlob => {
                self.rotations += 1;
                let live = folder.path("signals/live.jsonl");
                let aside = folder.path(format!("signals/live-{}.jsonl", self.rotations));
                // A copy is known by 256 bytes that were read of its original.
                if seen > self.first + 30 && self.random.below(2) == 0 {
                    fs::copy(&live, aside).unwrap();
                    self.file.set_len(0).unwrap();
                } else {
                    fs::rename(live, aside).unwrap();
                }
            }
        }
        self.folder.append("signals/live.jsonl", "");
        self.file = open(&self.folder);
        self.written.push(self.first..self.next);
        self.first = self.next;
    }
}

fn open(folder: &Folder) -> File {
    let mut options = OpenOptions::new();
    options
        .append(true)
        .open(folder.path("signals/live.jsonl"))
        .unwrap()
}

/// A server that may die at any moment, even before it listens.
pub struct Mortal {
    child: Child,
    listening: oneshot::Receiver<String>,
    log: Arc<Mutex<String>>,
    readers: [JoinHandle<()>; 2],
}

impl Mortal {
    pub fn start(folder: &Folder, arguments: &str, crash_at: Option<&str>) -> Self {
        let mut command = folder.command(&format!("serve --listen 127.0.0.1:0 {arguments}"));
        if let Some(point) = crash_at {
            command.env("SIGNALCAST_CRASH_AT", point);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let into = Arc::clone(&log);
        let reader = thread::spawn(move || {
            for line in stderr.lines() {
                let line = format!("{}\n", line.unwrap());
                into.lock().unwrap().push_str(&line);
            }
        });
        let (ready, listening) = oneshot::channel();
        let listener = thread::spawn(move || {
            let mut ready = Some(ready);
            for line in stdout.lines() {
                if let Some(url) = line.unwrap().strip_prefix("listening ")
                    && let Some(ready) = ready.take()
                {
                    ready.send(url.replace("127.0.0.1", "localhost")).ok();
                }
            }
        });
        Self {
            child,
            listening,
            log,
            readers: [reader, listener],
        }
    }

    /// Where it listens; `None` if it died before it did.
    pub async fn url(&mut self) -> Option<String> {
        patiently("server", &mut self.listening).await.ok()
    }

    pub fn signal(&self, signal: Signal) {
        // It may be dead by now.
        kill_process(Pid::from_child(&self.child), signal).ok();
    }

    /// Waits until it is dead.
    pub async fn wait(mut self) -> (ExitStatus, String) {
        let mut pause = tokio::time::interval(Duration::from_millis(1));
        let dead = async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    break status;
                }
                pause.tick().await;
            }
        };
        let dead = tokio::time::timeout(PATIENCE, dead).await;
        let Ok(status) = dead else {
            self.child.kill().ok();
            self.child.wait().ok();
            panic!("the server did not end:\n{}", self.log.lock().unwrap());
        };
        for reader in self.readers {
            reader.join().unwrap();
        }
        let log = self.log.lock().unwrap().clone();
        (status, log)
    }

    /// Kills it as `kill -9` does.
    pub async fn kill(self) -> String {
        self.signal(Signal::KILL);
        let (status, log) = self.wait().await;
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "{log}");
        log
    }

    /// Stops it as `kill` does.
    pub async fn stop(self) -> String {
        self.signal(Signal::TERM);
        let (status, log) = self.wait().await;
        assert!(status.success(), "{status}:\n{log}");
        log
    }
}

/// Clients that keep what they get and come back whenever the server is there.
pub struct Bots {
    /// Where the server is.
    door: watch::Sender<Option<String>>,
    bots: Vec<Arc<Mutex<Bot>>>,
    tasks: tokio::task::JoinSet<()>,
}

/// What one bot has: the number of the line of each seq, from 1 on.
#[derive(Debug, Default)]
pub struct Bot {
    pub lines: Vec<u64>,
}

impl Bots {
    /// They come with the first call of [`Bots::there_is`].
    pub fn new(folder: &Arc<Folder>, count: usize, seen: &Arc<AtomicU64>) -> Self {
        let (door, doors) = watch::channel(None);
        let token = folder.token("--sub bot");
        let (mut bots, mut tasks) = (Vec::new(), tokio::task::JoinSet::new());
        for _ in 0..count {
            let bot = Arc::new(Mutex::new(Bot::default()));
            bots.push(Arc::clone(&bot));
            tasks.spawn(live(
                Arc::clone(folder),
                doors.clone(),
                token.clone(),
                bot,
                Arc::clone(seen),
            ));
        }
        Self { door, bots, tasks }
    }

    /// The server is here now.
    pub fn there_is(&self, url: String) {
        self.door.send_replace(Some(url));
    }

    /// Waits until everybody has so many signals.
    pub async fn have(&mut self, count: u64) {
        let mut pause = tokio::time::interval(Duration::from_millis(5));
        let (bots, tasks) = (&self.bots, &mut self.tasks);
        let all = async {
            while bots.iter().any(|bot| bot.lines_len() < count) {
                pause.tick().await;
                if let Some(ended) = tasks.try_join_next() {
                    ended.unwrap();
                }
            }
        };
        let done = tokio::time::timeout(PATIENCE, all).await;
        assert!(
            done.is_ok(),
            "the bots have {:?} of {count} signals",
            self.counts()
        );
    }

    pub fn counts(&self) -> Vec<u64> {
        self.bots.iter().map(LinesLen::lines_len).collect()
    }

    /// What each of them has. They stay away from now on.
    pub fn part(self) -> Vec<Vec<u64>> {
        let lines = |bot: &Arc<Mutex<Bot>>| bot.lock().unwrap().lines.clone();
        self.bots.iter().map(lines).collect()
    }
}

trait LinesLen {
    fn lines_len(&self) -> u64;
}

impl LinesLen for Arc<Mutex<Bot>> {
    fn lines_len(&self) -> u64 {
        self.lock().unwrap().lines.len() as u64
    }
}

/// Connects, takes all there is, and begins again when the connection ends.
async fn live(
    folder: Arc<Folder>,
    mut doors: watch::Receiver<Option<String>>,
    token: String,
    bot: Arc<Mutex<Bot>>,
    seen: Arc<AtomicU64>,
) {
    loop {
        let door = match doors.wait_for(Option::is_some).await {
            Ok(door) => door.clone().unwrap(),
            Err(_) => return,
        };
        visit(&folder, &door, &token, &bot, &seen).await;
        // Until it is back, or for a moment: it may still be there.
        let changed = doors.changed();
        tokio::time::timeout(Duration::from_millis(20), changed)
            .await
            .ok();
    }
}

async fn visit(folder: &Folder, door: &str, token: &str, bot: &Mutex<Bot>, seen: &AtomicU64) {
    let last = bot.lock().unwrap().lines.len();
    let url = format!("{}/?after_seq={last}", door.trim_end_matches('/'));
    let mut request = url.into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
    headers.insert("sec-websocket-protocol", "signalcast.v2".parse().unwrap());
    let connecting = tokio_tungstenite::connect_async_tls_with_config(
        request,
        None,
        true,
        Some(Connector::Rustls(Arc::new(trust(folder)))),
    );
    let mut socket = match patiently("connection", Box::pin(connecting)).await {
        Ok((socket, _)) => socket,
        Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => {
            assert_eq!(answer.status(), 503, "after seq {last}: {answer:?}");
            return;
        }
        // It is dead already.
        Err(_) => return,
    };
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else {
            continue;
        };
        let frame: serde_json::Value = serde_json::from_str(&text).unwrap();
        let Some(seq) = frame["seq"].as_u64() else {
            continue;
        };
        let line = frame["content"]["price"].as_u64().unwrap();
        let mut bot = bot.lock().unwrap();
        assert_eq!(
            seq,
            bot.lines.len() as u64 + 1,
            "none is left out, none repeated: {text}"
        );
        bot.lines.push(line);
        seen.fetch_max(line, Ordering::Relaxed);
    }
}

/// Every line is in the log exactly once, in the order of its file, under the seq under which every
/// bot has it.
pub fn check(folder: &Folder, written: &Written, bots: &[Vec<u64>], rotation: Rotation) {
    let path = folder.path("data/signals.db");
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let count: i64 = db
        .query_row("SELECT count(*) FROM signals", [], |row| row.get(0))
        .unwrap();
    let mut select = db
        .prepare("SELECT seq, CAST(price AS INTEGER) FROM signals ORDER BY seq")
        .unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    let rows: Vec<(i64, i64)> = rows.unwrap().map(Result::unwrap).collect();
    let seqs: Vec<i64> = rows.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(seqs, (1..=count).collect::<Vec<_>>(), "seqs without gaps");
    let log: Vec<u64> = rows.iter().map(|(_, line)| line.unsigned_abs()).collect();
    for (bot, lines) in bots.iter().enumerate() {
        assert!(*lines == log, "bot {bot} has something else than the log");
    }
    let mut places = vec![None; usize::try_from(written.last().unwrap().end).unwrap()];
    for (place, line) in log.iter().enumerate() {
        let known = &mut places[usize::try_from(*line).unwrap()];
        assert_eq!(known.replace(place), None, "line {line} is there twice");
    }
    for file in written {
        let of_file: Vec<Option<usize>> = file
            .clone()
            .map(|line| places[usize::try_from(line).unwrap()])
            .collect();
        let lost = of_file.iter().position(Option::is_none);
        assert_eq!(lost, None, "a line of {file:?} is lost");
        assert!(of_file.is_sorted(), "the lines of {file:?} are in order");
    }
    if rotation == Rotation::Rename {
        assert!(log.is_sorted(), "files come one after the other");
    }
}
