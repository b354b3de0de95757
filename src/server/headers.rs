//! The headers that are ours alone, or of event streams.

use warp::http::header::HeaderName;

/// Which signal is the newest.
pub(super) const LAST_SEQ: HeaderName = HeaderName::from_static("signalcast-last-seq");

/// Which log it is.
pub(super) const EPOCH: HeaderName = HeaderName::from_static("signalcast-epoch");

/// Where to go on behind some past signals.
pub(super) const NEXT_AFTER_SEQ: HeaderName = HeaderName::from_static("signalcast-next-after-seq");

/// What the reader of an event stream has seen last, which a browser that comes back says by itself.
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
