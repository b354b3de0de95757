//! What a `file:` source makes of files that came and were rotated away again, all while the server
//! was down, and which its pattern does not match any more.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod source;

use std::fs::{self, FileTimes};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use signalcast::source::{Bookmark, Mark};
use source::{Folder, Log, lines};

/// As logrotate does: `.1` becomes `.2`, and so on.
fn rotate(folder: &Folder) {
    let most = (1..).find(|n| !folder.path(&format!("live.jsonl.{n}")).exists());
    for n in (1..most.unwrap()).rev() {
        folder.rename(&format!("live.jsonl.{n}"), &format!("live.jsonl.{}", n + 1));
    }
    folder.rename("live.jsonl", "live.jsonl.1");
}

/// Time has passed, as the file system counts it.
fn tick(folder: &Folder) {
    let time = || {
        folder.write("clock", "tick");
        let metadata = fs::metadata(folder.path("clock")).unwrap();
        metadata.modified().unwrap()
    };
    let start = time();
    while time() <= start {}
    folder.remove("clock");
}

/// A folder with `live.jsonl`, all of which was read when the server went away, and two files that
/// were rotated before.
async fn read(pattern: &str) -> (Folder, Log) {
    let folder = Folder::new();
    folder.append("live.jsonl", "older\n");
    rotate(&folder);
    folder.append("live.jsonl", "old\n");
    rotate(&folder);
    tick(&folder);
    let mut run = folder.run(pattern);
    folder.append("live.jsonl", "one\n");
    folder.texts(&mut run, 1).await;
    let (rest, log) = run.shut_down().await;
    assert_eq!(rest, []);
    tick(&folder);
    (folder, log)
}

/// Only these lines come, in this order, and never again.
async fn comes(folder: &Folder, pattern: &str, log: Log, expected: &[&str]) {
    let mut run = folder.run_again(pattern, log);
    for line in expected {
        assert_eq!(folder.line(&mut run).await, *line);
    }
    let (rest, log) = run.shut_down().await;
    assert_eq!(rest, []);
    let (rest, _) = folder.run_again(pattern, log).shut_down().await;
    assert_eq!(rest, []);
}

#[tokio::test]
async fn files_between_are_read_in_their_order() {
    for pattern in ["live.jsonl", "*.jsonl"] {
        for count in 1..5 {
            let (folder, log) = read(pattern).await;
            folder.append("live.jsonl", "two\n");
            let mut expected = vec!["live.jsonl:2@4 two".to_owned()];
            for n in 0..count {
                rotate(&folder);
                folder.append("live.jsonl", &format!("new {n}\nmore\n"));
                expected.push(format!("live.jsonl:1@0 new {n}"));
                expected.push("live.jsonl:2@6 more".to_owned());
            }
            let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
            comes(&folder, pattern, log, &expected).await;
        }
    }
}

#[tokio::test]
async fn files_between_that_the_pattern_names_are_read_in_their_order() {
    // So many that it takes several turns.
    let new = |name: &str| lines(name, 0..8000);
    for names in [[".1", ".2"], ["-20261119", "-20261118"]] {
        let folder = Folder::new();
        folder.append("live.jsonl", "old\n");
        let mut run = folder.run("live.jsonl*");
        folder.append("live.jsonl", "one\n");
        folder.texts(&mut run, 1).await;
        let (_, log) = run.shut_down().await;
        let mut expected = String::from("two\n");
        folder.append("live.jsonl", "two\n");
        folder.rename("live.jsonl", "live.jsonl.3");
        let [newer, older] = names.map(|end| format!("live.jsonl{end}"));
        for (name, path) in [("three", &*older), ("four", &newer), ("five", "live.jsonl")] {
            folder.append(path, &new(name));
            expected += &new(name);
        }
        let mut run = folder.run_again("live.jsonl*", log);
        let texts = folder.texts(&mut run, 24_001).await;
        assert!(texts.iter().eq(expected.lines()), "{names:?}");
        assert_eq!(run.stop().await, []);
    }
}

#[tokio::test]
async fn rotated_files_that_are_read_from_their_start_come_before_their_feed() {
    let folder = Folder::new();
    folder.append("live.jsonl", "one\n");
    for new in ["two\n", "three\n"] {
        rotate(&folder);
        tick(&folder);
        folder.append("live.jsonl", new);
    }
    let mut run = folder.run("live.jsonl*?from=start");
    assert_eq!(folder.texts(&mut run, 3).await, ["one", "two", "three"]);
    assert_eq!(run.stop().await, []);
}

