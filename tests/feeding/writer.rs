use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Random;
use crate::common::Folder;

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
