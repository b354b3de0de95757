//! Frames in other forms than the one that segments hold ready.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::event;
use super::frame;
use super::segment::FrameView;
use super::view::{Framing, View};
use crate::signal::{PriceForm, Protocol};

/// Whether a frame says that its signal is stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It does not.
    Fresh,
    /// It does.
    Stale,
}

impl FrameView<'_> {
    /// Appends the frame in the form of this view.
    pub fn write(&self, out: &mut Vec<u8>, view: &View, freshness: Freshness) {
        match (view.framing, view.protocol, view.prices) {
            (Framing::WebSocket, Protocol::V1, PriceForm::Number) => {
                out.extend_from_slice(self.bytes);
            }
            (Framing::WebSocket, Protocol::V1, PriceForm::String) => {
                let parts = Parts::of(self.bytes);
                frame::write_text(out, |out| {
                    put(out, parts.kind);
                    put(out, b",\"content\":");
                    put_content(out, parts.content, PriceForm::String);
                    put(out, parts.rest);
                });
            }
            (Framing::WebSocket, Protocol::V2, prices) => frame::write_long_text(out, |out| {
                write_v2(out, self, prices, freshness);
            }),
            (Framing::Events, _, prices) => event::write_signal(out, self.seq, |out| {
                write_v2(out, self, prices, freshness);
            }),
        }
    }
}

fn write_v2(out: &mut Vec<u8>, frame: &FrameView<'_>, prices: PriceForm, freshness: Freshness) {
    let parts = Parts::of(frame.bytes);
    let detail = frame.detail;
    put(out, parts.kind);
    put(out, b",\"seq\":");
    frame.seq.write(out);
    put(out, b",\"id\":\"");
    put(out, detail.id.as_str().as_bytes());
    put(out, b"\",\"content\":");
    put_content(out, parts.content, prices);
    // Without its last brace: more follows.
    put(out, &parts.rest[..parts.rest.len() - 1]);
    put(out, b",\"source\":");
    serde_json::to_writer(&mut *out, frame.source.as_str()).expect(MEMORY);
    put(out, b",\"received_at\":\"");
    put(out, &detail.received_at.text());
    put(out, b"\"");
    if freshness == Freshness::Stale {
        put(out, b",\"stale\":true");
    }
    put(out, b"}");
}

const MEMORY: &str = "writing to memory does not fail";

/// The parts of a frame of `signalcast.v1`.
struct Parts<'a> {
    /// `{"type":"buy"`
    kind: &'a [u8],
    /// `{"symbol":…}`
    content: &'a [u8],
    /// `,"is_test":false}`
    rest: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(frame: &'a [u8]) -> Self {
        let text = frame::payload(frame);
        // The sides are written with three and four letters, `true` and `false` with four and five.
        let kind = if text[KIND_BUY.len() - 1] == b'"' {
            KIND_BUY.len()
        } else {
            KIND_BUY.len() + 1
        };
        let rest = if text[text.len() - TEST.len()] == b',' {
            TEST.len()
        } else {
            TEST.len() + 1
        };
        let (kind, after) = text.split_at(kind);
        let (content, rest) = after.split_at(after.len() - rest);
        Self {
            kind,
            content: &content[b",\"content\":".len()..],
            rest,
        }
    }
}

const KIND_BUY: &[u8] = br#"{"type":"buy""#;
const TEST: &[u8] = br#","is_test":true}"#;

fn put_content(out: &mut Vec<u8>, content: &[u8], prices: PriceForm) {
    if prices == PriceForm::Number {
        return put(out, content);
    }
    // No symbol can hold this: its quotes are escaped.
    let before = PRICE_FINDER.find(content).map_or(0, |at| at + PRICE.len());
    let (symbol, price) = content.split_at(before);
    let end = memchr::memchr(b',', price).unwrap_or(price.len());
    put(out, symbol);
    put(out, b"\"");
    put(out, &price[..end]);
    put(out, b"\"");
    put(out, &price[end..]);
}

const PRICE: &[u8] = br#"","price":"#;

/// Made once, for that takes a third of what such a frame does.
static PRICE_FINDER: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(PRICE));

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests;