#[tokio::test]
async fn files_between_that_are_called_by_their_date_are_read_too() {
    for names in [
        ["-20261118", "-20261119", "-20261120"],
        [".2026-11-20_09", ".2026-11-20_10", ".2026-11-20_11"],
        [
            "-20261120-1700000000",
            "-20261120-1700000001",
            "-20261121-1700000002",
        ],
    ] {
        let (folder, log) = read("live.jsonl").await;
        for (name, new) in names.iter().zip(["two\n", "three\n", "four\n"]) {
            folder.rename("live.jsonl", &format!("live.jsonl{name}"));
            folder.append("live.jsonl", new);
        }
        let expected = ["two", "three", "four"].map(|new| format!("live.jsonl:1@0 {new}"));
        let expected = expected.each_ref().map(String::as_str);
        comes(&folder, "live.jsonl", log, &expected).await;
    }
}

#[tokio::test]
async fn a_file_between_is_read_although_there_is_no_new_one_yet() {
    let (folder, log) = read("live.jsonl").await;
    rotate(&folder);
    folder.append("live.jsonl", "two\n");
    rotate(&folder);
    comes(&folder, "live.jsonl", log, &["live.jsonl:1@0 two"]).await;
}

#[tokio::test]
async fn whoever_still_writes_to_a_file_between_is_read_on() {
    let (folder, log) = read("live.jsonl").await;
    for new in ["two\n", "three\n"] {
        rotate(&folder);
        folder.append("live.jsonl", new);
    }
    let mut run = folder.run_again("live.jsonl", log);
    assert_eq!(folder.texts(&mut run, 2).await, ["two", "three"]);
    folder.append("live.jsonl.1", "late\n");
    assert_eq!(folder.line(&mut run).await, "live.jsonl:2@4 late");
    let (_, log) = run.shut_down().await;
    // And after the next rotation, too.
    rotate(&folder);
    folder.append("live.jsonl.2", "later\n");
    folder.append("live.jsonl", "four\n");
    let expected = ["live.jsonl:3@9 later", "live.jsonl:1@0 four"];
    comes(&folder, "live.jsonl", log, &expected).await;
}

#[tokio::test]
async fn a_file_between_is_read_when_the_one_before_it_was_compressed() {
    let (folder, log) = read("live.jsonl").await;
    for new in ["two\n", "three\n"] {
        rotate(&folder);
        folder.append("live.jsonl", new);
    }
    folder.append("live.jsonl.2.gz", "packed\n");
    folder.remove("live.jsonl.2");
    let expected = ["live.jsonl:1@0 two", "live.jsonl:1@0 three"];
    comes(&folder, "live.jsonl", log, &expected).await;
}

#[tokio::test]
async fn a_compressed_file_between_is_not_read_but_the_others_are() {
    let (folder, log) = read("live.jsonl").await;
    for new in ["two\n", "three\n", "four\n"] {
        rotate(&folder);
        folder.append("live.jsonl", new);
    }
    folder.append("live.jsonl.2.gz", "packed\n");
    folder.remove("live.jsonl.2");
    let expected = ["live.jsonl:1@0 three", "live.jsonl:1@0 four"];
    comes(&folder, "live.jsonl", log, &expected).await;
}

#[tokio::test]
async fn a_file_that_was_rotated_before_is_not_read_when_the_last_one_is_gone() {
    let (folder, log) = read("live.jsonl").await;
    folder.remove("live.jsonl");
    folder.append("live.jsonl", "two\n");
    // Its writer has not noticed.
    folder.append("live.jsonl.1", "stale\n");
    comes(&folder, "live.jsonl", log, &["live.jsonl:1@0 two"]).await;
}

#[tokio::test]
async fn backups_are_not_read() {
    let (folder, log) = read("live.jsonl").await;
    rotate(&folder);
    folder.append("live.jsonl", "two\n");
    for name in ["bak", "orig", "1.bak", "9", "9.1", "20261120"] {
        folder.append(&format!("live.jsonl.{name}"), "stale\n");
    }
    folder.append("live.jsonl~", "stale\n");
    comes(&folder, "live.jsonl", log, &["live.jsonl:1@0 two"]).await;
}

#[tokio::test]
async fn what_was_unpacked_or_restored_is_not_read() {
    // Beside the packed one.
    let (folder, log) = read("live.jsonl").await;
    rotate(&folder);
    folder.rename("live.jsonl.1", "live.jsonl.2");
    folder.append("live.jsonl.1.gz", "packed\n");
    folder.append("live.jsonl.1", "stale\n");
    folder.append("live.jsonl", "two\n");
    comes(&folder, "live.jsonl", log, &["live.jsonl:1@0 two"]).await;

    // With the time at which it was written.
    let (folder, log) = read("live.jsonl").await;
    rotate(&folder);
    folder.rename("live.jsonl.1", "live.jsonl.2");
    folder.append("live.jsonl.1", "stale\n");
    let path = folder.path("live.jsonl.1");
    let file = fs::File::options().write(true).open(path).unwrap();
    let before = SystemTime::now() - Duration::from_secs(3600);
    let times = FileTimes::new().set_modified(before);
    file.set_times(times).unwrap();
    folder.append("live.jsonl", "two\n");
    comes(&folder, "live.jsonl", log, &["live.jsonl:1@0 two"]).await;
}

