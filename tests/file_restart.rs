//! Where a `file:` source goes on after the server was away, and what it makes of what has happened
//! to its files meanwhile.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod source;

use std::fs;

use signalcast::source::Arrival;
use source::{Folder, Log, Run, lines, text};

/// A folder with `live.jsonl`, all of which was read when the server went away.
async fn read(pattern: &str, text: &str) -> (Folder, Log) {
    let folder = Folder::new();
    let mut run = folder.run(pattern);
    folder.append("live.jsonl", text);
    folder.texts(&mut run, text.lines().count()).await;
    let (rest, log) = run.shut_down().await;
    assert_eq!(rest, []);
    (folder, log)
}

async fn expect(folder: &Folder, run: &mut Run, expected: &[&str]) {
    for line in expected {
        assert_eq!(folder.line(run).await, *line);
    }
}

/// Only these lines come.
async fn comes(folder: &Folder, pattern: &str, log: Log, expected: &[&str]) -> Log {
    let mut run = folder.run_again(pattern, log);
    expect(folder, &mut run, expected).await;
    let (rest, log) = run.shut_down().await;
    assert_eq!(rest, []);
    log
}

#[tokio::test]
async fn what_was_written_meanwhile_is_read_and_nothing_else() {
    let (folder, log) = read("*.jsonl", "one\ntwo\n").await;
    folder.append("live.jsonl", "three\n");
    folder.append("new.jsonl", "first\n");
    let expected = ["live.jsonl:3@8 three", "new.jsonl:1@0 first"];
    let mut run = folder.run_again("*.jsonl", log);
    let mut lines = [folder.line(&mut run).await, folder.line(&mut run).await];
    lines.sort();
    assert_eq!(lines, expected);
    let (_, log) = run.shut_down().await;
    comes(&folder, "*.jsonl", log, &[]).await;
}

#[tokio::test]
async fn a_half_line_is_read_again_from_its_start() {
    let folder = Folder::new();
    let mut run = folder.run("live.jsonl");
    folder.append("live.jsonl", "one\nha");
    assert_eq!(folder.line(&mut run).await, "live.jsonl:1@0 one");
    let (_, log) = run.shut_down().await;
    folder.append("live.jsonl", "lf\n");
    comes(&folder, "live.jsonl", log, &["live.jsonl:2@4 half"]).await;
}

#[tokio::test]
async fn what_was_handed_over_and_not_recorded_comes_again() {
    let folder = Folder::new();
    let run = folder.run("live.jsonl");
    folder.append("live.jsonl", "one\n");
    let (_, _, log) = run.crash().await;
    comes(&folder, "live.jsonl", log, &["live.jsonl:1@0 one"]).await;
}

#[tokio::test]
async fn a_first_start_without_files_is_a_start() {
    let folder = Folder::new();
    let (_, _, log) = folder.run("*.jsonl").crash().await;
    folder.append("live.jsonl", "one\n");
    comes(&folder, "*.jsonl", log, &["live.jsonl:1@0 one"]).await;
}

#[tokio::test]
async fn old_lines_stay_old_when_the_first_start_is_followed_by_a_crash() {
    let folder = Folder::new();
    folder.append("live.jsonl", "old\n");
    let (_, _, log) = folder.run("live.jsonl").crash().await;
    folder.append("live.jsonl", "new\n");
    comes(&folder, "live.jsonl", log, &["live.jsonl:2@4 new"]).await;
}

#[tokio::test]
async fn a_file_that_was_renamed_is_read_to_its_end_before_the_new_one() {
    for (name, pattern) in [
        ("live.jsonl.1", "live.jsonl"),
        ("live-1.jsonl", "*.jsonl"),
        ("archive", "live.jsonl"),
    ] {
        let (folder, log) = read(pattern, "one\n").await;
        folder.append("live.jsonl", "two\n");
        folder.rename("live.jsonl", "between");
        folder.rename("between", name);
        folder.append("live.jsonl", "three\n");
        let mut run = folder.run_again(pattern, log);
        let moved = folder.line(&mut run).await;
        assert!(moved.ends_with(":2@4 two"), "{moved}");
        expect(&folder, &mut run, &["live.jsonl:1@0 three"]).await;
        // Its writer may not know yet.
        folder.append(name, "late\n");
        assert!(folder.line(&mut run).await.ends_with(":3@8 late"));
        let (_, log) = run.shut_down().await;
        comes(&folder, pattern, log, &[]).await;
    }
}

#[tokio::test]
async fn a_renamed_file_goes_on_after_more_than_one_restart() {
    let (folder, mut log) = read("live.jsonl", "one\n").await;
    folder.rename("live.jsonl", "live.jsonl.1");
    folder.append("live.jsonl", "new\n");
    log = comes(&folder, "live.jsonl", log, &["live.jsonl:1@0 new"]).await;
    folder.rename("live.jsonl.1", "live.jsonl.2");
    folder.append("live.jsonl.2", "late\n");
    comes(&folder, "live.jsonl", log, &["live.jsonl:2@4 late"]).await;
}

#[tokio::test]
async fn an_inode_that_is_another_files_by_now_is_not_taken_for_the_old_one() {
    let (folder, log) = read("live.jsonl", "").await;
    folder.append("live.jsonl", "");
    let log = comes(&folder, "live.jsonl", log, &[]).await;
    // Often the same inode; in any case no feed.
    folder.remove("live.jsonl");
    folder.append("notes.txt", "buy milk\n");
    comes(&folder, "live.jsonl", log, &[]).await;
}

