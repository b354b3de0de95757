use std::path::Path;
use std::sync::Arc;

use crate::source::file::history::Tail;
use crate::source::lines::CutOff;
use crate::source::splitter::Splitter;
use crate::source::{Arrival, Origin};

/// Where reading goes on in a file, and the bytes before, by which it is known again.
#[derive(Debug)]
pub(super) struct Cursor {
    splitter: Splitter,
    /// What stands before it.
    tail: Tail,
    /// What stands before the line that is not complete yet.
    handed_over: Tail,
    /// Nothing but zeros was read since the file was begun anew.
    in_hole: bool,
}

impl Cursor {
    /// Goes on after `tail` at `offset`, where line number `line` begins.
    pub(super) fn new(origin: Origin, line: u64, offset: u64, tail: Tail) -> Self {
        Self {
            splitter: Splitter::new(origin, line, offset),
            handed_over: tail.clone(),
            tail,
            in_hole: false,
        }
    }

    /// Whether nothing but zeros was read since the file was begun anew.
    pub(super) fn in_hole(self, in_hole: bool) -> Self {
        Self { in_hole, ..self }
    }

    pub(super) fn is_in_hole(&self) -> bool {
        self.in_hole
    }

    /// The name that the lines come under.
    pub(super) fn file(&self) -> &Arc<Path> {
        let file = self.splitter.origin().file.as_ref();
        file.expect("a followed file was given an origin with a file")
    }

    pub(super) fn set_origin(&mut self, origin: Origin) {
        self.splitter.set_origin(origin);
    }

    /// Bytes up to it.
    pub(super) fn end(&self) -> u64 {
        self.splitter.end()
    }

    pub(super) fn tail(&self) -> &Tail {
        &self.tail
    }

    /// Where the line begins that is not complete yet.
    pub(super) fn line_start(&self) -> u64 {
        self.splitter.line_start()
    }

    /// Its number.
    pub(super) fn line(&self) -> u64 {
        self.splitter.line()
    }

    /// What stands before it.
    pub(super) fn handed_over(&self) -> &Tail {
        &self.handed_over
    }

    pub(super) fn count_lines_before(&mut self, lines: u64) {
        self.splitter.count_lines_before(lines);
    }

    /// Takes the next bytes; lines that are complete now go to `arrivals`.
    pub(super) fn push(&mut self, bytes: &[u8], arrivals: &mut Vec<Arrival>) {
        let mut before = self.tail.clone();
        self.tail.push(bytes);
        let line = self.pass_hole(bytes);
        self.splitter.push(&bytes[line..], arrivals);
        let incomplete = usize::try_from(self.end() - self.line_start());
        let complete = incomplete
            .ok()
            .and_then(|left| bytes.len().checked_sub(left));
        // Otherwise the line began before these bytes, and nothing is complete.
        if let Some(complete) = complete {
            before.push(&bytes[..complete]);
            self.handed_over = before;
        }
    }

    /// Goes on at the start of the file.
    pub(super) fn begin(&mut self) {
        self.splitter.begin();
        self.tail = Tail::default();
        self.handed_over = Tail::default();
        self.in_hole = true;
    }

    /// Nobody needs to be told of the line that is not complete yet.
    pub(super) fn forget_line(&mut self) {
        self.splitter.forget_line();
    }

    /// The rest of that line will never come.
    pub(super) fn cut_off(&mut self, why: CutOff, arrivals: &mut Vec<Arrival>) {
        self.splitter.cut_off(why, arrivals);
    }

    /// Goes back to where that line began, before which this stands. To be followed by a cut.
    pub(super) fn back_to_line(&mut self, tail: Tail) {
        self.handed_over = tail.clone();
        self.tail = tail;
    }

    /// A writer that does not append goes on at its old place after a truncation, and leaves a
    /// hole before it: zeros, which are no part of its line. Returns how many there are.
    fn pass_hole(&mut self, bytes: &[u8]) -> usize {
        if !self.in_hole {
            return 0;
        }
        let data = bytes.iter().position(|byte| *byte != 0);
        self.in_hole = data.is_none();
        let zeros = data.unwrap_or(bytes.len());
        self.splitter.skip(zeros as u64);
        zeros
    }
}