#[tokio::test]
async fn a_folder_that_was_restored_from_a_backup_is_not_read_again() {
    let folder = Folder::new();
    let mut run = folder.run("*.jsonl");
    let old = lines("live", 0..100);
    folder.append("live.jsonl", &old);
    folder.texts(&mut run, 100).await;
    let (_, log) = run.shut_down().await;
    tick(&folder);
    folder.remove("live.jsonl");
    folder.append("live.jsonl", &old[..1000]);
    folder.append("live.jsonl.1", "stale\n");
    folder.append("other.jsonl", "new\n");
    comes(&folder, "*.jsonl", log, &["other.jsonl:1@0 new"]).await;
}

#[tokio::test]
async fn a_copy_of_the_new_file_is_not_read_besides() {
    let (folder, log) = read("live.jsonl").await;
    rotate(&folder);
    let new = lines("new", 0..20);
    folder.append("live.jsonl", &new);
    folder.rename("live.jsonl.1", "live.jsonl.2");
    folder.copy("live.jsonl", "live.jsonl.1");
    let mut run = folder.run_again("live.jsonl", log);
    let texts = folder.texts(&mut run, 20).await;
    assert_eq!(texts, new.lines().collect::<Vec<_>>());
    assert_eq!(run.stop().await, []);
}

#[tokio::test]
async fn the_same_with_files_that_are_copied_and_truncated() {
    let folder = Folder::new();
    let mut run = folder.run("live.jsonl");
    let first = lines("one", 0..50);
    folder.append("live.jsonl", &first);
    folder.texts(&mut run, 50).await;
    let (_, log) = run.shut_down().await;
    let mut expected = String::new();
    for name in ["one", "two", "three", "four"] {
        let new = lines(name, 50..100);
        folder.append("live.jsonl", &new);
        expected += &new;
        if name != "four" {
            rotate(&folder);
            folder.rename("live.jsonl.1", "live.jsonl");
            folder.copy("live.jsonl", "live.jsonl.1");
            folder.write("live.jsonl", "");
        }
    }
    let mut run = folder.run_again("live.jsonl", log);
    let texts = folder.texts(&mut run, 200).await;
    assert_eq!(texts, expected.lines().collect::<Vec<_>>());
    assert_eq!(run.stop().await, []);
}

#[tokio::test]
async fn a_crash_in_the_middle_neither_loses_nor_repeats() {
    // So many that it takes several handovers.
    const LINES: usize = 8000;
    let places = [0, 1, 1000, LINES, LINES + 1, 5 * LINES / 2, 3 * LINES];
    for taken in places {
        let (folder, mut log) = read("live.jsonl").await;
        let mut expected = String::new();
        for name in ["one", "two", "three", "four"] {
            let new = lines(name, 0..LINES);
            folder.append("live.jsonl", &new);
            expected += &new;
            if name != "four" {
                rotate(&folder);
            }
        }
        let mut come = Vec::new();
        for most in [taken, taken] {
            let left = 4 * LINES - come.len();
            let mut run = folder.run_again("live.jsonl", log);
            come.extend(folder.texts(&mut run, most.min(left)).await);
            let (arrivals, rest, known) = run.crash().await;
            assert_eq!(arrivals, []);
            let texts = rest.iter().map(|line| line.split_once(' ').unwrap().1);
            come.extend(texts.map(str::to_owned));
            log = known;
            rotate(&folder);
            folder.append("live.jsonl", "");
        }
        let mut run = folder.run_again("live.jsonl", log);
        let left = 4 * LINES - come.len();
        come.extend(folder.texts(&mut run, left).await);
        assert!(come.iter().eq(expected.lines()), "after {taken} lines");
        assert_eq!(run.stop().await, []);
    }
}

#[tokio::test]
async fn a_copy_that_no_truncation_has_followed_yet_is_not_read_besides() {
    let folder = Folder::new();
    let mut run = folder.run("live.jsonl");
    folder.append("live.jsonl", &lines("one", 0..50));
    folder.texts(&mut run, 50).await;
    let (_, log) = run.shut_down().await;
    folder.copy("live.jsonl", "live.jsonl.2");
    let new = lines("two", 0..50);
    folder.write("live.jsonl", &new);
    folder.copy("live.jsonl", "live.jsonl.1");
    let mut run = folder.run_again("live.jsonl", log);
    let texts = folder.texts(&mut run, 50).await;
    assert_eq!(texts, new.lines().collect::<Vec<_>>());
    // Nothing is left to come before this.
    folder.append("live.jsonl", "last\n");
    assert_eq!(folder.texts(&mut run, 1).await, ["last"]);
    assert_eq!(run.stop().await, []);
}