#[tokio::test]
async fn a_file_with_the_same_beginning_at_the_same_path_goes_on() {
    for old in [lines("old", 0..3), lines("old", 0..500)] {
        let (folder, log) = read("live.jsonl", &old).await;
        // Restored, moved to another disk, saved by an editor.
        folder.append("other", &format!("{old}new\n"));
        folder.remove("live.jsonl");
        folder.rename("other", "live.jsonl");
        let expected = format!("live.jsonl:{}@{} new", old.lines().count() + 1, old.len());
        comes(&folder, "live.jsonl", log, &[&expected]).await;
    }
}

#[tokio::test]
async fn a_file_that_was_begun_anew_is_read_from_its_start() {
    for new in ["n\n", "new 1\nnew 2\nnew 3\n"] {
        let (folder, log) = read("live.jsonl", "old 1\nold 2\n").await;
        folder.write("live.jsonl", new);
        let mut run = folder.run_again("live.jsonl", log);
        let texts = folder.texts(&mut run, new.lines().count()).await;
        assert_eq!(texts, new.lines().collect::<Vec<_>>());
        assert_eq!(run.stop().await, []);
    }
}

#[tokio::test]
async fn the_rest_of_a_file_that_was_copied_and_truncated_comes_from_the_copy() {
    for (name, pattern) in [("live.jsonl.1", "live.jsonl"), ("live-1.jsonl", "*.jsonl")] {
        for count in [1, 3, 100, 5000] {
            let (folder, log) = read(pattern, &lines("live", 0..count)).await;
            folder.append("live.jsonl", &lines("last", 0..2));
            folder.copy("live.jsonl", name);
            folder.write("live.jsonl", "new\n");
            let mut run = folder.run_again(pattern, log);
            let expected = format!("{}new\n", lines("last", 0..2));
            let texts = folder.texts(&mut run, 3).await;
            assert_eq!(
                texts,
                expected.lines().collect::<Vec<_>>(),
                "{name} {count}"
            );
            let (_, log) = run.shut_down().await;
            comes(&folder, pattern, log, &[]).await;
        }
    }
}

#[tokio::test]
async fn a_copy_that_was_known_before_stays_one() {
    let old = lines("live", 0..100);
    let folder = Folder::new();
    let mut run = folder.run("*.jsonl");
    folder.append("live.jsonl", &old);
    folder.texts(&mut run, 100).await;
    folder.copy("live.jsonl", "live-1.jsonl");
    folder.write("live.jsonl", "new\n");
    assert_eq!(folder.line(&mut run).await, "live.jsonl:1@0 new");
    let (_, _, log) = run.crash().await;
    folder.remove("live.jsonl");
    folder.append("live-1.jsonl", "own\n");
    comes(&folder, "*.jsonl", log, &["live-1.jsonl:101@2000 own"]).await;
}

#[tokio::test]
async fn copies_of_a_file_that_is_gone_are_not_read() {
    let old = lines("live", 0..100);
    let (folder, log) = read("*.jsonl", &old).await;
    folder.copy("live.jsonl", "a.jsonl");
    folder.copy("live.jsonl", "b.jsonl");
    folder.remove("live.jsonl");
    folder.append("a.jsonl", "own\n");
    let mut run = folder.run_again("*.jsonl", log);
    assert!(folder.line(&mut run).await.ends_with(":101@2000 own"));
    assert_eq!(run.stop().await, []);
}

#[tokio::test]
async fn a_file_that_is_gone_is_forgotten() {
    let (folder, log) = read("*.jsonl", "one\n").await;
    assert_eq!(log.parts().len(), 2);
    folder.remove("live.jsonl");
    let mut run = folder.run_again("*.jsonl", log);
    // A few looks later, if nobody has copied it.
    for count in 0.. {
        folder.append("other.jsonl", &format!("{count}\n"));
        folder.line(&mut run).await;
        if run.log().parts().len() == 2 {
            break;
        }
    }
    let (_, log) = run.shut_down().await;
    folder.append("live.jsonl", "one\n");
    comes(&folder, "*.jsonl", log, &["live.jsonl:1@0 one"]).await;
}

#[tokio::test]
async fn a_folder_that_is_not_there_yet_is_waited_for() {
    let (folder, log) = read("live.jsonl", "one\n").await;
    let feeds = Folder::new();
    let hidden = feeds.path("away");
    let shown = folder.path("");
    fs::rename(&shown, &hidden).unwrap();
    let mut run = folder.run_again("live.jsonl", log);
    fs::rename(&hidden, &shown).unwrap();
    folder.append("live.jsonl", "two\n");
    expect(&folder, &mut run, &["live.jsonl:2@4 two"]).await;
    assert_eq!(run.stop().await, []);
}

#[tokio::test]
async fn a_place_from_a_newer_version_is_refused() {
    let (folder, mut log) = read("live.jsonl", "one\n").await;
    let part = log.parts()[0].to_owned();
    log.change(&part, r#"{"what":"ever"}"#);
    let specs = [source::spec(&folder.source("live.jsonl"))];
    let why = signalcast::source::Sources::prepare(&specs, log.remembered()).unwrap_err();
    assert!(
        why.to_string().contains("run the version that wrote it"),
        "{why}"
    );
}

#[tokio::test]
async fn a_half_line_of_a_renamed_file_that_is_never_finished_is_told() {
    let folder = Folder::new();
    let mut run = folder.run("live.jsonl");
    folder.append("live.jsonl", "one\nhal");
    assert_eq!(folder.line(&mut run).await, "live.jsonl:1@0 one");
    let (_, log) = run.shut_down().await;
    let mut run = folder.run_again("live.jsonl", log);
    // Read again, so that its end is noticed.
    folder.append("live.jsonl", "f");
    folder.remove("live.jsonl");
    let Arrival::Unfinished(cut) = run.arrival().await else {
        panic!("the half line is told");
    };
    assert!(text(&cut.line).starts_with("hal"));
    run.stop().await;
}
