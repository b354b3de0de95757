use std::io::{self, Write};
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::thread::set_current_timer_slack;

use super::line::Lines;
use super::moment::{Moment, thread_cpu};

/// How fast lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// So many a second, evenly, one in a write.
    Rate(NonZeroU32),
    /// As fast as all clients get them, with at most so many on their way.
    Window(NonZeroU64),
    /// As fast as they are taken, whoever gets them.
    Flood,
}

/// Some lines that are to be written: the warm-up, or those that count.
#[derive(Clone, Debug)]
pub(super) struct Phase {
    pub(super) numbers: Range<u64>,
    pub(super) pace: Pace,
    /// The most lines in a write, unless they come at a rate.
    pub(super) batch: NonZeroUsize,
    pub(super) lines: Lines,
    /// The longest that it may take.
    pub(super) time_limit: Duration,
}

/// One that is being written, on a thread of its own.
pub(super) struct Feeding {
    shared: Arc<Shared>,
    writing: JoinHandle<(Sink, Written)>,
}

/// Where lines go.
pub(super) type Sink = Box<dyn Write + Send>;

/// How they were written.
#[derive(Debug)]
pub(super) struct Written {
    /// From the first line to the last.
    pub(super) span: Duration,
    /// CPU time it took.
    pub(super) cpu: Duration,
    /// How far behind its time the latest line was written; 0 without a rate.
    pub(super) latest: Duration,
    /// How many lines were more than a millisecond behind their time.
    pub(super) late: u64,
    /// Why it went no further.
    pub(super) error: Option<io::Error>,
}

#[derive(Debug)]
struct Shared {
    /// All before this number were got by all clients.
    completed: AtomicU64,
    /// Numbers before this one may be out.
    begun: Arc<AtomicU64>,
    /// Numbers before this one were written.
    written: AtomicU64,
    stop: AtomicBool,
}

impl Feeding {
    pub(super) fn start(sink: Sink, phase: Phase) -> io::Result<Self> {
        let first = phase.numbers.start;
        let shared = Arc::new(Shared {
            completed: AtomicU64::new(first),
            begun: Arc::new(AtomicU64::new(first)),
            written: AtomicU64::new(first),
            stop: AtomicBool::new(false),
        });
        let of_thread = Arc::clone(&shared);
        let writing = thread::Builder::new()
            .name("feed".to_owned())
            .spawn(move || of_thread.write(sink, &phase))?;
        Ok(Self { shared, writing })
    }

    /// Numbers before this one may have been sent.
    pub(super) fn begun(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.shared.begun)
    }

    /// Numbers before this one were written.
    pub(super) fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Acquire)
    }

    /// All clients have all before this number.
    pub(super) fn completed(&self, number: u64) {
        self.shared.completed.store(number, Ordering::Release);
    }

    /// No further than this.
    pub(super) fn stop(&self) {
        self.shared.stop.store(true, Ordering::Release);
        self.writing.thread().unpark();
    }

    /// Whether it has come to its end.
    pub(super) fn is_done(&self) -> bool {
        self.writing.is_finished()
    }

    /// Waits for its end.
    pub(super) fn end(self) -> (Sink, Written) {
        self.writing.join().expect("a feed does not panic")
    }

    /// The same, but none if it hangs in a write that nobody takes.
    pub(super) fn end_within(self, patience: Duration) -> Option<(Sink, Written)> {
        let deadline = Moment::now() + patience;
        while !self.is_done() {
            if Moment::now() >= deadline {
                return None;
            }
            thread::sleep(Duration::from_millis(1));
        }
        Some(self.end())
    }
}

impl Shared {
    fn write(&self, mut sink: Sink, phase: &Phase) -> (Sink, Written) {
        // Where that can't be had, late lines are told.
        let _ = set_current_timer_slack(Some(TIMER_SLACK));
        let cpu = thread_cpu();
        let mut written = Written {
            span: Duration::ZERO,
            cpu: Duration::ZERO,
            latest: Duration::ZERO,
            late: 0,
            error: None,
        };
        let start = Moment::now();
        let deadline = start + phase.time_limit;
        let mut buffer = Vec::new();
        let mut number = phase.numbers.start;
        while number < phase.numbers.end && !self.stop.load(Ordering::Acquire) {
            let index = number - phase.numbers.start;
            let Some(room) = self.wait(phase, number, start + phase.pace.due(index), deadline)
            else {
                break;
            };
            if let Pace::Rate(_) = phase.pace {
                let behind = Moment::now().since(start + phase.pace.due(index));
                written.latest = written.latest.max(behind);
                written.late += u64::from(behind > LATE);
            }
            let count = room.min(phase.numbers.end - number);
            buffer.clear();
            for number in number..number + count {
                phase.lines.write(&mut buffer, number, Moment::now());
            }
            number += count;
            self.begun.store(number, Ordering::Release);
            if let Err(error) = sink.write_all(&buffer).and_then(|()| sink.flush()) {
                written.error = Some(error);
                break;
            }
            self.written.store(number, Ordering::Release);
            written.span = Moment::now().since(start);
        }
        written.cpu = thread_cpu() - cpu;
        (sink, written)
    }

