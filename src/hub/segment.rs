use std::collections::HashMap;
use std::time::Instant;

use super::frame;
use crate::journal::Recorded;
use crate::signal::{Seq, Signal, Symbol, Timestamp};

/// A stretch of the log as ready WebSocket frames, back to back, with an index. Immutable once
/// published, so every thread reads it without a lock.
#[derive(Debug)]
pub struct Segment {
    first: Seq,
    /// When the oldest of its lines was read.
    read_at: Instant,
    bytes: Vec<u8>,
    frames: Vec<Frame>,
    symbols: Vec<Symbol>,
    /// When each frame becomes stale; empty when none ever does.
    stale_after: Vec<Option<Timestamp>>,
}

/// What is known of one frame without reading it.
#[derive(Clone, Copy, Debug)]
struct Frame {
    /// Where its bytes end; they begin where those of the frame before it end.
    end: u32,
    /// Its symbol's place in the segment's list.
    symbol: u32,
}

/// One frame of a segment, for a reader.
#[derive(Clone, Copy, Debug)]
pub struct FrameView<'a> {
    /// The signal's place in the log.
    pub seq: Seq,
    /// The frame, header included.
    pub bytes: &'a [u8],
    /// The symbol's place in [`Segment::symbols`].
    pub symbol: usize,
    /// From then on nobody may act on it.
    pub stale_after: Option<Timestamp>,
}

impl Segment {
    /// Makes the frames of signals that follow each other in the log. `read_at`: when the oldest
    /// of their lines was read.
    ///
    /// # Panics
    /// If there is no signal, or more than 4 GiB of them.
    pub fn of(recorded: &[Recorded], read_at: Instant) -> Self {
        let mut segment = Self::empty(recorded[0].seq(), read_at);
        let mut places = SymbolPlaces::default();
        for signal in recorded.iter().map(Recorded::signal) {
            let symbol = places.of(&mut segment.symbols, signal.symbol());
            frame::write_text(&mut segment.bytes, |out| Signal::write_v1(signal, out));
            segment.push(symbol, signal.stale_after());
        }
        segment
    }

    /// One segment that holds what these hold together.
    ///
    /// # Panics
    /// If there is none, or more than 4 GiB of frames.
    pub fn joined<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut parts = parts.into_iter().peekable();
        let first = parts.peek().expect("a segment is joined from at least one");
        let mut segment = Self::empty(first.first, first.read_at);
        let mut places = SymbolPlaces::default();
        for part in parts {
            for view in part.from(part.first) {
                let symbol = places.of(&mut segment.symbols, &part.symbols[view.symbol]);
                segment.bytes.extend_from_slice(view.bytes);
                segment.push(symbol, view.stale_after);
            }
        }
        segment.bytes.shrink_to_fit();
        segment.frames.shrink_to_fit();
        segment.symbols.shrink_to_fit();
        segment
    }

    /// The place of its first signal.
    pub fn first(&self) -> Seq {
        self.first
    }

    /// The place of its last signal.
    pub fn last(&self) -> Seq {
        self.first.plus(self.frames.len() as u64 - 1)
    }

    /// When the oldest of its lines was read.
    pub fn read_at(&self) -> Instant {
        self.read_at
    }

    /// All its frames, back to back.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The symbols that occur in it, each once.
    pub fn symbols(&self) -> &[Symbol] {
        &self.symbols
    }

    /// Whether some of its signals become stale, so that readers must look at the time.
    pub fn goes_stale(&self) -> bool {
        !self.stale_after.is_empty()
    }

    /// What it takes in memory, in bytes, without its symbols' text.
    pub fn footprint(&self) -> usize {
        size_of::<Self>()
            + self.bytes.capacity()
            + self.frames.capacity() * size_of::<Frame>()
            + self.symbols.capacity() * size_of::<Symbol>()
            + self.stale_after.capacity() * size_of::<Option<Timestamp>>()
    }

    /// Its frames from this place on; all of them if the place is before its first.
    pub fn from(&self, seq: Seq) -> impl Iterator<Item = FrameView<'_>> {
        let skip = seq.get().saturating_sub(self.first.get());
        let skip = usize::try_from(skip)
            .unwrap_or(usize::MAX)
            .min(self.frames.len());
        let mut start = if skip == 0 {
            0
        } else {
            self.frames[skip - 1].end as usize
        };
        (skip..self.frames.len()).map(move |index| {
            let frame = self.frames[index];
            let bytes = &self.bytes[start..frame.end as usize];
            start = frame.end as usize;
            FrameView {
                seq: self.first.plus(index as u64),
                bytes,
                symbol: frame.symbol as usize,
                stale_after: self.stale_after.get(index).copied().flatten(),
            }
        })
    }

    fn empty(first: Seq, read_at: Instant) -> Self {
        Self {
            first,
            read_at,
            bytes: Vec::new(),
            frames: Vec::new(),
            symbols: Vec::new(),
            stale_after: Vec::new(),
        }
    }

    /// Ends the frame whose bytes were just written.
    fn push(&mut self, symbol: u32, stale_after: Option<Timestamp>) {
        if stale_after.is_some() && self.stale_after.is_empty() {
            self.stale_after.resize(self.frames.len(), None);
        }
        if stale_after.is_some() || !self.stale_after.is_empty() {
            self.stale_after.push(stale_after);
        }
        let end = u32::try_from(self.bytes.len()).expect("a segment is far below 4 GiB");
        self.frames.push(Frame { end, symbol });
    }
}

/// Finds a symbol's place in a segment's list, adding it when it is new there.
#[derive(Default)]
struct SymbolPlaces(HashMap<Symbol, u32>);

impl SymbolPlaces {
    fn of(&mut self, symbols: &mut Vec<Symbol>, symbol: &Symbol) -> u32 {
        // Most often a segment's signals are all of the same symbol.
        let newest = u32::try_from(symbols.len()).expect("fewer symbols than frames");
        if symbols.last() == Some(symbol) {
            return newest - 1;
        }
        *self.0.entry(symbol.clone()).or_insert_with(|| {
            symbols.push(symbol.clone());
            newest
        })
    }
}