/// As logrotate does with `copytruncate`.
fn copy_and_truncate(folder: &Folder) {
    rotate(folder);
    folder.rename("live.jsonl.1", "live.jsonl");
    folder.copy("live.jsonl", "live.jsonl.1");
    folder.write("live.jsonl", "");
}

/// A file that is gone or quiet for a minute is forgotten: what the log knows when all but the one
/// at this path are.
fn forget_others(folder: &Folder, log: &mut Log) {
    let there = fs::metadata(folder.path("live.jsonl")).unwrap();
    let id = format!("{}:{}", there.dev(), there.ino());
    let known = log.remembered().into_values().flatten();
    let others = known.filter(|known| known.part.contains(':') && !known.part.starts_with(&id));
    let gone = others.map(|other| Bookmark {
        mark: Mark::Gone,
        ..other
    });
    log.commit(gone.collect());
    assert_eq!(log.parts(), [id.as_str(), "started"]);
}

#[tokio::test]
async fn copies_of_a_file_that_was_empty_when_the_server_stopped_are_read() {
    for count in [1, 50] {
        let folder = Folder::new();
        folder.append("live.jsonl", "");
        let (_, log) = folder.run("live.jsonl").shut_down().await;
        tick(&folder);
        let mut expected = String::new();
        for name in ["one", "two", "three"] {
            let new = lines(name, 0..count);
            folder.append("live.jsonl", &new);
            expected += &new;
            copy_and_truncate(&folder);
            tick(&folder);
        }
        let mut run = folder.run_again("live.jsonl", log);
        let texts = folder.texts(&mut run, 3 * count).await;
        assert_eq!(texts, expected.lines().collect::<Vec<_>>());
        let (rest, mut log) = run.shut_down().await;
        assert_eq!(rest, []);
        // Nothing of that is new a second time, and the same may happen again.
        forget_others(&folder, &mut log);
        folder.append("live.jsonl", "more\n");
        copy_and_truncate(&folder);
        let mut run = folder.run_again("live.jsonl", log);
        assert_eq!(folder.texts(&mut run, 1).await, ["more"]);
        assert_eq!(run.stop().await, []);
    }
}

#[tokio::test]
async fn a_copy_of_what_was_read_before_a_truncation_is_not_read() {
    for count in [1, 50] {
        let folder = Folder::new();
        let mut run = folder.run("live.jsonl");
        let old = lines("old", 0..count);
        folder.append("live.jsonl", &old);
        folder.texts(&mut run, count).await;
        let (_, log) = run.shut_down().await;
        folder.write("live.jsonl", "");
        let (_, log) = folder.run_again("live.jsonl", log).shut_down().await;
        tick(&folder);
        // As if it had been made after the last look at the file's time.
        folder.write("live.jsonl.1", &old);
        tick(&folder);
        folder.write("live.jsonl", "");
        let mut run = folder.run_again("live.jsonl", log);
        folder.append("live.jsonl", "new\n");
        assert_eq!(folder.texts(&mut run, 1).await, ["new"]);
        assert_eq!(run.stop().await, []);
    }
}

#[tokio::test]
async fn copies_are_read_when_the_one_before_them_was_compressed() {
    let folder = Folder::new();
    let mut run = folder.run("live.jsonl");
    folder.append("live.jsonl", &lines("old", 0..50));
    folder.texts(&mut run, 50).await;
    let (_, log) = run.shut_down().await;
    tick(&folder);
    folder.append("live.jsonl", &lines("lost", 0..50));
    copy_and_truncate(&folder);
    let new = lines("new", 0..50);
    folder.append("live.jsonl", &new);
    copy_and_truncate(&folder);
    folder.rename("live.jsonl.2", "live.jsonl.2.gz");
    folder.write("live.jsonl.2.gz", "packed");
    folder.append("live.jsonl", "last\n");
    let mut run = folder.run_again("live.jsonl", log);
    let texts = folder.texts(&mut run, 51).await;
    assert_eq!(texts[..50], new.lines().collect::<Vec<_>>());
    assert_eq!(texts[50], "last");
    let (rest, log) = run.shut_down().await;
    assert_eq!(rest, []);
    let (rest, _) = folder.run_again("live.jsonl", log).shut_down().await;
    assert_eq!(rest, []);
}
