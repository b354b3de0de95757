use std::str;

use hyper::body::Bytes;
use tokio::task::yield_now;
use warp::http::Response;
use warp::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap};

use super::fetches::Turn;
use super::headers::{EPOCH, LAST_SEQ, NEXT_AFTER_SEQ};
use super::past::{Past, Start};
use super::query::Query;
use super::refusal::Refusal;
use crate::clock;
use crate::hub::{FrameView, Freshness, Segment, View, frame};
use crate::journal::ReadError;
use crate::signal::{Seq, Timestamp};

/// Past signals, as an answer to a request.
#[derive(Debug)]
pub(super) struct Page {
    format: Format,
    text: String,
    /// What one signal is written in before it is put there.
    frame: Vec<u8>,
    signals: usize,
    /// Where the next page begins.
    next: Seq,
    bounds: Bounds,
}

/// How signals are put into an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// One JSON object.
    Json,
    /// A signal a line.
    Ndjson,
}

/// When a page is full.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// With so many signals.
    signals: usize,
    /// When the log was looked through up to here.
    end: Seq,
    /// When it is judged which signals are stale.
    now: Timestamp,
}

/// Signals on a page when nobody says how many.
const USUAL_LIMIT: usize = 100;

/// A page whose text is this long ends, in bytes: what is sent in a moment, also over a slow line.
const MOST_TEXT: usize = 4 * 1024 * 1024;

/// Signals that are looked at for one page: a filter that lets nothing pass must not read the whole
/// log.
const MOST_LOOKED_AT: u64 = 100_000;

impl Page {
    /// The page that was asked for. Reads the log stretch by stretch and lets others run in
    /// between.
    pub(super) async fn of(
        past: &Past,
        asked: &Query,
        view: &View,
        format: Format,
    ) -> Result<Self, Refusal> {
        let start = asked.start.unwrap_or(Start::Oldest);
        let mut first = past.first(start, asked.epoch.as_deref()).await?;
        let mut page = Self::new(format, asked.limit.unwrap_or(USUAL_LIMIT), first, past.next);
        while !page.is_full() {
            match past.stretch(page.next).await {
                Ok(stretch) => page.take(&stretch, view),
                // Retention has come by: what there is of the page is good.
                Err(ReadError::Gone { .. }) if page.next > first => break,
                Err(ReadError::Gone { oldest }) if start == Start::Oldest && oldest > first => {
                    first = oldest.min(past.next);
                    page.next = first;
                }
                Err(why) => return Err(past.unreadable(&why)),
            }
            yield_now().await;
        }
        Ok(page)
    }

    /// The answer. `turn` ends when the whole of it was taken.
    pub(super) fn response(mut self, past: &Past, turn: Turn) -> Response<Bytes> {
        let (last_seq, next_after_seq) = (past.last_seq(), self.next.get() - 1);
        let media_type = match self.format {
            Format::Json => {
                let rest =
                    format!(r#"],"last_seq":{last_seq},"next_after_seq":{next_after_seq}}}"#);
                self.text.push_str(&rest);
                "application/json"
            }
            Format::Ndjson => NDJSON,
        };
        let text = Bytes::from_owner(Taken {
            text: self.text,
            _turn: turn,
        });
        Response::builder()
            .header(CONTENT_TYPE, media_type)
            .header(CACHE_CONTROL, "no-store")
            .header(LAST_SEQ, last_seq)
            .header(NEXT_AFTER_SEQ, next_after_seq)
            .header(EPOCH, past.epoch.to_string())
            .body(text)
            .expect("every value is visible ASCII")
    }

    fn new(format: Format, limit: usize, first: Seq, end: Seq) -> Self {
        let text = match format {
            Format::Json => r#"{"signals":["#.to_owned(),
            Format::Ndjson => String::new(),
        };
        let furthest = first.plus(MOST_LOOKED_AT);
        Self {
            format,
            text,
            frame: Vec::new(),
            signals: 0,
            next: first,
            bounds: Bounds {
                signals: limit,
                end: end.min(furthest),
                now: clock::now(),
            },
        }
    }

    fn is_full(&self) -> bool {
        self.next >= self.bounds.end
            || self.signals >= self.bounds.signals
            || self.text.len() >= MOST_TEXT
    }

    fn take(&mut self, stretch: &Segment, view: &View) {
        let Bounds { end, now, .. } = self.bounds;
        for (frame, freshness) in stretch.passing(self.next, view, now) {
            if frame.seq >= end {
                break;
            }
            self.put(&frame, view, freshness);
            self.next = frame.seq.next();
            if self.is_full() {
                return;
            }
        }
        self.next = stretch.last().next().min(end);
    }

    fn put(&mut self, signal: &FrameView<'_>, view: &View, freshness: Freshness) {
        self.frame.clear();
        signal.write(&mut self.frame, view, freshness);
        let text = str::from_utf8(frame::payload(&self.frame)).expect("signals are text");
        if self.format == Format::Json && self.signals > 0 {
            self.text.push(',');
        }
        self.text.push_str(text);
        if self.format == Format::Ndjson {
            self.text.push('\n');
        }
        self.signals += 1;
    }
}

impl Format {
    /// The one that these headers ask for.
    pub(super) fn wanted(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(ACCEPT).iter();
        let mut media_ranges = accepted
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        if media_ranges.any(wants_lines) {
            Self::Ndjson
        } else {
            Self::Json
        }
    }
}

const NDJSON: &str = "application/x-ndjson";

/// Whether a media range (RFC 9110 section 12.5.1) is for lines, and not to refuse them.
fn wants_lines(media_range: &str) -> bool {
    let mut parts = media_range.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let quality = parts.find_map(|parameter| parameter.strip_prefix("q="));
    let refused = quality.and_then(|quality| quality.parse().ok()) == Some(0.0);
    media_type.eq_ignore_ascii_case(NDJSON) && !refused
}

/// Text on its way to somebody.
struct Taken {
    text: String,
    _turn: Turn,
}

impl AsRef<[u8]> for Taken {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

#[cfg(test)]
mod tests;
