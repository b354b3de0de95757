//! What a large log costs: starting on it, finding a place in it, its size, pages of it.
//!
//!     cargo bench --bench stored
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark fails by panicking and prints what it found"
)]

mod load;

use std::fs::{self, File};
use std::path::Path;
use std::time::Instant;

use load::bare;
use load::client::{Client, get};
use load::figures::Figures;
use load::frames::Protocol;
use load::lines::Ids;
use load::options::Options;
use load::server::{Door, Server, database, make_log};
use rustix::fs::{Advice, fadvise, fsync};

const USAGE: &str = "\
A log of many signals: time to start, to the first signal, of a page; bytes on the disk.

--stored N       signals in the log (5,000,000)";

fn main() {
    bare::run_if_asked();
    let options = Options::read(USAGE);
    eprintln!("files in {}", options.place());
    let stored = options.number("--stored", 5_000_000);
    let folder = options.temporary();
    make_log(folder.path());
    let database = database(folder.path());
    bare::insert(&database, 1..stored + 1, Ids::Made);
    bare::tidy(&database);
    let mut figures = Figures::new("a large log", options.json());
    let size = fs::metadata(&database).unwrap().len() as f64 / stored as f64;
    for round in 1..=options.rounds() {
        for (temperature, cold) in [("warm", false), ("cold", true)] {
            let mut note = |what: &str, values: &[(&'static str, f64)]| {
                figures.add(&format!("{what}, {temperature}"), round, values);
            };
            measure(folder.path(), stored, cold, &mut note);
        }
        figures.add("on the disk", round, &[("bytes per signal", size)]);
    }
    figures.print();
}

type Note<'a> = &'a mut dyn FnMut(&str, &[(&'static str, f64)]);

fn measure(folder: &Path, stored: u64, cold: bool, note: Note<'_>) {
    let database = database(folder);
    // What the system keeps of the file in memory is let go of, before each of the questions.
    let forget = || {
        if cold {
            let file = File::open(&database).unwrap();
            fsync(&file).unwrap();
            fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        }
    };
    forget();
    let server = Server::start(folder, "--plaintext");
    note(
        "start to listening",
        &[("ms", server.start.as_secs_f64() * 1e3)],
    );
    let since = bare::received_at(stored / 2);
    for (what, query, first) in [
        (
            "first signal, near the end",
            format!("after_seq={}", stored - 10),
            stored - 9,
        ),
        (
            "first signal, near the start",
            "after_seq=10".to_owned(),
            11,
        ),
        (
            "first signal, in the middle",
            format!("after_seq={}", stored / 2),
            stored / 2 + 1,
        ),
        (
            "first signal, since the middle",
            format!("since={since}"),
            stored / 2,
        ),
    ] {
        forget();
        let start = Instant::now();
        let mut client = Client::connect(&server.door, &format!("/?{query}"), Protocol::V2);
        client.frames.expect_first(first);
        client.next();
        note(what, &[("ms", start.elapsed().as_secs_f64() * 1e3)]);
    }
    pages(&server.door, stored, note, forget);
    server.stop();
    server.end();
}

fn pages(door: &Door, stored: u64, note: Note<'_>, forget: impl Fn()) {
    // Each in another part of the log: what was read lately is kept.
    for (part, limit, accept, what) in [
        (3, 100, "application/json", "page of 100"),
        (5, 10_000, "application/json", "page of 10,000"),
        (6, 10_000, "application/x-ndjson", "page of 10,000, NDJSON"),
    ] {
        forget();
        let start = Instant::now();
        let body = get(
            door,
            &format!("/signals?after_seq={}&limit={limit}", stored / 8 * part),
            accept,
        );
        let took = start.elapsed();
        assert_eq!(
            memchr::memmem::find_iter(&body, br#"{"type":"buy","seq":"#).count(),
            limit
        );
        note(
            what,
            &[
                ("ms", took.as_secs_f64() * 1e3),
                ("MB", body.len() as f64 / 1e6),
            ],
        );
    }
}
