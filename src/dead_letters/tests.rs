use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::waiting::BETWEEN_TRIES;
use super::*;
use crate::source::Position;

fn letter<'a>(
    source: &'a SourceName,
    position: &'a Position,
    line: DeadLine<'a>,
) -> DeadLetter<'a> {
    DeadLetter {
        time: "2026-11-20T10:00:00.12Z".parse().unwrap(),
        source,
        position,
        reason: "type is \"hold\"; write \"buy\" or \"sell\"",
        line,
    }
}

fn at(file: Option<&str>) -> Position {
    Position {
        file: file.map(|file| Path::new(file).into()),
        line: 17,
        offset: 1024,
    }
}

fn json(line: DeadLine<'_>) -> String {
    let letter = letter(
        &"file:signals/*.jsonl".into(),
        &at(Some("signals/live.jsonl")),
        line,
    )
    .to_json_line();
    String::from_utf8(letter).unwrap()
}

#[test]
fn a_letter_is_one_json_line() {
    insta::assert_snapshot!(json(DeadLine::Whole(b"hold \"BTC\"\t\xc3\xa9\r")), @r#"{"time":"2026-11-20T10:00:00.120000Z","source":"file:signals/*.jsonl","position":{"file":"signals/live.jsonl","line":17,"offset":1024},"reason":"type is \"hold\"; write \"buy\" or \"sell\"","line":"hold \"BTC\"\té\r"}"#);
    insta::assert_snapshot!(json(DeadLine::Whole(b"\xff")), @r#"{"time":"2026-11-20T10:00:00.120000Z","source":"file:signals/*.jsonl","position":{"file":"signals/live.jsonl","line":17,"offset":1024},"reason":"type is \"hold\"; write \"buy\" or \"sell\"","line_base64":"/w=="}"#);
    let cut = DeadLine::Cut {
        head: b"xy\xc3",
        length: 70_000,
        sha256: &[0xab; 32],
    };
    insta::assert_snapshot!(json(cut), @r#"{"time":"2026-11-20T10:00:00.120000Z","source":"file:signals/*.jsonl","position":{"file":"signals/live.jsonl","line":17,"offset":1024},"reason":"type is \"hold\"; write \"buy\" or \"sell\"","line":"xy","length":70000,"sha256":"abababababababababababababababababababababababababababababababab"}"#);
    let stdin = letter(&"stdin".into(), &at(None), DeadLine::Whole(b"")).to_json_line();
    insta::assert_snapshot!(String::from_utf8(stdin).unwrap(), @r#"{"time":"2026-11-20T10:00:00.120000Z","source":"stdin","position":{"line":17,"offset":1024},"reason":"type is \"hold\"; write \"buy\" or \"sell\"","line":""}"#);
}

#[test]
fn the_file_is_private_and_letters_are_added_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/dead-letters.jsonl");
    let (source, at) = ("stdin".into(), at(None));
    for _ in 0..2 {
        let mut letters = DeadLetters::open(&path, 1 << 20).unwrap();
        letters.write(&letter(&source, &at, DeadLine::Whole(b"x")));
        assert_eq!(letters.counts().collect::<Vec<_>>(), [(&source, 1)]);
    }
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn half_a_letter_from_a_crash_does_not_spoil_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead-letters.jsonl");
    fs::write(&path, "{\"time\":").unwrap();
    let mut letters = DeadLetters::open(&path, 1 << 20).unwrap();
    letters.write(&letter(&"stdin".into(), &at(None), DeadLine::Whole(b"x")));
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (2, "{\"time\":"));
}

#[test]
fn a_full_file_is_put_aside_and_one_older_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead-letters.jsonl");
    let (source, at) = ("stdin".into(), at(None));
    let letter = letter(&source, &at, DeadLine::Whole(b"x"));
    let size = letter.to_json_line().len() as u64;
    let mut letters = DeadLetters::open(&path, 2 * size).unwrap();
    for _ in 0..5 {
        letters.write(&letter);
    }
    let count = |path: &Path| fs::read_to_string(path).unwrap().lines().count();
    assert_eq!(count(&path), 1);
    assert_eq!(count(&folder.path().join("dead-letters.jsonl.1")), 2);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn after_the_file_was_moved_deleted_or_emptied_letters_are_kept_at_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/dead-letters.jsonl");
    let (source, at) = ("stdin".into(), at(None));
    let letter = letter(&source, &at, DeadLine::Whole(b"x"));
    let size = letter.to_json_line().len() as u64;
    let mut letters = DeadLetters::open(&path, 2 * size).unwrap();
    let there = || fs::metadata(&path).unwrap().len();
    letters.write(&letter);
    fs::rename(&path, folder.path().join("read")).unwrap();
    letters.write(&letter);
    assert_eq!(there(), size);
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
    letters.write(&letter);
    assert_eq!(there(), size);
    letters.write(&letter);
    File::create(&path).unwrap();
    letters.write(&letter);
    assert_eq!(there(), size);
    let aside = fs::exists(path.with_extension("jsonl.1")).unwrap();
    assert!(!aside, "an emptied file has room again");
}

#[test]
fn a_full_disk_is_survived_and_the_letters_are_counted() {
    let mut letters = DeadLetters::open("/dev/full", 1 << 20).unwrap();
    let source = "stdin".into();
    for _ in 0..3 {
        letters.write(&letter(&source, &at(None), DeadLine::Whole(b"x")));
    }
    assert_eq!(letters.counts().collect::<Vec<_>>(), [(&source, 3)]);
    assert!(letters.are_waiting());
    let mode = fs::metadata("/dev/full").unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666, "a device stays as it is");
}

