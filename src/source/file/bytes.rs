//! What stands in a file: it is read where one wants, with no effect on anybody else's reading.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use super::history::{TAIL_BYTES, Tail};

/// Opens a file to be read; a pipe, too, but without waiting for a writer.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(nonblocking).open(path)
}

/// As much as the buffer takes, less only at the end of the file.
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match file.read_at(&mut buffer[count..], offset + count as u64) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(why) if why.kind() == ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
    }
    Ok(count)
}

/// Its first bytes, at most so many.
pub(super) fn head(file: &File, most: usize) -> io::Result<Vec<u8>> {
    let mut head = vec![0; most];
    let count = read_at(file, &mut head, 0)?;
    head.truncate(count);
    Ok(head)
}

pub(super) fn tail_before(file: &File, offset: u64) -> io::Result<Tail> {
    let mut buffer = [0; TAIL_BYTES];
    let start = offset.saturating_sub(TAIL_BYTES as u64);
    let length = usize::try_from(offset - start).unwrap_or(TAIL_BYTES);
    let count = read_at(file, &mut buffer[..length], start)?;
    Ok(Tail::from(&buffer[..count]))
}

/// Offset after the last newline among the first `size` bytes.
pub(super) fn end_of_last_line(file: &File, size: u64) -> io::Result<u64> {
    let mut buffer = [0; 4096];
    let mut end = size;
    // Nearly always the last byte is a newline: look at that one alone first.
    let mut block = 1;
    while end > 0 {
        let start = end.saturating_sub(block);
        let length = usize::try_from(end - start).unwrap_or(buffer.len());
        let count = read_at(file, &mut buffer[..length], start)?;
        if let Some(newline) = memchr::memrchr(b'\n', &buffer[..count]) {
            return Ok(start + newline as u64 + 1);
        }
        end = start;
        block = buffer.len() as u64;
    }
    Ok(0)
}

/// Whether all of this file stands at the start of that one.
pub(super) fn begins_with(whole: &File, part: &File) -> io::Result<bool> {
    let (mut theirs, mut own) = (vec![0; COMPARED_AT_ONCE], vec![0; COMPARED_AT_ONCE]);
    let mut offset = 0;
    loop {
        let count = read_at(part, &mut own, offset)?;
        if count == 0 {
            return Ok(true);
        }
        let there = read_at(whole, &mut theirs[..count], offset)?;
        if theirs[..there] != own[..count] {
            return Ok(false);
        }
        offset += count as u64;
    }
}

const COMPARED_AT_ONCE: usize = 64 * 1024;
