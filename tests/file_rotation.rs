//! What a `file:` source does when files are renamed and replaced.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod source;

use std::fs;
use std::fs::OpenOptions;
use std::io::Write;

use signalcast::source::{Bookmarks, Sources};
use source::{Folder, Run, spec};

#[tokio::test]
async fn a_replaced_file_is_read_to_its_end_before_the_new_one() {
    let folder = Folder::new();
    folder.append("live.jsonl", "");
    let mut old = OpenOptions::new()
        .append(true)
        .open(folder.path("live.jsonl"))
        .unwrap();
    let sources =
        Sources::prepare(&[spec(&folder.source("live.jsonl"))], Bookmarks::new()).unwrap();
    let many: String = (0..20_000).map(|n| format!("old {n}\n")).collect();
    old.write_all(many.as_bytes()).unwrap();
    folder.rename("live.jsonl", "live.jsonl.1");
    folder.append("live.jsonl", "new\n");
    let mut run = Run::start(sources);
    for n in 0..20_000 {
        let line = folder.line(&mut run).await;
        assert!(line.ends_with(&format!(" old {n}")), "{line}");
    }
    assert_eq!(folder.line(&mut run).await, "live.jsonl:1@0 new");
    // Whoever writes has not noticed yet.
    old.write_all(b"late\n").unwrap();
    assert_eq!(folder.line(&mut run).await, "live.jsonl:20001@188890 late");
    run.stop().await;
}

#[tokio::test]
async fn a_file_renamed_within_the_glob_is_not_read_again() {
    let folder = Folder::new();
    let mut run = folder.run("*.jsonl");
    folder.append("live.jsonl", "one\n");
    assert_eq!(folder.line(&mut run).await, "live.jsonl:1@0 one");
    folder.rename("live.jsonl", "a-old.jsonl");
    folder.append("live.jsonl", "two\n");
    assert_eq!(folder.line(&mut run).await, "live.jsonl:1@0 two");
    folder.append("a-old.jsonl", "late\n");
    assert_eq!(folder.line(&mut run).await, "a-old.jsonl:2@4 late");
    assert_eq!(run.stop().await, []);
}

#[tokio::test]
async fn symbolic_links_are_followed_where_they_point_to() {
    let folder = Folder::new();
    let elsewhere = Folder::new();
    elsewhere.append("1", "old\n");
    std::os::unix::fs::symlink(elsewhere.path("1"), folder.path("live.jsonl")).unwrap();
    let mut run = folder.run("*.jsonl");
    elsewhere.append("1", "one\n");
    assert_eq!(folder.line(&mut run).await, "live.jsonl:2@4 one");
    elsewhere.append("2", "two\n");
    std::os::unix::fs::symlink(elsewhere.path("2"), folder.path("new")).unwrap();
    folder.rename("new", "live.jsonl");
    assert_eq!(folder.line(&mut run).await, "live.jsonl:1@0 two");
    elsewhere.append("2", "three\n");
    assert_eq!(folder.line(&mut run).await, "live.jsonl:2@4 three");
    run.stop().await;
}

#[tokio::test]
async fn a_file_with_two_names_is_read_once_and_keeps_the_one_that_is_left() {
    let folder = Folder::new();
    let mut run = folder.run("*.jsonl");
    folder.append("live.jsonl", "one\n");
    assert_eq!(folder.line(&mut run).await, "live.jsonl:1@0 one");
    fs::hard_link(folder.path("live.jsonl"), folder.path("a.jsonl")).unwrap();
    folder.append("live.jsonl", "two\n");
    assert_eq!(folder.line(&mut run).await, "live.jsonl:2@4 two");
    fs::remove_file(folder.path("live.jsonl")).unwrap();
    folder.append("live.jsonl", "new\n");
    assert_eq!(folder.line(&mut run).await, "live.jsonl:1@0 new");
    folder.append("a.jsonl", "three\n");
    assert_eq!(folder.line(&mut run).await, "a.jsonl:3@8 three");
    assert_eq!(run.stop().await, []);
}

#[tokio::test]
async fn a_file_that_is_replaced_by_renaming_another_over_it_is_read_whole() {
    let folder = Folder::new();
    let mut run = folder.run("live.jsonl");
    folder.append("live.jsonl", "one\n");
    assert_eq!(folder.line(&mut run).await, "live.jsonl:1@0 one");
    for round in ["two", "three"] {
        folder.append("new", &format!("{round}\n"));
        folder.rename("new", "live.jsonl");
        let line = folder.line(&mut run).await;
        assert_eq!(line, format!("live.jsonl:1@0 {round}"));
    }
    assert_eq!(run.stop().await, []);
}

#[tokio::test]
async fn a_file_renamed_out_of_the_glob_and_back_goes_on_where_it_was() {
    let folder = Folder::new();
    let mut run = folder.run("*.jsonl");
    folder.append("live.jsonl", "one\n");
    assert_eq!(folder.line(&mut run).await, "live.jsonl:1@0 one");
    folder.rename("live.jsonl", "aside");
    folder.append("other.jsonl", "two\n");
    assert_eq!(folder.line(&mut run).await, "other.jsonl:1@0 two");
    folder.rename("aside", "live.jsonl");
    folder.append("live.jsonl", "three\n");
    assert_eq!(folder.line(&mut run).await, "live.jsonl:2@4 three");
    assert_eq!(run.stop().await, []);
}

#[tokio::test]
async fn names_that_change_places_keep_their_files() {
    let folder = Folder::new();
    folder.append("a.jsonl", "a\n");
    folder.append("b.jsonl", "bb\n");
    let sources = Sources::prepare(&[spec(&folder.source("*.jsonl"))], Bookmarks::new()).unwrap();
    folder.append("a.jsonl", "a2\n");
    folder.rename("a.jsonl", "c");
    folder.rename("b.jsonl", "a.jsonl");
    folder.rename("c", "b.jsonl");
    let mut run = Run::start(sources);
    assert!(run.line().await.ends_with("@2 a2"));
    folder.append("a.jsonl", "b2\n");
    assert!(run.line().await.ends_with("@3 b2"));
    assert_eq!(run.stop().await, []);
}
