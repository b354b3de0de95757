//! What a `file:` source does when files grow and appear.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod source;

use std::fs;

use signalcast::source::{Arrival, Bookmarks, Sources};
use source::{Folder, Run, spec};

#[tokio::test]
async fn a_file_that_is_there_is_followed_from_its_end() {
    let folder = Folder::new();
    folder.append("live.jsonl", "old\nolder\n");
    let mut run = folder.run("*.jsonl");
    folder.append("live.jsonl", "new\n");
    assert_eq!(folder.line(&mut run).await, "live.jsonl:3@10 new");
    folder.append("live.jsonl", "newer\nnewest\n");
    assert_eq!(folder.line(&mut run).await, "live.jsonl:4@14 newer");
    assert_eq!(folder.line(&mut run).await, "live.jsonl:5@20 newest");
    assert_eq!(run.stop().await, []);
}

#[tokio::test]
async fn the_end_is_taken_when_the_sources_are_prepared() {
    let folder = Folder::new();
    folder.append("live.jsonl", "old\n");
    let sources = Sources::prepare(&[spec(&folder.source("*.jsonl"))], Bookmarks::new()).unwrap();
    folder.append("live.jsonl", "new\n");
    folder.append("other.jsonl", "whole\n");
    let mut run = Run::start(sources);
    assert_eq!(folder.line(&mut run).await, "live.jsonl:2@4 new");
    assert_eq!(folder.line(&mut run).await, "other.jsonl:1@0 whole");
    run.stop().await;
}

#[tokio::test]
async fn a_line_half_written_at_the_start_is_new_when_it_is_complete() {
    let folder = Folder::new();
    folder.append("live.jsonl", &format!("old\n{}", "x".repeat(9000)));
    let mut run = folder.run("live.jsonl");
    folder.append("live.jsonl", "y\n");
    let line = folder.line(&mut run).await;
    assert!(line.starts_with("live.jsonl:2@4 xxx"), "{line}");
    assert!(line.ends_with("xy"), "{line}");
    run.stop().await;
}

#[tokio::test]
async fn from_start_reads_what_is_there() {
    let folder = Folder::new();
    folder.append("live.jsonl", "\u{feff}old\r\n");
    let mut run = folder.run("live.jsonl?from=start");
    assert_eq!(folder.line(&mut run).await, "live.jsonl:1@0 old\r");
    folder.append("live.jsonl", "\u{feff}new\n");
    assert_eq!(folder.line(&mut run).await, "live.jsonl:2@8 \u{feff}new");
    run.stop().await;
}

#[tokio::test]
async fn a_line_is_never_read_before_its_newline() {
    let folder = Folder::new();
    folder.append("live.jsonl", "");
    let mut run = folder.run("live.jsonl");
    folder.append("other.jsonl", "");
    for piece in ["buy ", "X ", "75", "\nsell"] {
        folder.append("live.jsonl", piece);
    }
    assert_eq!(folder.line(&mut run).await, "live.jsonl:1@0 buy X 75");
    assert_eq!(run.stop().await, []);
}

#[tokio::test]
async fn files_and_folders_that_appear_later_are_read_from_their_start() {
    let folder = Folder::new();
    let mut run = folder.run("*/feeds/*.jsonl");
    fs::create_dir_all(folder.path("a/feeds")).unwrap();
    folder.append("a/feeds/live.jsonl", "one\n");
    assert_eq!(folder.line(&mut run).await, "a/feeds/live.jsonl:1@0 one");
    folder.append("a/feeds/next.jsonl", "two\n");
    assert_eq!(folder.line(&mut run).await, "a/feeds/next.jsonl:1@0 two");
    run.stop().await;
}

#[tokio::test]
async fn folders_and_pipes_that_match_are_left_alone() {
    let folder = Folder::new();
    fs::create_dir(folder.path("a.jsonl")).unwrap();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let pipe = folder.path("b.jsonl");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let mut run = folder.run("*.jsonl");
    folder.append("c.jsonl", "one\n");
    assert_eq!(folder.line(&mut run).await, "c.jsonl:1@0 one");
    run.stop().await;
}

#[tokio::test]
async fn a_line_over_64_kib_is_told_and_the_next_is_read() {
    let folder = Folder::new();
    let mut run = folder.run("live.jsonl");
    folder.append("live.jsonl", &format!("{}\nnext\n", "x".repeat(1_000_000)));
    let Arrival::TooLong(long) = run.arrival().await else {
        panic!("the long line is told");
    };
    assert_eq!((long.length, long.head.len()), (1_000_000, 65_536));
    assert_eq!((long.position.line, long.position.offset), (1, 0));
    assert_eq!(folder.line(&mut run).await, "live.jsonl:2@1000001 next");
    run.stop().await;
}

#[tokio::test]
async fn stopping_does_not_wait_for_the_end_of_a_huge_file() {
    let folder = Folder::new();
    folder.append("live.jsonl", &"0123456789abcdef\n".repeat(1_000_000));
    let mut run = folder.run("live.jsonl?from=start");
    assert_eq!(
        folder.line(&mut run).await,
        "live.jsonl:1@0 0123456789abcdef"
    );
    assert!(run.stop().await.len() < 10);
}

#[tokio::test]
async fn each_source_runs_on_its_own() {
    let folder = Folder::new();
    let (a, b) = (folder.source("a.jsonl"), folder.source("b.jsonl"));
    let mut run = Run::of(&[&a, &b]);
    folder.append("b.jsonl", "one\n");
    assert_eq!(folder.line(&mut run).await, "b.jsonl:1@0 one");
    folder.append("a.jsonl", "two\n");
    assert_eq!(folder.line(&mut run).await, "a.jsonl:1@0 two");
    run.stop().await;
}
