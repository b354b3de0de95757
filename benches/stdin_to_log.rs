//! How many lines a second of CPU time the server takes from its standard input to its log, and
//! how many rows a bare loop puts into the same table.
//!
//!     cargo bench --bench stdin_to_log
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark fails by panicking and prints what it found"
)]

mod load;

use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use load::bare;
use load::client::Client;
use load::figures::Figures;
use load::frames::Protocol;
use load::lines::{self, Ids};
use load::options::Options;
use load::server::{Server, database, make_log};

const USAGE: &str = "\
Lines from standard input to the log, against a bare loop of inserts (1,000 rows a transaction).

--lines N        lines in each run (1,000,000)
--given N        lines with random ids in each run (200,000)
--stored N       signals with random ids that are stored before (5,000,000; 0 leaves these runs out)";

const LOOP: &str = "bare loop";
const GIVEN_LOOP: &str = "bare loop, random ids";
const GIVEN: &str = "server, random ids";
const OS: &str = "--exit-on-eof --plaintext --drain 60s --journal sqlite --durability os";
const PER_CPU: &str = "lines per CPU second";

fn main() {
    bare::run_if_asked();
    let options = Options::read(USAGE);
    eprintln!("files in {}", options.place());
    let (lines, given) = (
        options.number("--lines", 1_000_000),
        options.number("--given", 200_000),
    );
    let stored = options.number("--stored", 5_000_000);
    let mut figures = Figures::new("stdin to log", options.json());
    let text = lines::all(1..lines + 1, Ids::Made);
    for round in 1..=options.rounds() {
        let mut fresh = |case: &str, run: &dyn Fn(&Path) -> Taken| {
            if !options.leaves_out(case) {
                let folder = options.temporary();
                make_log(folder.path());
                run(folder.path()).note(&mut figures, case, round, lines);
            }
        };
        fresh(LOOP, &|folder| bare(folder, 1..lines + 1, Ids::Made));
        fresh("server", &|folder| server(folder, OS, &text, lines, None));
        fresh("server, one client", &|folder| {
            server(
                folder,
                &format!("{OS} --wait-clients 1"),
                &text,
                lines,
                Some(lines),
            )
        });
        fresh("server, --journal none", &|folder| {
            server(
                folder,
                "--exit-on-eof --plaintext --drain 60s --journal none",
                &text,
                0,
                None,
            )
        });
    }
    drop(text);
    if stored > 0 && !(options.leaves_out(GIVEN_LOOP) && options.leaves_out(GIVEN)) {
        with_ids(&options, &mut figures, stored, given);
    }
    for case in ["server", "server, one client"] {
        figures.ratio("of the loop", PER_CPU, case, LOOP);
    }
    figures.ratio("of the loop", PER_CPU, GIVEN, GIVEN_LOOP);
    figures.print();
}

/// The log grows a little with each run; the two cases take turns.
fn with_ids(options: &Options, figures: &mut Figures, stored: u64, given: u64) {
    let folder = options.temporary();
    let folder = folder.path();
    make_log(folder);
    bare(folder, 1..stored + 1, Ids::Random);
    bare::tidy(&database(folder));
    let mut next = stored + 1;
    for round in 1..=options.rounds() {
        bare(folder, next..next + given, Ids::Random).note(figures, GIVEN_LOOP, round, given);
        next += given;
        bare::tidy(&database(folder));
        let text = lines::all(next..next + given, Ids::Random);
        next += given;
        server(folder, OS, &text, next - 1, None).note(figures, GIVEN, round, given);
    }
}

/// What a run took.
struct Taken {
    cpu: Duration,
    wall: Duration,
}

impl Taken {
    fn note(&self, figures: &mut Figures, case: &str, round: u64, lines: u64) {
        let per = |time: Duration| lines as f64 / time.as_secs_f64();
        let values = [
            (PER_CPU, per(self.cpu)),
            ("lines per second", per(self.wall)),
            ("CPU s", self.cpu.as_secs_f64()),
        ];
        figures.add(case, round, &values);
    }
}

fn bare(folder: &Path, numbers: Range<u64>, ids: Ids) -> Taken {
    let bare::Taken { cpu, wall } = bare::insert(&database(folder), numbers, ids);
    Taken { cpu, wall }
}

/// Runs a server to the end of its feed. `stored`: the head of its log then, 0 without one.
/// `client`: a client that has to get all up to this signal.
fn server(folder: &Path, arguments: &str, text: &[u8], stored: u64, client: Option<u64>) -> Taken {
    let mut server = Server::start(folder, arguments);
    let (mut feed, start) = (server.take_feed(), Instant::now());
    let cpu = thread::scope(|scope| {
        scope.spawn(move || feed.write_all(text).unwrap());
        if let Some(last) = client {
            let mut client = Client::connect(&server.door, "/", Protocol::V1);
            client.frames.expect_first(1);
            client.until(last);
        }
        server.end()
    });
    let wall = start.elapsed();
    if stored > 0 {
        assert_eq!(
            bare::range(&database(folder)),
            (1, stored),
            "what the log holds"
        );
    }
    Taken { cpu, wall }
}
