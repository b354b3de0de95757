//! How fast clients catch up from the log: one that reads all of it, and a crowd that comes back
//! at once while others are live.
//!
//!     cargo bench --bench catch_up
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark fails by panicking and prints what it found"
)]

mod load;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use load::bare;
use load::client::Client;
use load::crowd::{Crowd, Sent, Wish, milliseconds};
use load::feed::{Paced, RATE};
use load::figures::Figures;
use load::frames::Protocol;
use load::lines::Ids;
use load::options::Options;
use load::process::{self, Watch, megabytes};
use load::server::{PATIENCE, Server, database, make_log};

const USAGE: &str = "\
Catching up from the log, the hot tail being empty. The cases: `one ws v1` and so on, `crowd ws`,
`crowd wss`.

--signals N      signals that one client catches up (1,000,000)
--clients N      clients that come back at once (1,000)
--behind N       signals that each of them is behind (200,000)
--live N         clients that are live meanwhile, at 100 signals a second (50)
--calm N         seconds of live signals before the crowd comes (10)";

fn main() {
    bare::run_if_asked();
    let options = Options::read(USAGE);
    eprintln!("files in {}", options.place());
    let signals = options.number("--signals", 1_000_000);
    let folder = options.temporary();
    make_log(folder.path());
    bare::insert(&database(folder.path()), 1..signals + 1, Ids::Made);
    bare::tidy(&database(folder.path()));

    let mut ones = Figures::new("one client catches up", options.json());
    let mut crowds = Figures::new("a crowd catches up", options.json());
    let mut head = signals;
    for round in 1..=options.rounds() {
        for (case, arguments, protocol) in [
            ("one ws v1", "--plaintext", Protocol::V1),
            ("one ws v2", "--plaintext", Protocol::V2),
            ("one wss v1", "", Protocol::V1),
            ("one wss v2", "", Protocol::V2),
        ] {
            if !options.leaves_out(case) {
                one(folder.path(), arguments, protocol, head, |values| {
                    ones.add(case, round, values)
                });
            }
        }
        for (case, arguments) in [("crowd ws", "--plaintext"), ("crowd wss", "")] {
            if !options.leaves_out(case) {
                head = crowd(folder.path(), &options, arguments, head, |values| {
                    crowds.add(case, round, values)
                });
            }
        }
    }
    ones.print();
    crowds.print();
}

fn one(
    folder: &Path,
    arguments: &str,
    protocol: Protocol,
    head: u64,
    add: impl FnOnce(&[(&'static str, f64)]),
) {
    let server = Server::start(folder, arguments);
    // Its first client costs what is made once.
    Client::connect(&server.door, &format!("/?after_seq={}", head - 1), protocol).next();
    let (before, cpu) = (process::resident(server.pid()), process::cpu(server.pid()));
    let watch = Watch::start(server.pid());
    let start = Instant::now();
    let mut client = Client::connect(&server.door, "/?after_seq=0", protocol);
    client.frames.expect_first(1);
    client.until(head);
    let (took, cpu) = (start.elapsed(), process::cpu(server.pid()) - cpu);
    assert_eq!(client.frames.signals(), head);
    let (peak, after) = (watch.most(), process::resident(server.pid()));
    drop(client);
    server.stop();
    server.end();
    add(&[
        ("signals per second", head as f64 / took.as_secs_f64()),
        ("signals per CPU second", head as f64 / cpu.as_secs_f64()),
        ("MB before", megabytes(before)),
        ("MB at most", megabytes(peak)),
        ("MB after", megabytes(after)),
    ]);
}

/// Returns the head of the log afterwards.
fn crowd(
    folder: &Path,
    options: &Options,
    arguments: &str,
    head: u64,
    add: impl FnOnce(&[(&'static str, f64)]),
) -> u64 {
    let (clients, behind) = (
        options.number("--clients", 1000),
        options.number("--behind", 200_000).min(head),
    );
    let (live_clients, calm) = (
        count(options.number("--live", 50)),
        Duration::from_secs(options.number("--calm", 10)),
    );
    let mut server = Server::start(folder, &format!("{arguments} --drain 60s"));
    let numbers = head + 1..head + 1 + 1000 * RATE;
    let sent = Sent::of(&numbers);
    let wish = Wish {
        path: "/".to_owned(),
        protocol: Protocol::V2,
        first: Some(numbers.start),
        target: numbers.start,
    };
    let live = Crowd::start(&server.door, live_clients, wish, Some(sent.clone()));
    let all_of = |crowd: &Crowd, ready: &dyn Fn(&Crowd) -> bool| {
        process::until("clients", PATIENCE, || ready(crowd) || crowd.has_ended());
        assert!(!crowd.has_ended(), "a client failed");
    };
    all_of(&live, &|live| live.connected() == live_clients);
    let feed = Paced::start(server.take_feed(), numbers.clone(), 0, sent);
    thread::sleep(calm);

    let (before, cpu) = (process::resident(server.pid()), process::cpu(server.pid()));
    let watch = Watch::start(server.pid());
    let (start, storm_from) = (Instant::now(), feed.next());
    let wish = Wish {
        path: format!("/?after_seq={}", head - behind),
        protocol: Protocol::V2,
        first: Some(head - behind + 1),
        target: storm_from,
    };
    let storm = Crowd::start(&server.door, count(clients), wish, None);
    all_of(&storm, &|storm| storm.connected() == count(clients));
    let connected = start.elapsed();
    all_of(&storm, &|storm| storm.caught_up() == count(clients));
    let (took, storm_to, cpu) = (
        start.elapsed(),
        feed.next(),
        process::cpu(server.pid()) - cpu,
    );
    let peak = watch.most();
    thread::sleep(CALM_AFTER);
    let after = process::resident(server.pid());

    let (end, feed) = feed.stop();
    server.stop();
    drop(feed);
    let (live, storm) = (live.end(), storm.end());
    server.end();
    for outcome in [&live, &storm] {
        assert!(
            outcome.last.iter().all(|&last| last == end - 1),
            "not all up to the end"
        );
    }
    let whole = end - 1 - (head - behind);
    assert!(
        storm.signals.iter().all(|&signals| signals == whole),
        "not all from the start"
    );
    let part = |range: std::ops::Range<u64>| {
        let part = live
            .latencies
            .iter()
            .filter(move |(number, _)| range.contains(number));
        milliseconds(part.map(|&(_, latency)| latency))
    };
    let (calm, during) = (part(numbers.start..storm_from), part(storm_from..storm_to));
    let delivered = (clients * behind) as f64;
    add(&[
        ("all connected s", connected.as_secs_f64()),
        ("all caught up s", took.as_secs_f64()),
        ("signals per second", delivered / took.as_secs_f64()),
        ("CPU µs per signal", cpu.as_secs_f64() * 1e6 / delivered),
        ("live p50 before ms", calm[0]),
        ("live p99 before ms", calm[1]),
        ("live p50 during ms", during[0]),
        ("live p99 during ms", during[1]),
        ("live max during ms", during[2]),
        ("MB before", megabytes(before)),
        ("MB at most", megabytes(peak)),
        ("MB after", megabytes(after)),
        ("refused", storm.refused as f64),
    ]);
    end - 1
}

/// For the memory that is given back.
const CALM_AFTER: Duration = Duration::from_secs(1);

fn count(clients: u64) -> usize {
    usize::try_from(clients).unwrap()
}
