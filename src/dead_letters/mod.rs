//! What could not be read: a file of JSON lines, so that nothing is dropped in silence.

mod file;
mod waiting;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde::Serialize;
use tracing::{error, info, warn};

use crate::source::{Position, SourceName};

use file::LetterFile;
use waiting::Waiting;

/// The file of dead letters. A full disk never stops the feed: letters wait in memory until there
/// is room, up to a bound.
#[derive(Debug)]
pub struct DeadLetters {
    file: LetterFile,
    waiting: Waiting,
    counts: BTreeMap<SourceName, u64>,
    refusals: Burst,
    losses: Burst,
}

/// A line that could not be read.
#[derive(Clone, Copy, Debug)]
pub struct DeadLetter<'a> {
    /// When it was refused.
    pub time: Timestamp,
    /// Where it comes from.
    pub source: &'a SourceName,
    /// Where it stood.
    pub position: &'a Position,
    /// What is wrong, and what to write instead.
    pub reason: &'a str,
    /// The line without its end.
    pub line: DeadLine<'a>,
}

/// As much of a line as there is.
#[derive(Clone, Copy, Debug)]
pub enum DeadLine<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// The beginning of one that is too long to be kept.
    Cut {
        /// Its beginning.
        head: &'a [u8],
        /// Its bytes.
        length: u64,
        /// SHA-256 of all of it.
        sha256: &'a [u8; 32],
    },
}

/// The file of dead letters can't be opened.
#[derive(Debug, thiserror::Error)]
#[error("can't open {} for dead letters; make it writable or set dead_letters.path", .path.display())]
pub struct DeadLettersError {
    path: PathBuf,
    #[source]
    why: io::Error,
}

impl DeadLetters {
    /// Opens the file to append to it. Makes it, readable only for the server's user, and its
    /// folder. Beyond `max_bytes` it is renamed to `PATH.1`, in place of an older one, and begun
    /// anew.
    ///
    /// # Errors
    /// It can't be opened or made.
    pub fn open(path: impl Into<PathBuf>, max_bytes: u64) -> Result<Self, DeadLettersError> {
        let path = path.into();
        let file = LetterFile::open(path.clone(), max_bytes)
            .map_err(|why| DeadLettersError { path, why })?;
        Ok(Self {
            file,
            waiting: Waiting::default(),
            counts: BTreeMap::new(),
            refusals: Burst::default(),
            losses: Burst::default(),
        })
    }

    /// Counts, logs and keeps a letter. One write to the file, not synced: the log of signals is
    /// what must survive a power cut, not this.
    pub fn write(&mut self, letter: &DeadLetter<'_>) {
        let now = Instant::now();
        match self.counts.get_mut(letter.source) {
            Some(count) => *count += 1,
            None => drop(self.counts.insert(letter.source.clone(), 1)),
        }
        if let Some(suppressed) = self.refusals.admit(now) {
            warn!(at = %letter.position, source = %letter.source, reason = letter.reason, suppressed, "line refused");
        }
        if !self.waiting.push(letter.to_json_line())
            && let Some(suppressed) = self.losses.admit(now)
        {
            error!(
                file = %self.file.path().display(), at = %letter.position, suppressed,
                "too many dead letters wait to be written, this one is lost; free space on the disk or set dead_letters.path"
            );
        }
        self.retry(now);
    }

    /// Whether letters could not be written yet: try again from time to time.
    pub fn are_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Tries again to write those that wait, unless the last try was just now.
    pub fn retry(&mut self, now: Instant) {
        if self.waiting.is_due(now) {
            self.write_waiting(now);
        }
    }

    /// Tries for the last time to write those that wait.
    pub fn close(&mut self) {
        self.write_waiting(Instant::now());
        if self.are_waiting() {
            error!(
                file = %self.file.path().display(), letters = self.waiting.count(),
                "dead letters could not be written and are lost; free space on the disk or set dead_letters.path"
            );
        }
    }

    /// How many letters each source has had since the start, written or not.
    pub fn counts(&self) -> impl Iterator<Item = (&SourceName, u64)> {
        self.counts.iter().map(|(source, count)| (source, *count))
    }

    fn write_waiting(&mut self, now: Instant) {
        while let Some(letter) = self.waiting.first() {
            let (written, outcome) = self.file.append(letter);
            self.waiting.written(written);
            if let Err(why) = outcome {
                if self.waiting.failed(now) {
                    error!(
                        file = %self.file.path().display(), %why,
                        "dead letters can't be written and wait in memory; free space on the disk or set dead_letters.path"
                    );
                }
                return;
            }
        }
        if let Some(letters) = self.waiting.over() {
            info!(file = %self.file.path().display(), letters, "dead letters can be written again");
        }
    }
}

impl DeadLetter<'_> {
    fn to_json_line(self) -> Vec<u8> {
        let (bytes, cut) = match self.line {
            DeadLine::Whole(line) => (line, None),
            DeadLine::Cut {
                head,
                length,
                sha256,
            } => (head, Some((length, hex(sha256)))),
        };
        let text = text(bytes, cut.is_some());
        let record = Record {
            time: format!("{:.6}", self.time),
            source: self.source.as_str(),
            position: Place {
                file: self.position.file.as_deref().map(Path::to_string_lossy),
                line: self.position.line,
                offset: self.position.offset,
            },
            reason: self.reason,
            line: text,
            line_base64: text.is_none().then(|| BASE64.encode(bytes)),
            length: cut.as_ref().map(|(length, _)| *length),
            sha256: cut.as_ref().map(|(_, sha256)| sha256.as_str()),
        };
        let mut line = serde_json::to_vec(&record).expect("strings and numbers can be written");
        line.push(b'\n');
        line
    }
}

/// The text of a line, if it is text. The cut of a long one may fall into a character: then that
/// character is left out.
fn text(bytes: &[u8], is_cut: bool) -> Option<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(why) if is_cut && why.error_len().is_none() => {
            std::str::from_utf8(&bytes[..why.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One line of the file, in the order in which it is written.
#[derive(Serialize)]
struct Record<'a> {
    time: String,
    source: &'a str,
    position: Place<'a>,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<&'a str>,
}

#[derive(Serialize)]
struct Place<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<std::borrow::Cow<'a, str>>,
    line: u64,
    offset: u64,
}

/// Lets the first of a burst of messages through, then at most one a second.
#[derive(Debug, Default)]
struct Burst {
    last: Option<Instant>,
    suppressed: u64,
}

impl Burst {
    /// Whether to say it now; if so, how many were left out since the last one.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now - last < BETWEEN_MESSAGES) {
            self.suppressed += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

const BETWEEN_MESSAGES: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

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
        letters.retry(now + BETWEEN_MESSAGES);
        assert!(!letters.are_waiting());
        let lines: Vec<String> = fs::read_to_string(&path)
            .unwrap()
            .lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["line"].to_string()
            })
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
            now += BETWEEN_MESSAGES;
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

    #[test]
    fn a_burst_is_told_at_once_and_then_once_a_second() {
        let mut burst = Burst::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(burst.admit(at(0)), Some(0));
        assert_eq!(burst.admit(at(1)), None);
        assert_eq!(burst.admit(at(999)), None);
        assert_eq!(burst.admit(at(1000)), Some(2));
        assert_eq!(burst.admit(at(1999)), None);
        assert_eq!(burst.admit(at(5000)), Some(1));
    }
}
