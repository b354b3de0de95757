//! What a `file:` source does when files and folders are deleted and return.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod source;

use std::fs;

use signalcast::source::{Arrival, Bookmarks, CutOff, Sources};
use source::{Folder, Run, spec, text};

#[tokio::test]
async fn a_deleted_file_is_read_to_its_end_and_its_half_line_is_told() {
    let folder = Folder::new();
    folder.append("live.jsonl", "");
    let sources =
        Sources::prepare(&[spec(&folder.source("live.jsonl"))], Bookmarks::new()).unwrap();
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
async fn a_file_that_returns_is_read_whole() {
    let folder = Folder::new();
    let mut run = folder.run("live.jsonl");
    for round in 0..100 {
        folder.append("live.jsonl", &format!("{round}\n"));
        let line = folder.line(&mut run).await;
        assert_eq!(line, format!("live.jsonl:1@0 {round}"));
        folder.remove("live.jsonl");
    }
    assert_eq!(run.stop().await, []);
}
