//! What the log adds to the time from a line to a client, at 100 signals a second.
//!
//!     cargo bench --bench log_latency
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark fails by panicking and prints what it found"
)]

mod load;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use load::client::Client;
use load::crowd::{Sent, milliseconds};
use load::feed::{Paced, RATE};
use load::figures::Figures;
use load::frames::Protocol;
use load::options::Options;
use load::process;
use load::server::{Server, database};

const USAGE: &str = "\
From a line's being written to a client's reading its frame, 100 signals a second, one client (ws).

--seconds N      length of each run (20)
--padding N      bytes more in each signal of the `large` cases, so that checkpoints come often:
                 one each 16 MiB (60,000)";

fn main() {
    let options = Options::read(USAGE);
    eprintln!("files in {}", options.place());
    let signals = RATE * options.number("--seconds", 20);
    let padding = usize::try_from(options.number("--padding", 60_000)).unwrap();
    let mut figures = Figures::new("line to client", options.json());
    for round in 1..=options.rounds() {
        for (case, arguments, padding) in [
            ("none", "--journal none", 0),
            ("os", "--journal sqlite --durability os", 0),
            ("disk", "--journal sqlite --durability disk", 0),
            ("none, large", "--journal none", padding),
            ("os, large", "--journal sqlite --durability os", padding),
            ("disk, large", "--journal sqlite --durability disk", padding),
        ] {
            if !options.leaves_out(case) {
                run(&options, arguments, signals, padding, |values| {
                    figures.add(case, round, values)
                });
            }
        }
    }
    figures.print();
}

/// Signals before those that count: threads start, caches fill.
const WARM_UP: u64 = 50;

fn run(
    options: &Options,
    arguments: &str,
    signals: u64,
    padding: usize,
    add: impl FnOnce(&[(&'static str, f64)]),
) {
    let folder = options.temporary();
    let mut server = Server::start(folder.path(), &format!("--plaintext {arguments}"));
    let mut client = Client::connect(&server.door, "/", Protocol::V1);
    client.frames.expect_first(1);
    let checkpoints = Checkpoints::watch(&database(folder.path()));
    let cpu = process::cpu(server.pid());
    let numbers = 1..WARM_UP + signals + 1;
    let sent = Sent::of(&numbers);
    let feed = Paced::start(server.take_feed(), numbers.clone(), padding, sent.clone());
    let mut latencies = Vec::new();
    client.each_until(numbers.end - 1, |number, now| {
        if number > WARM_UP {
            latencies.push(sent.ago(number, now).as_secs_f32());
        }
    });
    let cpu = process::cpu(server.pid()) - cpu;
    let checkpoints = checkpoints.seen();
    drop(feed.end());
    server.stop();
    server.end();
    let [p50, p99, most] = milliseconds(latencies.into_iter());
    add(&[
        ("p50 ms", p50),
        ("p99 ms", p99),
        ("max ms", most),
        (
            "CPU µs per signal",
            cpu.as_secs_f64() * 1e6 / (WARM_UP + signals) as f64,
        ),
        ("checkpoints", checkpoints as f64),
    ]);
}

/// Counts how often pages of the write-ahead log were moved into the database: its index says how
/// many of them were.
struct Checkpoints {
    stop: Arc<AtomicBool>,
    watching: thread::JoinHandle<u64>,
}

impl Checkpoints {
    fn watch(database: &Path) -> Self {
        let mut index = database.as_os_str().to_owned();
        index.push("-shm");
        let stop = Arc::<AtomicBool>::default();
        let watching = thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                let (mut seen, mut before) = (0, 0);
                while !stop.load(Ordering::Relaxed) {
                    let moved = File::open(&index).ok().and_then(|index| moved(&index));
                    let moved = moved.unwrap_or(0);
                    // It is 0 again when the write-ahead log begins anew.
                    seen += u64::from(moved != before && moved > 0);
                    before = moved;
                    thread::sleep(BETWEEN_LOOKS);
                }
                seen
            }
        });
        Self { stop, watching }
    }

    fn seen(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.watching.join().unwrap()
    }
}

/// Pages of the write-ahead log that are in the database (`nBackfill`, sqlite.org/walformat.html).
fn moved(index: &File) -> Option<u32> {
    let mut moved = [0; 4];
    index.read_exact_at(&mut moved, 96).ok()?;
    Some(u32::from_ne_bytes(moved))
}

const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
