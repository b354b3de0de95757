//! What a `file:` source does when files are truncated, shortened and written anew.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod source;

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};

use signalcast::source::{Arrival, Bookmarks, CutOff, Sources};
use source::{Folder, Run, lines, spec, text};

#[tokio::test]
async fn a_truncated_file_is_read_from_its_start_and_the_half_line_is_told() {
    let folder = Folder::new();
    let mut run = folder.run("live.jsonl");
    // One write, so when the line was read the half line was read with it.
    folder.append("live.jsonl", "one\nhal");
    assert_eq!(folder.line(&mut run).await, "live.jsonl:1@0 one");
    let file = File::options().write(true).open(folder.path("live.jsonl"));
    file.unwrap().set_len(0).unwrap();
    let Arrival::Unfinished(cut) = run.arrival().await else {
        panic!("the half line is told");
    };
    assert_eq!((text(&cut.line), cut.why), ("hal", CutOff::Truncated));
    folder.append("live.jsonl", "two\n");
    assert_eq!(folder.line(&mut run).await, "live.jsonl:1@0 two");
    run.stop().await;
}

/// Runs a source in a folder where `live.jsonl` is all read, and then something is done to it that
/// the source can only notice by its outcome.
fn unseen(old: &str, change: impl FnOnce(&Folder)) -> (Folder, Run) {
    let folder = Folder::new();
    folder.append("live.jsonl", old);
    let sources =
        Sources::prepare(&[spec(&folder.source("live.jsonl"))], Bookmarks::new()).unwrap();
    change(&folder);
    let run = Run::start(sources);
    (folder, run)
}

#[tokio::test]
async fn a_file_that_has_grown_past_the_old_place_since_it_was_truncated_is_read_whole() {
    for (old, new) in [(3, 4), (3, 300), (300, 301), (300, 9000)] {
        let new = lines("new", 0..new);
        let (folder, mut run) = unseen(&lines("old", 0..old), |folder| {
            folder.write("live.jsonl", &new)
        });
        for line in new.lines() {
            assert!(folder.line(&mut run).await.ends_with(line));
        }
        assert_eq!(run.stop().await, []);
    }
}

#[tokio::test]
async fn a_file_that_was_rewritten_with_the_same_size_is_read_whole() {
    let (folder, mut run) = unseen("old 1\nold 2\n", |folder| {
        folder.write("live.jsonl", "new 1\nnew 2\n");
    });
    assert_eq!(folder.line(&mut run).await, "live.jsonl:1@0 new 1");
    assert_eq!(folder.line(&mut run).await, "live.jsonl:2@6 new 2");
    // While it runs, too, and at any speed.
    for round in 0..200 {
        let text = format!("{round:05}\n");
        folder.write("live.jsonl", &text);
        assert_eq!(
            folder.line(&mut run).await,
            format!("live.jsonl:1@0 {}", text.trim_end())
        );
    }
    assert_eq!(run.stop().await, []);
}

#[tokio::test]
async fn a_shorter_and_a_longer_rewrite_are_both_read_whole() {
    let folder = Folder::new();
    let mut run = folder.run("live.jsonl");
    for (round, count) in [50, 10, 11, 200, 1, 2, 30].into_iter().enumerate() {
        let text = lines(&format!("r{round}"), 0..count);
        folder.write("live.jsonl", &text);
        let expected: Vec<&str> = text.lines().collect();
        assert_eq!(folder.texts(&mut run, count).await, expected);
    }
    assert_eq!(run.stop().await, []);
}

#[tokio::test]
async fn a_file_saved_with_lines_added_at_its_end_goes_on_there() {
    let old = lines("old", 0..30);
    let (folder, mut run) = unseen(&old, |folder| {
        folder.write("live.jsonl", &format!("{old}new\n"));
    });
    assert_eq!(folder.line(&mut run).await, "live.jsonl:31@600 new");
    assert_eq!(run.stop().await, []);
}

