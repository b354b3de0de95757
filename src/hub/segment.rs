use std::collections::HashMap;
use std::time::Instant;

use super::frame;
use super::view::{Framing, View};
use crate::journal::Recorded;
use crate::signal::{Id, PriceForm, Protocol, ReceivedAt, Seq, Symbol, Timestamp};
use crate::source::SourceName;

/// A stretch of the log as ready WebSocket frames, back to back, with an index. Immutable once
/// published, so every thread reads it without a lock.
#[derive(Debug)]
pub struct Segment {
    first: Seq,
    /// When the oldest of its lines was read.
    read_at: Instant,
    bytes: Vec<u8>,
    frames: Vec<Frame>,
    details: Vec<Detail>,
    symbols: Vec<Symbol>,
    sources: Vec<SourceName>,
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
    is_test: bool,
}

/// What `signalcast.v2` tells of a signal besides.
#[derive(Clone, Copy, Debug)]
pub struct Detail {
    /// The id that its source gave, or the one that was made.
    pub id: Id,
    /// When it was received.
    pub received_at: ReceivedAt,
    /// The source's place in the segment's list.
    source: u32,
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
    /// Whether nobody may trade on it.
    pub is_test: bool,
    /// From then on nobody may act on it.
    pub stale_after: Option<Timestamp>,
    /// What else is known.
    pub detail: &'a Detail,
    /// Where it came from.
    pub source: &'a SourceName,
}

impl Segment {
    /// Makes the frames of signals that follow each other in the log. `read_at`: when the oldest
    /// of their lines was read.
    ///
    /// # Panics
    /// If there is no signal, or more than 4 GiB of them.
    pub fn of(recorded: &[Recorded], read_at: Instant) -> Self {
        let mut segment = Self::empty(recorded[0].seq(), read_at);
        segment.reserve(recorded.len(), recorded.len() * USUAL_FRAME_BYTES);
        let mut places = SymbolPlaces::default();
        for recorded in recorded {
            let signal = recorded.signal();
            let symbol = places.of(&mut segment.symbols, signal.symbol());
            let detail = Detail {
                id: *recorded.id(),
                received_at: recorded.received_at(),
                source: segment.place_of(recorded.source()),
            };
            frame::write_text(&mut segment.bytes, |out| signal.write_v1(out));
            segment.push(symbol, signal.is_test(), signal.stale_after(), detail);
        }
        segment.bytes.shrink_to_fit();
        segment
    }

    /// One segment that holds what these hold together.
    ///
    /// # Panics
    /// If there is none, or more than 4 GiB of frames.
    pub fn joined<'a>(parts: impl Iterator<Item = &'a Self> + Clone) -> Self {
        let first = parts.clone().next();
        let first = first.expect("a segment is joined from at least one");
        let mut segment = Self::empty(first.first, first.read_at);
        let frames = parts.clone().map(|part| part.frames.len()).sum();
        segment.reserve(frames, parts.clone().map(|part| part.bytes.len()).sum());
        let mut places = SymbolPlaces::default();
        for part in parts {
            for frame in part.from(part.first) {
                let symbol = places.of(&mut segment.symbols, &part.symbols[frame.symbol]);
                let detail = Detail {
                    source: segment.place_of(frame.source),
                    ..*frame.detail
                };
                segment.bytes.extend_from_slice(frame.bytes);
                segment.push(symbol, frame.is_test, frame.stale_after, detail);
            }
        }
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

    /// What it takes in memory, in bytes, without its symbols' text.
    pub fn footprint(&self) -> usize {
        size_of::<Self>()
            + self.bytes.capacity()
            + self.frames.capacity() * size_of::<Frame>()
            + self.details.capacity() * size_of::<Detail>()
            + self.sources.capacity() * size_of::<SourceName>()
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
                is_test: frame.is_test,
                stale_after: self.stale_after.get(index).copied().flatten(),
                detail: &self.details[index],
                source: &self.sources[self.details[index].source as usize],
            }
        })
    }

    /// Whether somebody with this view gets every frame, just as it lies here, at any time.
    pub fn is_ready_for(&self, view: &View) -> bool {
        let as_it_lies = (view.framing, view.protocol, view.prices)
            == (Framing::WebSocket, Protocol::V1, PriceForm::Number);
        as_it_lies && view.is_everything() && self.stale_after.is_empty()
    }

    /// Frames from one place to before another, as they lie, and where in these bytes each ends,
    /// with its place in the log. About so many bytes: the frame that reaches them is the last.
    pub fn stretch(
        &self,
        from: Seq,
        end: Seq,
        most_bytes: usize,
    ) -> (&[u8], impl Iterator<Item = (usize, Seq)>) {
        let index = |seq: Seq| {
            let index = seq.get().saturating_sub(self.first.get());
            usize::try_from(index).map_or(self.frames.len(), |index| index.min(self.frames.len()))
        };
        let first = index(from);
        let start = first
            .checked_sub(1)
            .map_or(0, |before| self.frames[before].end as usize);
        let frames = &self.frames[first..index(end).max(first)];
        let whole = frames.partition_point(|frame| frame.end as usize - start < most_bytes);
        let frames = &frames[..frames.len().min(whole + usize::from(most_bytes > 0))];
        let bytes = &self.bytes[start..frames.last().map_or(start, |frame| frame.end as usize)];
        let ends = frames
            .iter()
            .zip(first as u64..)
            .map(move |(frame, index)| (frame.end as usize - start, self.first.plus(index)));
        (bytes, ends)
    }

    fn empty(first: Seq, read_at: Instant) -> Self {
        Self {
            first,
            read_at,
            bytes: Vec::new(),
            frames: Vec::new(),
            details: Vec::new(),
            symbols: Vec::new(),
            sources: Vec::new(),
            stale_after: Vec::new(),
        }
    }

    /// Makes room for what is about to come.
    fn reserve(&mut self, frames: usize, bytes: usize) {
        self.bytes.reserve_exact(bytes);
        self.frames.reserve_exact(frames);
        self.details.reserve_exact(frames);
    }

    /// Ends the frame whose bytes were just written.
    fn push(&mut self, symbol: u32, is_test: bool, stale_after: Option<Timestamp>, detail: Detail) {
        if stale_after.is_some() && self.stale_after.is_empty() {
            self.stale_after.resize(self.frames.len(), None);
        }
        if stale_after.is_some() || !self.stale_after.is_empty() {
            self.stale_after.push(stale_after);
        }
        let end = u32::try_from(self.bytes.len()).expect("a segment is far below 4 GiB");
        self.frames.push(Frame {
            end,
            symbol,
            is_test,
        });
        self.details.push(detail);
    }

    /// A source's place in the list. Sources are few, and most often it is the same as before.
    fn place_of(&mut self, source: &SourceName) -> u32 {
        let place = self.sources.iter().rposition(|known| known == source);
        let place = place.unwrap_or_else(|| {
            self.sources.push(source.clone());
            self.sources.len() - 1
        });
        u32::try_from(place).expect("fewer sources than frames")
    }
}

/// Room for a frame: more than most take, for what is left over is given back.
const USUAL_FRAME_BYTES: usize = 160;

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