#[test]
fn letters_that_could_not_be_written_are_written_later_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/dead-letters.jsonl");
    let mut letters = DeadLetters::open(&path, 1 << 20).unwrap();
    let source = "stdin".into();
    // Nobody can write where a folder should be and is none.
    fs::remove_dir_all(folder.path().join("data")).unwrap();
    fs::write(folder.path().join("data"), "").unwrap();
    for line in [b"1", b"2", b"3"] {
        letters.write(&letter(&source, &at(None), DeadLine::Whole(line)));
    }
    assert!(letters.are_waiting());
    fs::remove_file(folder.path().join("data")).unwrap();
    let now = Instant::now();
    letters.retry(now);
    assert!(letters.are_waiting(), "tried again too soon");
    letters.retry(now + BETWEEN_TRIES);
    assert!(!letters.are_waiting());
    let lines: Vec<String> = fs::read_to_string(&path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["line"].to_string())
        .collect();
    assert_eq!(lines, [r#""1""#, r#""2""#, r#""3""#]);
}

#[test]
fn a_pipe_that_nobody_empties_holds_nothing_up_and_gets_whole_letters_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    let (kind, mode) = (
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
    );
    rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).unwrap();
    let mut letters = DeadLetters::open(&path, 1 << 20).unwrap();
    let source = "stdin".into();
    // Each is longer than what a pipe holds.
    for _ in 0..3 {
        letters.write(&letter(
            &source,
            &at(None),
            DeadLine::Whole(&[b'x'; 1 << 17]),
        ));
    }
    assert_eq!(letters.counts().collect::<Vec<_>>(), [(&source, 3)]);
    let (mut now, mut text) = (Instant::now(), Vec::new());
    let mut pipe = File::open(&path).unwrap();
    while letters.are_waiting() {
        let mut some = vec![0; 1 << 16];
        let count = pipe.read(&mut some).unwrap();
        text.extend(&some[..count]);
        now += BETWEEN_TRIES;
        letters.retry(now);
    }
    drop(letters);
    pipe.read_to_end(&mut text).unwrap();
    let lines: Vec<_> = text.split_inclusive(|byte| *byte == b'\n').collect();
    assert_eq!(lines.len(), 3);
    for line in lines {
        serde_json::from_slice::<serde_json::Value>(line).unwrap();
    }
}
