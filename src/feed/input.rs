use std::io::{self, Read};

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::line::Line;
use crate::signal::TimeUnit;
use crate::source::{Arrival, Lines, Origin, SourceName, Splitter};

/// What one read has brought.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) lines: Vec<Line>,
    /// Lines that are none, with the reason.
    pub(super) refused: Vec<(u64, String)>,
}

/// Reads to the end, or until nobody wants more. It reads only when there is room for what comes,
/// so nothing is left over here.
pub(super) fn read(mut input: impl Read, chunks: &mpsc::Sender<io::Result<Chunk>>) {
    let origin = Origin {
        source: SourceName::from("stdin"),
        file: None,
        unit: TimeUnit::Seconds,
    };
    let mut splitter = Splitter::new(origin, 1, 0);
    let mut buffer = vec![0; READ_BYTES];
    let mut arrivals = Vec::new();
    loop {
        let Ok(room) = Handle::current().block_on(chunks.reserve()) else {
            return;
        };
        let is_end = match input.read(&mut buffer) {
            Ok(0) => {
                splitter.finish(&mut arrivals);
                true
            }
            Ok(count) => {
                splitter.push(&buffer[..count], &mut arrivals);
                false
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return room.send(Err(error)),
        };
        let mut chunk = Chunk::default();
        arrivals.drain(..).for_each(|arrival| chunk.take(arrival));
        room.send(Ok(chunk));
        if is_end {
            return;
        }
    }
}

impl Chunk {
    fn take(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Lines(lines) => self.take_lines(&lines),
            Arrival::TooLong(line) => self.refuse(line.position.line, &line),
            Arrival::Unfinished(line) => self.refuse(line.position.line, &line),
            // It is not told by what cuts lines.
            Arrival::Ended(_) | Arrival::Failed(_) => {}
        }
    }

    fn take_lines(&mut self, lines: &Lines) {
        for (position, line) in lines.iter() {
            match Line::read(position.line, line) {
                Ok(line) => self.lines.extend(line),
                Err(why) => self.refuse(position.line, &why),
            }
        }
    }

    fn refuse(&mut self, number: u64, why: &dyn std::error::Error) {
        self.refused.push((number, why.to_string()));
    }
}

const READ_BYTES: usize = 64 * 1024;