#[tokio::test]
async fn the_same_lines_written_again_after_a_truncation_that_was_seen_are_new() {
    let folder = Folder::new();
    let text = lines("same", 0..30);
    let mut run = folder.run("live.jsonl");
    folder.append("live.jsonl", &format!("{text}half"));
    folder.texts(&mut run, 30).await;
    folder.truncate("live.jsonl", 0);
    assert!(matches!(run.arrival().await, Arrival::Unfinished(_)));
    folder.append("live.jsonl", &text);
    assert_eq!(
        folder.texts(&mut run, 30).await,
        text.lines().collect::<Vec<_>>()
    );
    assert_eq!(run.stop().await, []);
}

#[tokio::test]
async fn a_half_line_that_its_writer_takes_back_repeats_nothing() {
    let folder = Folder::new();
    let old = lines("old", 0..30);
    let mut run = folder.run("*.jsonl");
    folder.append("live.jsonl", &format!("{old}buy X 75"));
    folder.texts(&mut run, 30).await;
    folder.truncate("live.jsonl", 600);
    let Arrival::Unfinished(cut) = run.arrival().await else {
        panic!("the half line is told");
    };
    assert_eq!((text(&cut.line), cut.why), ("buy X 75", CutOff::Truncated));
    folder.append("live.jsonl", "buy X 75000\n");
    assert_eq!(folder.line(&mut run).await, "live.jsonl:31@600 buy X 75000");
    // What was read of it is known as well as before.
    folder.copy("live.jsonl", "copy.jsonl");
    folder.append("copy.jsonl", "more\n");
    assert_eq!(folder.line(&mut run).await, "copy.jsonl:32@612 more");
    assert_eq!(run.stop().await, []);
}

#[tokio::test]
async fn a_writer_that_does_not_append_leaves_a_hole_that_is_no_line() {
    let folder = Folder::new();
    let mut writer = File::create(folder.path("live.jsonl")).unwrap();
    let mut run = folder.run("live.jsonl");
    let old = lines("old", 0..10_000);
    writer.write_all(old.as_bytes()).unwrap();
    folder.texts(&mut run, 10_000).await;
    folder.truncate("live.jsonl", 0);
    writer.write_all(b"one\n").unwrap();
    assert_eq!(folder.line(&mut run).await, "live.jsonl:1@200000 one");
    writer.write_all(b"two\n").unwrap();
    assert_eq!(folder.line(&mut run).await, "live.jsonl:2@200004 two");
    assert_eq!(run.stop().await, []);
}

#[tokio::test]
async fn a_file_truncated_again_and_again_loses_no_line_that_stood_for_a_second() {
    let folder = Folder::new();
    folder.append("live.jsonl", "");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).open(folder.path("live.jsonl")).unwrap();
    let mut run = folder.run("live.jsonl");
    for round in 0..300 {
        file.set_len(0).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        let text = lines(&format!("{round}"), 0..round % 40 + 1);
        file.write_all(text.as_bytes()).unwrap();
        let expected: Vec<&str> = text.lines().collect();
        assert_eq!(folder.texts(&mut run, expected.len()).await, expected);
    }
    assert_eq!(run.stop().await, []);
}

#[tokio::test]
async fn what_was_not_read_before_a_truncation_comes_from_its_copy_first() {
    for (pattern, read, rest) in [
        ("live.jsonl", 1, 1),
        ("live.jsonl", 50, 50),
        ("live.jsonl", 50, 20_000),
        ("live.jsonl*", 50, 50),
        ("live.jsonl*", 50, 20_000),
    ] {
        let folder = Folder::new();
        let mut run = folder.run(pattern);
        folder.append("live.jsonl", &lines("one", 0..read));
        folder.texts(&mut run, read).await;
        // All at once, and the last line in two pieces.
        folder.append("live.jsonl", &lines("two", 0..rest));
        folder.append("live.jsonl", "half ");
        folder.append("live.jsonl", "and half\n");
        folder.copy("live.jsonl", "live.jsonl.1");
        folder.write("live.jsonl", "");
        folder.append("live.jsonl", "three\n");
        let mut come = folder.texts(&mut run, rest + 2).await;
        assert_eq!(come.pop().unwrap(), "three");
        assert_eq!(come.pop().unwrap(), "half and half");
        assert!(come.iter().eq(lines("two", 0..rest).lines()));
        let (arrivals, log) = run.shut_down().await;
        assert_eq!(arrivals, []);
        let (arrivals, _) = folder.run_again(pattern, log).shut_down().await;
        assert_eq!(arrivals, []);
    }
}
