//! What is told of how a source is doing.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod source;

use std::fs::{self, File};

use signalcast::source::{Bookmarks, Sources, State};
use source::{Run, spec};

#[tokio::test]
async fn a_file_source_waits_for_a_file_and_is_live_while_one_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("live.jsonl");
    let mut run = Run::of(&[&format!("file:{}/*.jsonl", folder.path().display())]);
    for _ in 0..2 {
        run.is(State::Waiting).await;
        File::create(&path).unwrap();
        run.is(State::Live).await;
        fs::remove_file(&path).unwrap();
    }
    run.is(State::Waiting).await;
    run.stop().await;
}

#[tokio::test]
async fn a_file_source_has_failed_while_what_is_there_can_not_be_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("live.jsonl");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let mut run = Run::of(&[&format!("file:{}", path.display())]);
    run.is(State::Failed).await;
    fs::remove_file(&path).unwrap();
    run.is(State::Waiting).await;
    fs::write(&path, "one\n").unwrap();
    run.is(State::Live).await;
    run.line().await;
    run.stop().await;
}

#[tokio::test]
async fn stdin_is_live_until_it_ends() {
    let (reader, writer) = std::io::pipe().unwrap();
    let sources = Sources::prepare(&[spec("stdin")], Bookmarks::new()).unwrap();
    let states = sources.states();
    assert!(states.iter().all(|(_, state)| state == State::Waiting));
    let mut run = Run::start(sources.with_stdin(reader.into()));
    run.is(State::Live).await;
    drop(writer);
    run.is(State::Ended).await;
}

#[tokio::test]
async fn stdin_that_can_not_be_read_has_failed() {
    let folder = tempfile::tempdir().unwrap();
    let sources = Sources::prepare(&[spec("stdin")], Bookmarks::new()).unwrap();
    let mut run = Run::start(sources.with_stdin(File::open(folder.path()).unwrap().into()));
    run.is(State::Failed).await;
}
