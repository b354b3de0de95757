use std::io::Write;
use std::ops::Range;
use std::process::ChildStdin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::crowd::Sent;
use super::lines::{self, Ids};

/// Writes lines at an even pace, each in a write of its own, until it is told to stop.
pub struct Paced {
    stop: Arc<AtomicBool>,
    next: Arc<AtomicU64>,
    writing: JoinHandle<(u64, ChildStdin)>,
}

/// Lines a second.
pub const RATE: u64 = 100;

impl Paced {
    /// Lines of these numbers, notes when each was written.
    pub fn start(mut feed: ChildStdin, numbers: Range<u64>, padding: usize, sent: Sent) -> Self {
        let (stop, next) = (
            Arc::<AtomicBool>::default(),
            Arc::new(AtomicU64::new(numbers.start)),
        );
        let writing = thread::spawn({
            let (stop, next) = (Arc::clone(&stop), Arc::clone(&next));
            move || {
                let (start, mut line) = (Instant::now(), Vec::new());
                for number in numbers.clone() {
                    let due = start
                        + Duration::from_secs(1) * u32::try_from(number - numbers.start).unwrap()
                            / u32::try_from(RATE).unwrap();
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    if stop.load(Ordering::Relaxed) {
                        return (number, feed);
                    }
                    line.clear();
                    lines::write(&mut line, number, Ids::Made, padding);
                    sent.now(number);
                    feed.write_all(&line).unwrap();
                    next.store(number + 1, Ordering::Release);
                }
                (numbers.end, feed)
            }
        });
        Self {
            stop,
            next,
            writing,
        }
    }

    /// The number of the line that comes next.
    pub fn next(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// Writes no more; returns the number that would have come next, and the feed, still open.
    pub fn stop(self) -> (u64, ChildStdin) {
        self.stop.store(true, Ordering::Relaxed);
        self.writing.join().unwrap()
    }

    /// Waits until all was written.
    pub fn end(self) -> ChildStdin {
        self.writing.join().unwrap().1
    }
}
