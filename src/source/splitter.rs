use std::time::Instant;

use aws_lc_rs::digest;

use super::Arrival;
use super::lines::{
    CutOff, Lines, MAX_LINE_BYTES, Origin, Position, TooLong, Unfinished, byte_order_mark,
};

/// Cuts a stream of bytes, which comes in pieces of any size, into runs of complete lines.
///
/// Keeps the beginning of the line that is not complete yet, at most a line's worth of it: of a
/// longer one only a hash and a count go on.
#[derive(Debug)]
pub(crate) struct Splitter {
    origin: Origin,
    /// Number of the line that `pending` or `giant` begins.
    line: u64,
    /// Where it begins.
    offset: u64,
    pending: Vec<u8>,
    giant: Option<Giant>,
}

impl Splitter {
    /// For a stream that is read from `offset` on, where line number `line` begins.
    pub(crate) fn new(origin: Origin, line: u64, offset: u64) -> Self {
        Self {
            origin,
            line,
            offset,
            pending: Vec::new(),
            giant: None,
        }
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// From now on the lines come under this file's name.
    pub(super) fn set_origin(&mut self, origin: Origin) {
        self.origin = origin;
    }

    /// There are so many more lines before the ones to come than was known.
    pub(super) fn count_lines_before(&mut self, lines: u64) {
        self.line += lines;
    }

    /// Bytes of the stream up to now: where the next piece begins.
    pub(super) fn end(&self) -> u64 {
        self.offset
            + match &self.giant {
                Some(giant) => giant.consumed,
                None => self.pending.len() as u64,
            }
    }

    /// Takes the next piece of the stream; what is complete now goes to `arrivals`.
    pub(crate) fn push(&mut self, piece: &[u8], arrivals: &mut Vec<Arrival>) {
        let piece = self.pass_giant(piece, arrivals);
        self.pending.extend_from_slice(piece);
        // Without a newline in it the piece completes nothing: no need to look at it all again.
        if memchr::memchr(b'\n', piece).is_some() {
            while let Some(run) = self.complete_run() {
                match run {
                    Run::Lines(bytes) => self.hand_over_lines(bytes, arrivals),
                    Run::Giant(bytes) => {
                        self.begin_giant();
                        let rest = self.pending.split_off(bytes);
                        let line = std::mem::replace(&mut self.pending, rest);
                        self.pass_giant(&line, arrivals);
                    }
                }
            }
        }
        if self.is_too_long(&self.pending) {
            self.begin_giant();
            let line = std::mem::take(&mut self.pending);
            self.pass_giant(&line, arrivals);
        }
    }

    /// The stream has ended, and with it the last line, with or without its newline.
    pub(crate) fn finish(&mut self, arrivals: &mut Vec<Arrival>) {
        if self.giant.is_some() {
            self.end_giant(arrivals);
        } else if !self.pending.is_empty() {
            self.hand_over_lines(self.pending.len(), arrivals);
        }
    }

    /// Where the line begins that is not complete yet.
    pub(super) fn line_start(&self) -> u64 {
        self.offset
    }

    /// Its number.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// So many bytes before the first line are no part of it.
    pub(super) fn skip(&mut self, bytes: u64) {
        self.offset += bytes;
    }

    /// Nobody needs to be told of the line that is not complete yet.
    pub(super) fn forget_line(&mut self) {
        self.pending = Vec::new();
        self.giant = None;
    }

    /// Goes on with the first line of a stream.
    pub(super) fn begin(&mut self) {
        (self.line, self.offset) = (1, 0);
    }

    /// The rest of the last line will never come: what comes next is another one in its place.
    pub(crate) fn cut_off(&mut self, why: CutOff, arrivals: &mut Vec<Arrival>) {
        if self.giant.is_some() {
            self.end_giant(arrivals);
        } else if !self.pending.is_empty() {
            arrivals.push(Arrival::Unfinished(Unfinished {
                origin: self.origin.clone(),
                position: self.position(),
                line: std::mem::take(&mut self.pending),
                why,
            }));
        }
    }

    fn position(&self) -> Position {
        Position {
            file: self.origin.file.clone(),
            line: self.line,
            offset: self.offset,
        }
    }

    /// What stands complete at the start of `pending`: a run of lines that are short enough, or
    /// one that is not.
    ///
    /// A last newline within one line's worth of bytes means that all lines up to it are short
    /// enough, so this looks at the bytes once per 64 KiB and not once per line.
    fn complete_run(&self) -> Option<Run> {
        let mut run = 0;
        loop {
            let rest = &self.pending[run..];
            let window = &rest[..rest.len().min(MAX_LINE_BYTES + 1)];
            if let Some(newline) = memchr::memrchr(b'\n', window) {
                run += newline + 1;
                continue;
            }
            // What the mark and a carriage return leave room for.
            let next = memchr::memchr(b'\n', rest);
            return match next {
                Some(newline) if !self.is_too_long_at(run, &rest[..newline]) => {
                    run += newline + 1;
                    continue;
                }
                _ if run > 0 => Some(Run::Lines(run)),
                Some(newline) => Some(Run::Giant(newline + 1)),
                None => None,
            };
        }
    }

    fn hand_over_lines(&mut self, bytes: usize, arrivals: &mut Vec<Arrival>) {
        let rest = self.pending.split_off(bytes);
        let bytes = std::mem::replace(&mut self.pending, rest);
        let lines = Lines {
            origin: self.origin.clone(),
            first_line: self.line,
            first_offset: self.offset,
            read_at: Instant::now(),
            bytes,
        };
        self.line += lines.newlines() as u64;
        self.offset += lines.bytes.len() as u64;
        arrivals.push(Arrival::Lines(lines));
    }

    fn is_too_long(&self, line: &[u8]) -> bool {
        self.is_too_long_at(0, line)
    }

    /// Whether these bytes of a line, `start` bytes after the first pending one, are more than a
    /// line may have, whatever follows them.
    fn is_too_long_at(&self, start: usize, line: &[u8]) -> bool {
        let mark = byte_order_mark(self.offset + start as u64, line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        line.len() - mark.min(line.len()) > MAX_LINE_BYTES
    }

    fn begin_giant(&mut self) {
        self.giant = Some(Giant {
            head: Vec::with_capacity(MAX_LINE_BYTES),
            hash: digest::Context::new(&digest::SHA256),
            length: 0,
            consumed: 0,
            carriage_return: false,
        });
    }

    /// Lets the rest of an over-long line pass by; returns what comes after it.
    fn pass_giant<'a>(&mut self, piece: &'a [u8], arrivals: &mut Vec<Arrival>) -> &'a [u8] {
        let Some(giant) = &mut self.giant else {
            return piece;
        };
        let newline = memchr::memchr(b'\n', piece);
        let part = &piece[..newline.unwrap_or(piece.len())];
        let mark = match giant.consumed {
            0 => byte_order_mark(self.offset, part),
            _ => 0,
        };
        giant.consumed += part.len() as u64;
        giant.push(&part[mark..]);
        let Some(newline) = newline else {
            return &[];
        };
        giant.consumed += 1;
        self.end_giant(arrivals);
        &piece[newline + 1..]
    }