    /// Waits until line `number` may be written; returns how many may. None: it is over.
    fn wait(&self, phase: &Phase, number: u64, due: Moment, deadline: Moment) -> Option<u64> {
        let batch = phase.batch.get() as u64;
        let mut tries = 0;
        loop {
            let now = Moment::now();
            if now >= deadline || self.stop.load(Ordering::Acquire) {
                return None;
            }
            match phase.pace {
                Pace::Flood => return Some(batch),
                Pace::Rate(_) if due <= now => return Some(1),
                Pace::Rate(_) => thread::park_timeout(due.min(deadline).since(now)),
                Pace::Window(window) => {
                    let completed = self.completed.load(Ordering::Acquire);
                    let on_their_way = number.saturating_sub(completed);
                    match window.get().saturating_sub(on_their_way) {
                        0 if tries < YIELDS => thread::yield_now(),
                        0 => thread::sleep(GLANCE),
                        room => return Some(room.min(batch)),
                    }
                    tries += 1;
                }
            }
        }
    }
}

impl Pace {
    /// When line `index` is to be written, from the start on.
    fn due(self, index: u64) -> Duration {
        match self {
            Self::Rate(rate) => Duration::from_secs_f64(index as f64 / f64::from(rate.get())),
            Self::Window(_) | Self::Flood => Duration::ZERO,
        }
    }
}

/// So often whoever waits for room in the window only lets others run, for the thread of the clients
/// may need this CPU.
const YIELDS: u32 = 3;

/// After that, how long it sleeps before it looks again. Were it woken, it would run when the clients
/// have read all there is: then the whole window is empty, and the server gets it in one piece.
const GLANCE: Duration = Duration::from_micros(50);

/// How late the system may wake a thread, in nanoseconds; as much as `GLANCE` unless said otherwise.
const TIMER_SLACK: NonZeroU64 = NonZeroU64::new(1000).expect("not 0");

/// A line that is further behind its time is late: as much as a short turn of another process.
const LATE: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::super::line::Symbols;
    use super::*;

    fn phase(pace: Pace, count: u64) -> Phase {
        Phase {
            numbers: 5..5 + count,
            pace,
            batch: NonZeroUsize::new(16).unwrap(),
            lines: Lines {
                least_bytes: 0,
                symbols: Symbols::ONE,
            },
            time_limit: Duration::from_secs(20),
        }
    }

    /// Hands each write over, and waits until it was taken.
    struct Handing(std::sync::mpsc::SyncSender<usize>);

    impl Write for Handing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
            self.0.send(lines).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_more_lines_are_on_their_way_than_the_window_holds() {
        let (to, writes) = std::sync::mpsc::sync_channel(0);
        let window = Pace::Window(NonZeroU64::new(20).unwrap());
        let feeding = Feeding::start(Box::new(Handing(to)), phase(window, 30)).unwrap();
        assert_eq!(writes.recv(), Ok(16));
        assert_eq!(writes.recv(), Ok(4));
        assert!(writes.recv_timeout(Duration::from_millis(50)).is_err());
        feeding.completed(8);
        assert_eq!(writes.recv(), Ok(3));
        feeding.completed(28);
        assert_eq!(writes.recv(), Ok(7));
        let (_, fed) = feeding.end();
        assert!(fed.error.is_none());
    }

    #[test]
    fn a_rate_is_one_line_in_a_write_each_at_its_time() {
        let (to, writes) = std::sync::mpsc::sync_channel(100);
        let rate = Pace::Rate(NonZeroU32::new(1000).unwrap());
        let feeding = Feeding::start(Box::new(Handing(to)), phase(rate, 20)).unwrap();
        let (_, fed) = feeding.end();
        assert_eq!(writes.iter().collect::<Vec<_>>(), [1; 20]);
        assert!(fed.span >= Duration::from_millis(19), "{:?}", fed.span);
    }

    #[test]
    fn lines_that_wait_for_the_one_before_them_are_late() {
        let (to, writes) = std::sync::mpsc::sync_channel(0);
        let rate = Pace::Rate(NonZeroU32::new(1000).unwrap());
        let feeding = Feeding::start(Box::new(Handing(to)), phase(rate, 20)).unwrap();
        // The first is taken when all of them are due.
        thread::sleep(Duration::from_millis(60));
        assert_eq!(writes.iter().take(20).sum::<usize>(), 20);
        let (_, fed) = feeding.end();
        assert_eq!(fed.late, 19);
        assert!(fed.latest >= Duration::from_millis(40), "{:?}", fed.latest);
    }

    #[test]
    fn a_feed_that_nobody_takes_is_over() {
        let (to, writes) = std::sync::mpsc::sync_channel(0);
        drop(writes);
        let feeding = Feeding::start(Box::new(Handing(to)), phase(Pace::Flood, 30)).unwrap();
        let (_, fed) = feeding.end();
        assert!(fed.error.is_some());
    }
}
