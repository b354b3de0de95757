//! What a `file:` source does with more files than it holds open.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod source;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;

use signalcast::source::{Arrival, CutOff};
use source::{Folder, Run, lines};

/// More than are held open.
const FILES: usize = 300;

fn name(number: usize) -> String {
    format!("{number:04}.jsonl")
}

/// So many files with two old lines each, all of them followed.
fn many(files: usize) -> (Folder, Run) {
    let folder = Folder::new();
    for n in 0..files {
        folder.append(&name(n), &lines("old", 0..2));
    }
    let run = folder.run("*.jsonl");
    (folder, run)
}

fn open_files(folder: &Folder) -> usize {
    let handles = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let here = fs::canonicalize(folder.path("")).unwrap();
    handles
        .filter_map(|handle| fs::read_link(handle.path()).ok())
        .filter(|path| path.starts_with(&here) && path.to_string_lossy().contains(".jsonl"))
        .count()
}

/// Has the first of many files closed, by reading more others than are held open.
async fn use_others(folder: &Folder, run: &mut Run) {
    for n in 100..FILES {
        folder.append(&name(n), "new\n");
        folder.line(run).await;
    }
}

#[tokio::test]
async fn ten_thousand_files_are_followed_with_a_hundred_open() {
    let (folder, mut run) = many(10_000);
    for n in [0, 9_999, 5_000] {
        folder.append(&name(n), "new\n");
        let line = folder.line(&mut run).await;
        assert_eq!(line, format!("{n:04}.jsonl:3@40 new"));
    }
    // One more for a moment: it is opened before the one not used for longest is closed.
    let open = open_files(&folder);
    assert!((3..=96 + 1).contains(&open), "{open}");
    run.stop().await;
}

#[tokio::test]
async fn files_that_are_not_open_go_on_where_they_were() {
    let (folder, mut run) = many(FILES);
    for round in 0..2 {
        for n in 0..FILES {
            folder.append(&name(n), &lines("new", round..round + 1));
            let line = folder.line(&mut run).await;
            let (number, offset) = (3 + round, 40 + 20 * round);
            let start = format!("{n:04}.jsonl:{number}@{offset} new");
            assert!(line.starts_with(&start), "{line}");
        }
    }
    assert_eq!(run.stop().await, []);
}

#[tokio::test]
async fn files_that_are_not_open_are_read_whole_when_they_were_begun_anew() {
    let (folder, mut run) = many(FILES);
    for n in 0..FILES {
        let text = match n % 4 {
            0 => lines("shorter", 0..1),
            1 => lines("as long", 0..2),
            2 => lines("longer", 0..3),
            _ => {
                // The inode may well be the old one's.
                folder.remove(&name(n));
                lines("another", 0..2)
            }
        };
        folder.write(&name(n), &text);
        let expected: Vec<&str> = text.lines().collect();
        let mut texts = Vec::new();
        while texts.len() < expected.len() {
            texts.push(run.line().await.split_once(' ').unwrap().1.to_owned());
        }
        assert_eq!(texts, expected, "{n}");
    }
    assert_eq!(run.stop().await, []);
}

#[tokio::test]
async fn a_writer_of_a_file_that_is_not_open_can_go_on_after_its_rename() {
    let (folder, mut run) = many(FILES);
    let mut writers: Vec<_> = (0..3)
        .map(|n| {
            let mut options = OpenOptions::new();
            options.append(true).open(folder.path(&name(n))).unwrap()
        })
        .collect();
    use_others(&folder, &mut run).await;
    folder.rename(&name(0), "0000.old");
    folder.rename(&name(1), "aside.jsonl");
    folder.rename(&name(2), "0002.old");
    for (n, writer) in writers.iter_mut().enumerate() {
        folder.append(&name(n), "next\n");
        let line = folder.line(&mut run).await;
        assert_eq!(line, format!("{n:04}.jsonl:1@0 next"));
        writer.write_all(b"late\n").unwrap();
        let line = folder.line(&mut run).await;
        assert!(line.ends_with(":3@40 late"), "{line}");
    }
    assert_eq!(run.stop().await, []);
}

#[tokio::test]
async fn the_half_line_of_a_file_that_is_not_open_is_told_when_it_is_deleted() {
    let (folder, mut run) = many(FILES);
    folder.append(&name(0), "one\nhalf");
    assert_eq!(folder.line(&mut run).await, "0000.jsonl:3@40 one");
    use_others(&folder, &mut run).await;
    folder.remove(&name(0));
    let Arrival::Unfinished(cut) = run.arrival().await else {
        panic!("the half line is told");
    };
    assert_eq!((&cut.line[..], cut.why), (&b"half"[..], CutOff::Gone));
    run.stop().await;
}

/// The file system gives the inode of a deleted file to the next one.
#[tokio::test]
async fn a_copy_that_has_the_inode_of_a_deleted_file_is_a_copy() {
    let (folder, mut run) = many(FILES);
    let feed = lines("feed", 0..50);
    folder.append("live.jsonl", &feed);
    folder.texts(&mut run, 50).await;
    // What the log knows of it must not be taken for something about the next one.
    folder.write(&name(0), "begun anew\n");
    folder.line(&mut run).await;
    use_others(&folder, &mut run).await;
    let of = |name: &str| fs::metadata(folder.path(name)).unwrap().ino();
    let inode = of(&name(0));
    folder.remove(&name(0));
    folder.copy("live.jsonl", "copy.jsonl");
    assert_eq!(of("copy.jsonl"), inode, "given to the next file");
    folder.append("copy.jsonl", "its own\n");
    assert_eq!(folder.line(&mut run).await, "copy.jsonl:51@1000 its own");
    let (arrivals, log) = run.shut_down().await;
    assert_eq!(arrivals, []);
    let mut run = folder.run_again("*.jsonl", log);
    // Is compared with all that is known.
    folder.append("other.jsonl", &lines("other", 0..50));
    folder.texts(&mut run, 50).await;
    assert_eq!(run.stop().await, []);
}