    fn end_giant(&mut self, arrivals: &mut Vec<Arrival>) {
        let Some(giant) = self.giant.take() else {
            return;
        };
        let mut sha256 = [0; digest::SHA256_OUTPUT_LEN];
        sha256.copy_from_slice(giant.hash.finish().as_ref());
        arrivals.push(Arrival::TooLong(TooLong {
            origin: self.origin.clone(),
            position: self.position(),
            head: giant.head,
            length: giant.length,
            sha256,
        }));
        self.line += 1;
        self.offset += giant.consumed;
    }
}

enum Run {
    Lines(usize),
    Giant(usize),
}

/// An over-long line passing by.
struct Giant {
    head: Vec<u8>,
    hash: digest::Context,
    /// Bytes that count.
    length: u64,
    /// Bytes of the stream.
    consumed: u64,
    /// The last byte was a carriage return: part of the line only if no newline follows.
    carriage_return: bool,
}

impl Giant {
    fn push(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if std::mem::take(&mut self.carriage_return) {
            self.count(b"\r");
        }
        let kept = bytes.strip_suffix(b"\r");
        self.carriage_return = kept.is_some();
        self.count(kept.unwrap_or(bytes));
    }

    fn count(&mut self, bytes: &[u8]) {
        let room = MAX_LINE_BYTES - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
    }
}

impl std::fmt::Debug for Giant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Giant")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
