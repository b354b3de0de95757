use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use procfs::process::Process;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// CPU time of a process, user and system, all its threads; also of one that has ended and was not
/// waited for yet.
pub fn cpu(pid: u32) -> Duration {
    let stat = process(pid).stat().unwrap();
    let per_second = procfs::ticks_per_second();
    Duration::from_millis((stat.utime + stat.stime) * 1000 / per_second)
}

fn process(pid: u32) -> Process {
    Process::new(pid.cast_signed()).unwrap()
}

/// Waits for the end of a process: how it ended and what CPU time it took.
pub fn end(child: &mut Child, most: Duration) -> (ExitStatus, Duration) {
    let process = WaitId::Pid(Pid::from_child(child));
    let kept = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    until("end of a process", most, || {
        waitid(process.clone(), kept).unwrap().is_some()
    });
    let cpu = cpu(child.id());
    (child.wait().unwrap(), cpu)
}

/// Resident memory in bytes.
pub fn resident(pid: u32) -> u64 {
    process(pid).status().unwrap().vmrss.unwrap() * 1024
}

/// Looks at the resident memory of a process until it is told to stop.
pub struct Watch {
    stop: Arc<AtomicBool>,
    most: Arc<AtomicU64>,
    looking: JoinHandle<()>,
}

impl Watch {
    pub fn start(pid: u32) -> Self {
        let (stop, most) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let looking = thread::spawn({
            let (stop, most) = (Arc::clone(&stop), Arc::clone(&most));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    most.fetch_max(resident(pid), Ordering::Relaxed);
                    thread::sleep(BETWEEN_LOOKS);
                }
            }
        });
        Self {
            stop,
            most,
            looking,
        }
    }

    /// The most it has seen, in bytes.
    pub fn most(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.looking.join().unwrap();
        self.most.load(Ordering::Relaxed)
    }
}

const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Waits until something is so.
pub fn until(what: &str, most: Duration, so: impl Fn() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < most, "{what}: not within {most:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// In MB, for tables.
pub fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
