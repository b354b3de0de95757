use std::io;
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::process::ChildStderr;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use governor::clock::DefaultClock;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use tracing::{info, warn};

use crate::printable::printable;
use crate::source::SourceName;

/// Brings what a command says on standard error to our log, line by line, on a thread of its own:
/// neither a source that waits nor one that is paused makes the command wait for it. Ends when it
/// is dropped, with all that was said by then.
#[derive(Debug)]
pub(super) struct Stderr {
    /// Its other end tells the thread that the command has ended.
    done: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Stderr {
    pub(super) fn log(source: SourceName, from: ChildStderr) -> io::Result<Self> {
        let (over, done) = pipe_with(PipeFlags::CLOEXEC)?;
        let reader = Reader {
            from,
            over,
            lines: Lines::new(source),
        };
        let thread = thread::Builder::new()
            .name("stderr".to_owned())
            .spawn(move || reader.run())?;
        Ok(Self {
            done: Some(done),
            thread: Some(thread),
        })
    }
}

impl Drop for Stderr {
    fn drop(&mut self) {
        self.done = None;
        if let Some(thread) = self.thread.take() {
            // It waits for nothing by now. A panic was reported where it happened.
            let _ = thread.join();
        }
    }
}

struct Reader {
    from: ChildStderr,
    over: OwnedFd,
    lines: Lines,
}

impl Reader {
    fn run(mut self) {
        let mut buffer = vec![0; PIECE_BYTES];
        // What is left in the pipe when the command has ended is not much; whoever still writes
        // then has left the group, and is not waited for.
        let mut left = None;
        loop {
            let is_over = left.is_some();
            match self.wait(is_over) {
                Ok(Heard::Bytes) => {}
                Ok(Heard::Nothing) if is_over => break,
                Ok(Heard::Nothing) => {
                    self.lines.tell_left_out();
                    continue;
                }
                Ok(Heard::Over) => {
                    left = Some(MOST_LEFT);
                    continue;
                }
                Err(Errno::INTR | Errno::AGAIN) => continue,
                Err(why) => {
                    warn!(source = %self.lines.source, %why, "can't wait for a command's standard error");
                    break;
                }
            }
            match rustix::io::read(&self.from, &mut *buffer) {
                Ok(0) => break,
                Ok(count) => self.lines.push(&buffer[..count]),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(why) => {
                    warn!(source = %self.lines.source, %why, "can't read a command's standard error");
                    break;
                }
            }
            if let Some(left) = &mut left {
                *left -= 1;
                if *left == 0 {
                    break;
                }
            }
        }
        self.lines.end();
    }

    fn wait(&self, is_over: bool) -> Result<Heard, Errno> {
        let mut both = [
            PollFd::new(&self.from, PollFlags::IN),
            PollFd::new(&self.over, PollFlags::IN),
        ];
        let (heard, patience) = if is_over {
            (1, Some(Duration::ZERO))
        } else {
            (2, self.lines.owes().then_some(BETWEEN_COUNTS))
        };
        let patience = patience.map(timespec);
        poll(&mut both[..heard], patience.as_ref())?;
        let [from, over] = both.map(|fd| !fd.revents().is_empty());
        // The end first: somebody who has left the group may write for ever.
        Ok(match (over, from) {
            (true, _) => Heard::Over,
            (false, true) => Heard::Bytes,
            (false, false) => Heard::Nothing,
        })
    }
}

enum Heard {
    Bytes,
    Over,
    Nothing,
}

/// Cuts what comes into lines, and logs as many of them as the log can bear.
struct Lines {
    source: SourceName,
    line: Vec<u8>,
    /// Bytes of the line that are not kept.
    cut: usize,
    rate: RateLimiter<NotKeyed, InMemoryState, DefaultClock>,
    left_out: u64,
}

impl Lines {
    fn new(source: SourceName) -> Self {
        Self {
            source,
            line: Vec::new(),
            cut: 0,
            rate: RateLimiter::direct(Quota::per_second(RATE).allow_burst(BURST)),
            left_out: 0,
        }
    }

    fn push(&mut self, piece: &[u8]) {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let (text, is_whole) = match part.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (part, false),
            };
            let room = MOST_LINE_BYTES - self.line.len();
            let kept = &text[..text.len().min(room)];
            self.line.extend_from_slice(kept);
            self.cut += text.len() - kept.len();
            if is_whole {
                self.say();
            }
        }
    }

    fn end(&mut self) {
        if !self.line.is_empty() {
            self.say();
        }
        self.tell_left_out();
    }

    fn owes(&self) -> bool {
        self.left_out > 0
    }

    fn say(&mut self) {
        if self.rate.check().is_err() {
            self.left_out += 1;
        } else {
            self.tell_left_out();
            let line = shown(&self.line, self.cut);
            info!(source = %self.source, %line, "the command says");
        }
        self.line.clear();
        self.cut = 0;
    }

    fn tell_left_out(&mut self) {
        if self.left_out > 0 {
            let lines = std::mem::take(&mut self.left_out);
            warn!(source = %self.source, lines, "lines of the command's standard error were left out, they are too many");
        }
    }
}

/// A line as the log shows it.
fn shown(line: &[u8], cut: usize) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut text = printable(&String::from_utf8_lossy(line));
    if cut > 0 {
        text.push_str(&format!("… ({cut} more bytes)"));
    }
    text
}

pub(super) fn timespec(duration: Duration) -> Timespec {
    Timespec::try_from(duration).unwrap_or(Timespec {
        tv_sec: i64::MAX,
        tv_nsec: 0,
    })
}

/// Lines a second that go to the log in the long run: what a strategy has to say in earnest, and
/// far less than a log can take.
const RATE: NonZeroU32 = NonZeroU32::new(10).expect("not zero");

/// Lines at once: a few stack traces.
const BURST: NonZeroU32 = NonZeroU32::new(200).expect("not zero");

/// How much of a line is shown.
const MOST_LINE_BYTES: usize = 1024;

/// Bytes of one read.
const PIECE_BYTES: usize = 16 * 1024;

/// Reads after the command has ended: more than a pipe holds.
const MOST_LEFT: u32 = 64;

/// How often it is told what is left out, while nothing else is said.
const BETWEEN_COUNTS: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_cut_and_without_commands_for_a_terminal() {
        for (line, cut, text) in [
            (&b"plain"[..], 0, "plain"),
            (b"carriage return\r", 0, "carriage return"),
            (b"red \x1b[31m", 0, "red \\u{1b}[31m"),
            (b"half a \xe2\x82", 7, "half a \u{fffd}… (7 more bytes)"),
        ] {
            assert_eq!(shown(line, cut), text);
        }
    }

    #[test]
    fn lines_come_in_pieces_and_too_many_are_counted() {
        let mut lines = Lines::new("exec:a".into());
        lines.push(b"o");
        lines.push(b"ne\ntw");
        assert_eq!((&lines.line[..], lines.cut), (&b"tw"[..], 0));
        lines.push(&[b'x'; 3000]);
        assert_eq!((lines.line.len(), lines.cut), (1024, 3002 - 1024));
        lines.push(b"\n");
        assert_eq!((lines.line.len(), lines.cut), (0, 0));
        lines.push(&[b'\n'; 1000]);
        assert!(lines.owes());
        lines.end();
        assert_eq!(lines.left_out, 0);
    }
}
