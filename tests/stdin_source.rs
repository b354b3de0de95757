//! What the `stdin` source does with pipes, files and terminals' habits.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod source;

use std::fs::File;
use std::io::Write;

use signalcast::source::{Arrival, Bookmarks, Sources};
use source::{Run, spec, text};

fn read(input: impl Into<std::os::fd::OwnedFd>) -> Run {
    let sources = Sources::prepare(&[spec("stdin")], Bookmarks::new()).unwrap();
    Run::start(sources.with_stdin(input.into()))
}

#[tokio::test]
async fn a_line_goes_on_as_soon_as_its_newline_was_read() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut run = read(reader);
    writer.write_all(b"one\ntw").unwrap();
    assert_eq!(run.line().await, "stdin:1@0 one");
    writer.write_all(b"o\n").unwrap();
    assert_eq!(run.line().await, "stdin:2@4 two");
    run.stop().await;
}

#[tokio::test]
async fn the_last_line_may_lack_its_newline() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut run = read(reader);
    writer.write_all(b"one\r\ntwo").unwrap();
    drop(writer);
    assert_eq!(run.line().await, "stdin:1@0 one\r");
    assert_eq!(run.line().await, "stdin:2@5 two");
    assert!(matches!(run.arrival().await, Arrival::Ended(source) if source.as_str() == "stdin"));
    run.ended().await;
}

#[tokio::test]
async fn an_empty_input_ends_at_once() {
    let mut run = read(File::open("/dev/null").unwrap());
    assert!(matches!(run.arrival().await, Arrival::Ended(_)));
    run.ended().await;
}

#[tokio::test]
async fn a_redirected_file_is_read_whole_and_waits_for_who_takes_the_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("feed");
    let lines: Vec<String> = (0..100_000).map(|n| format!("buy X {n}")).collect();
    std::fs::write(&path, lines.join("\n")).unwrap();
    let mut run = read(File::open(&path).unwrap());
    for line in &lines {
        assert_eq!(run.line().await.split_once(' ').unwrap().1, line);
    }
    assert!(matches!(run.arrival().await, Arrival::Ended(_)));
    run.ended().await;
}

#[tokio::test]
async fn stopping_ends_a_reader_of_a_silent_pipe_and_tells_of_the_half_line() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut run = read(reader);
    writer.write_all(b"one\nbuy X 75").unwrap();
    assert_eq!(run.line().await, "stdin:1@0 one");
    let rest = run.stop().await;
    let [Arrival::Unfinished(cut)] = &rest[..] else {
        panic!("{rest:?}");
    };
    assert_eq!(text(&cut.line), "buy X 75");
    assert_eq!(cut.position.to_string(), "stdin:2");
}

#[tokio::test]
async fn nobody_taking_the_lines_ends_the_reader() {
    let (reader, _writer) = std::io::pipe().unwrap();
    read(reader).nobody_listens().await;
}

#[test]
fn the_same_source_twice_is_refused() {
    let specs = [spec("file:a?from=start"), spec("stdin"), spec("file:a")];
    let why = Sources::prepare(&specs, Bookmarks::new()).unwrap_err();
    assert_eq!(
        why.to_string(),
        "source file:a is there twice; leave one out"
    );
}
