//! Feed files that are rotated and truncated under load, seen by clients.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use futures::future::join_all;

mod common;

use common::{Folder, TestClient, TestServer, wire};

const WRITERS: usize = 4;
const LINES: usize = 100_000;

/// How far each writer's newest file is known to be followed: some client has its first line.
type Seen = Arc<[AtomicUsize; WRITERS]>;

/// Writes its share of the lines to one file after the other, each rotated by a rename while it is
/// being written to. The lines of one file have one symbol and count up.
fn write(folder: &Path, writer: usize, seen: &Seen) -> usize {
    let live = folder.join(format!("{writer}.jsonl"));
    let (mut left, mut files) = (LINES / WRITERS, 0);
    while left > 0 {
        files += 1;
        let mut options = OpenOptions::new();
        let mut file = options.create(true).append(true).open(&live).unwrap();
        let count = left.min(100 + 131 * (files % 23));
        for n in 0..count {
            if n == count / 2 && left > count {
                // It has kept its name until it was noticed. What follows is written to the
                // renamed file: in the glob, or out of it.
                while seen[writer].load(Ordering::Relaxed) < files {
                    thread::sleep(Duration::from_millis(1));
                }
                let suffix = if files % 2 == 0 { ".jsonl" } else { ".1" };
                fs::rename(&live, folder.join(format!("{writer}-{files}{suffix}"))).unwrap();
            }
            writeln!(file, "buy {writer}F{files} 75000.00 {n}").unwrap();
        }
        left -= count;
    }
    files
}

/// Reads all lines; those of each file come in order.
async fn read(mut client: TestClient, seen: Seen) -> HashMap<String, usize> {
    let mut next: HashMap<String, usize> = HashMap::new();
    for _ in 0..LINES {
        let text = client.text().await;
        let (_, rest) = text.split_once(r#""symbol":""#).unwrap();
        let symbol = rest.split('"').next().unwrap();
        let number = next.entry(symbol.to_owned()).or_default();
        assert_eq!(text, wire("buy", symbol, "75000.00", *number as u64));
        *number += 1;
        if *number == 1 {
            let (writer, file) = symbol.split_once('F').unwrap();
            let place = &seen[writer.parse::<usize>().unwrap()];
            place.fetch_max(file.parse().unwrap(), Ordering::Relaxed);
        }
    }
    next
}

#[tokio::test]
async fn files_renamed_under_load_give_every_client_each_line_once() {
    let folder = Arc::new(Folder::new());
    fs::create_dir(folder.path("signals")).unwrap();
    let server = TestServer::start_in(folder, "--source file:signals/*.jsonl");
    let (seen, token) = (Seen::default(), server.token());
    let mut clients = Vec::new();
    for _ in 0..2 {
        clients.push(server.client_at("/", &token).await.unwrap());
    }
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (folder, seen) = (server.folder.path("signals"), Arc::clone(&seen));
            thread::spawn(move || write(&folder, writer, &seen))
        })
        .collect();
    let readers = clients
        .into_iter()
        .map(|client| read(client, Arc::clone(&seen)));
    let read = join_all(readers).await;
    let files: usize = writers
        .into_iter()
        .map(|writer| writer.join().unwrap())
        .sum();
    for next in read {
        assert_eq!(next.len(), files);
        assert_eq!(next.values().sum::<usize>(), LINES);
    }
    server.stop();
    eprintln!("{LINES} lines in {files} files");
}

/// Appends lines with these numbers and waits until the client has them.
async fn append(server: &TestServer, client: &mut TestClient, numbers: std::ops::Range<u64>) {
    let line = |n| format!("buy BTCUSDT 75000.00 {n}\n");
    let text: String = numbers.clone().map(line).collect();
    server.folder.append("signals/live.jsonl", &text);
    for n in numbers {
        assert_eq!(client.text().await, wire("buy", "BTCUSDT", "75000.00", n));
    }
}

#[tokio::test]
async fn what_is_written_after_a_truncation_comes_once() {
    let server = TestServer::start("--source file:signals/*.jsonl");
    let mut client = server.client().await;
    let mut first = 0;
    for round in 0..60 {
        let next = first + [1, 40, 7, 300, 41][round % 5];
        append(&server, &mut client, first..next).await;
        first = next;
        let live = server.folder.path("signals/live.jsonl");
        if round % 2 == 0 {
            File::create(live).unwrap();
        } else {
            File::options()
                .write(true)
                .open(live)
                .unwrap()
                .set_len(0)
                .unwrap();
        }
    }
    // Nothing comes twice, or it would have come before this.
    append(&server, &mut client, first..first + 1).await;
    server.stop();
}

#[tokio::test]
async fn copies_that_copytruncate_leaves_are_not_read() {
    let server = TestServer::start("--source file:signals/*.jsonl");
    let mut client = server.client().await;
    let mut first = 0;
    for round in 0..40 {
        let next = first + [40, 20, 3000][round % 3];
        append(&server, &mut client, first..next).await;
        first = next;
        let live = server.folder.path("signals/live.jsonl");
        let copy = format!("signals/live-{round}.jsonl");
        fs::copy(&live, server.folder.path(copy)).unwrap();
        File::create(live).unwrap();
    }
    append(&server, &mut client, first..first + 1).await;
    server.stop();
}
