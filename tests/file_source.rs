//! What a `file:` source does when files grow, appear, are replaced and go away.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod source;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use signalcast::source::{Arrival, CutOff, Sources};
use source::{Run, spec, text};
use tempfile::TempDir;

/// A folder for feeds.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn append(&self, name: &str, bytes: &str) {
        append(&self.path(name), bytes);
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn source(&self, pattern: &str) -> String {
        format!("file:{}", self.path(pattern).display())
    }

    fn run(&self, pattern: &str) -> Run {
        Run::of(&[&self.source(pattern)])
    }

    /// The next line, with its file's path in this folder.
    async fn line(&self, run: &mut Run) -> String {
        let folder = format!("{}/", self.0.path().display());
        run.line().await.replace(&folder, "")
    }
}

fn append(path: &Path, bytes: &str) {
    let mut options = OpenOptions::new();
    let mut file = options.append(true).create(true).open(path).unwrap();
    file.write_all(bytes.as_bytes()).unwrap();
}

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
    let sources = Sources::prepare(&[spec(&folder.source("*.jsonl"))]).unwrap();
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
async fn a_folder_that_is_made_anew_is_followed_again() {
    let folder = Folder::new();
    fs::create_dir(folder.path("signals")).unwrap();
    let mut run = folder.run("signals/*.jsonl");
    for round in ["one", "two", "three"] {
        folder.append("signals/live.jsonl", &format!("{round}\n"));
        let line = folder.line(&mut run).await;
        assert_eq!(line, format!("signals/live.jsonl:1@0 {round}"));
        fs::remove_dir_all(folder.path("signals")).unwrap();
        fs::create_dir(folder.path("signals")).unwrap();
    }
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
async fn a_replaced_file_is_read_to_its_end_before_the_new_one() {
    let folder = Folder::new();
    folder.append("live.jsonl", "");
    let mut old = OpenOptions::new()
        .append(true)
        .open(folder.path("live.jsonl"))
        .unwrap();
    let sources = Sources::prepare(&[spec(&folder.source("live.jsonl"))]).unwrap();
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

#[tokio::test]
async fn a_deleted_file_is_read_to_its_end_and_its_half_line_is_told() {
    let folder = Folder::new();
    folder.append("live.jsonl", "");
    let sources = Sources::prepare(&[spec(&folder.source("live.jsonl"))]).unwrap();
    folder.append("live.jsonl", "one\nhalf");
    fs::remove_file(folder.path("live.jsonl")).unwrap();
    let mut run = Run::start(sources);
    assert_eq!(folder.line(&mut run).await, "live.jsonl:1@0 one");
    let Arrival::Unfinished(cut) = run.arrival().await else {
        panic!("the half line is told");
    };
    assert_eq!((text(&cut.line), cut.why), ("half", CutOff::Gone));
    folder.append("live.jsonl", "two\n");
    assert_eq!(folder.line(&mut run).await, "live.jsonl:1@0 two");
    run.stop().await;
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

#[tokio::test]
async fn ten_thousand_files_are_followed() {
    let folder = Folder::new();
    for n in 0..10_000 {
        folder.append(&format!("{n:04}.jsonl"), "old\n");
    }
    let mut run = folder.run("*.jsonl");
    for n in [0, 9_999, 5_000] {
        folder.append(&format!("{n:04}.jsonl"), "new\n");
        let line = folder.line(&mut run).await;
        assert_eq!(line, format!("{n:04}.jsonl:2@4 new"));
    }
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
