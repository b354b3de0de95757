//! The body of a request, read within bounds.

use std::borrow::Cow;
use std::fmt::Display;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use hyper::body::Buf;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};
use tracing::debug;
use warp::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};

use super::pace::put_off;
use super::refusal::Refusal;
use super::share::Share;

/// Reads bodies. Cheap to clone: all clones share the room for bodies in memory.
#[derive(Clone, Debug)]
pub(super) struct Bodies {
    room: Arc<Semaphore>,
    patience: Duration,
}

/// A body, whole, and the room that it takes.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    /// Given back when it is dropped; `None` for an empty body.
    pub(super) room: Option<OwnedSemaphorePermit>,
    /// The room that it takes of what its sender may have, if that is bounded.
    pub(super) share: Option<Share>,
}

/// Memory of a body grows in steps of this at least.
const LEAST_STEP: usize = 1024;

/// Bytes that are taken before others may run, when they come without a pause.
const BETWEEN_YIELDS: usize = 64 * 1024;

impl Bodies {
    /// `room_kib`: room for all of them together. `patience`: how far a body may stay behind the
    /// least rate at which it has to come, and so the longest time in which nothing comes of it.
    pub(super) fn new(room_kib: usize, patience: Duration) -> Self {
        let room = Arc::new(Semaphore::new(room_kib));
        Self { room, patience }
    }

    /// Reads a body of `most` bytes at most. One that is announced as longer is not read at all.
    ///
    /// # Errors
    /// It is too long, compressed, breaks off, comes too slowly, or there is no room for it.
    pub(super) async fn read<S, B, E>(
        &self,
        headers: &HeaderMap,
        stream: S,
        most: usize,
    ) -> Result<Body, Refusal>
    where
        S: Stream<Item = Result<B, E>>,
        B: Buf,
        E: Display,
    {
        self.read_within(None, headers, stream, most).await
    }

    /// The same for somebody who may have no more of the room than this share.
    ///
    /// # Errors
    /// The same; or he has his share already.
    pub(super) async fn read_within<S, B, E>(
        &self,
        share: Option<Share>,
        headers: &HeaderMap,
        stream: S,
        most: usize,
    ) -> Result<Body, Refusal>
    where
        S: Stream<Item = Result<B, E>>,
        B: Buf,
        E: Display,
    {
        is_plain(headers)?;
        if announced(headers).is_some_and(|length| length > most as u64) {
            return Err(too_long(most));
        }
        let mut stream = pin!(stream);
        let mut body = Body {
            bytes: Vec::new(),
            room: None,
            share,
        };
        let mut next_yield = BETWEEN_YIELDS;
        let mut deadline = Instant::now() + self.patience;
        loop {
            let Ok(piece) = timeout_at(deadline, stream.next()).await else {
                return Err(Refusal::TooSlow);
            };
            match piece {
                Some(Ok(piece)) => {
                    deadline = put_off(deadline, piece.remaining(), self.patience);
                    self.take(piece, &mut body, most)?;
                }
                Some(Err(error)) => {
                    debug!(%error, "a body broke off");
                    return refuse("the body breaks off, or its chunks are malformed");
                }
                None => return Ok(body),
            }
            if body.bytes.len() >= next_yield {
                next_yield = body.bytes.len() + BETWEEN_YIELDS;
                yield_now().await;
            }
        }
    }

    /// Adds a piece to a body.
    fn take(&self, mut piece: impl Buf, body: &mut Body, most: usize) -> Result<(), Refusal> {
        let length = body.bytes.len() + piece.remaining();
        if length > most {
            return Err(too_long(most));
        }
        self.make_room(body, length, most)?;
        while piece.has_remaining() {
            let bytes = piece.chunk();
            let count = bytes.len();
            body.bytes.extend_from_slice(bytes);
            piece.advance(count);
        }
        Ok(())
    }

    /// Has room for so many bytes, before it takes memory for them. Whoever finds none is turned
    /// away at once: if all waited for each other's room, nobody would get any.
    fn make_room(&self, body: &mut Body, length: usize, most: usize) -> Result<(), Refusal> {
        let capacity = body.bytes.capacity();
        if length <= capacity {
            return Ok(());
        }
        let wanted = (2 * capacity).min(most).max(length);
        let wanted = wanted.next_multiple_of(LEAST_STEP);
        let step = (wanted - capacity).div_ceil(1024);
        let permits = u32::try_from(step).map_err(|_| too_long(most))?;
        let more = Arc::clone(&self.room).try_acquire_many_owned(permits);
        let more = more.map_err(|_| Refusal::NoRoom)?;
        if body.share.as_mut().is_some_and(|share| !share.takes(step)) {
            return Err(Refusal::NoRoom);
        }
        match &mut body.room {
            Some(room) => room.merge(more),
            room => *room = Some(more),
        }
        body.bytes.reserve_exact(wanted - body.bytes.len());
        Ok(())
    }
}

/// How long the body is, if the request says so. (hyper has seen to it that it is a number.)
fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A small body may stand for a large one when it is compressed, so none is taken.
fn is_plain(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    let is_identity = |coding: &[u8]| coding.eq_ignore_ascii_case(b"identity");
    if codings.all(|coding| is_identity(coding.as_bytes())) {
        return Ok(());
    }
    Err(Refusal::UnsupportedMediaType(
        "the body is compressed; send it as it is, without Content-Encoding",
    ))
}

fn too_long(most: usize) -> Refusal {
    let most = match most {
        kib if kib < 1024 * 1024 => format!("{} KiB", kib / 1024),
        mib => format!("{} MiB", mib / (1024 * 1024)),
    };
    Refusal::PayloadTooLarge(format!("the body is over {most}; send it in parts").into())
}

fn refuse<T>(problem: &'static str) -> Result<T, Refusal> {
    Err(Refusal::BadRequest(Cow::Borrowed(problem)))
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use hyper::body::Bytes;

    use super::*;

    type Piece = Result<Bytes, &'static str>;

    const ROOM_KIB: usize = 64 * 1024;
    const LARGEST: usize = 16 * 1024 * 1024;
    const PATIENCE: Duration = Duration::from_secs(10);

    async fn read(bodies: &Bodies, pieces: Vec<Piece>, most: usize) -> Result<Body, Refusal> {
        let headers = HeaderMap::new();
        bodies.read(&headers, stream::iter(pieces), most).await
    }

    fn pieces(count: usize, bytes: usize) -> Vec<Piece> {
        vec![Ok(vec![b'x'; bytes].into()); count]
    }

    #[tokio::test]
    async fn a_body_is_taken_up_to_its_bound_and_not_a_byte_more() {
        let bodies = Bodies::new(ROOM_KIB, PATIENCE);
        for (count, bytes, is_taken) in [
            (0, 0, true),
            (1, 4096, true),
            (4096, 1, true),
            (1, 4097, false),
            (4097, 1, false),
        ] {
            let body = read(&bodies, pieces(count, bytes), 4096).await;
            match body {
                Ok(body) => assert!(is_taken && body.bytes == vec![b'x'; count * bytes]),
                Err(why) => assert!(!is_taken && why == too_long(4096)),
            }
        }
    }

    #[tokio::test]
    async fn all_bodies_together_have_so_much_room() {
        let bodies = Bodies::new(ROOM_KIB, PATIENCE);
        let whole = || read(&bodies, pieces(1, LARGEST), LARGEST);
        let mut held = Vec::new();
        for _ in 0..ROOM_KIB * 1024 / LARGEST {
            held.push(whole().await.unwrap());
        }
        assert_eq!(whole().await.unwrap_err(), Refusal::NoRoom);
        assert_eq!(
            read(&bodies, pieces(1, 1), 1).await.unwrap_err(),
            Refusal::NoRoom
        );
        held.pop();
        drop(whole().await.unwrap());
        // What it was given in small pieces it gives back as well.
        held.clear();
        drop(read(&bodies, pieces(100_000, 100), LARGEST).await.unwrap());
        assert_eq!(bodies.room.available_permits(), ROOM_KIB);
    }

    /// What becomes of so many pieces of so many bytes, with such a pause before each.
    async fn dripping(bodies: &Bodies, count: usize, bytes: usize, pause: Duration) -> bool {
        let headers = HeaderMap::new();
        let pieces = stream::iter(pieces(count, bytes)).then(move |piece| async move {
            tokio::time::sleep(pause).await;
            piece
        });
        match bodies.read(&headers, pieces, LARGEST).await {
            Ok(body) => {
                assert_eq!(body.bytes.len(), count * bytes);
                true
            }
            Err(refusal) => {
                assert_eq!(refusal, Refusal::TooSlow);
                false
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_take_long_but_has_to_get_on() {
        const KIB: usize = 1024;
        let bodies = Bodies::new(ROOM_KIB, PATIENCE);
        for (count, bytes, seconds, is_taken) in [
            // A small one has as much time as anybody.
            (9, 1, 1, true),
            (11, 1, 1, false),
            (1, 100, 9, true),
            (1, 100, 11, false),
            // A large one as much as its rate allows.
            (250, 64 * KIB, 1, true),
            (50, 320 * KIB, 5, true),
            (250, 60 * KIB, 1, false),
            (16, 960 * KIB, 11, false),
        ] {
            let pause = Duration::from_secs(seconds);
            let taken = dripping(&bodies, count, bytes, pause).await;
            assert_eq!(taken, is_taken, "{count} times {bytes} in {seconds} s each");
        }
        assert_eq!(bodies.room.available_permits(), ROOM_KIB);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_was_fast_and_then_stalls_is_let_go_as_soon_as_anybody() {
        let bodies = Bodies::new(ROOM_KIB, PATIENCE);
        let headers = HeaderMap::new();
        let begun = Instant::now();
        let rest = stream::iter(pieces(100, 1)).then(async |piece| {
            tokio::time::sleep(Duration::from_secs(4)).await;
            piece
        });
        let whole = stream::iter(pieces(1, LARGEST - 100)).chain(rest);
        let refused = bodies.read(&headers, whole, LARGEST).await.unwrap_err();
        assert_eq!(refused, Refusal::TooSlow);
        let took = begun.elapsed();
        assert!(took < PATIENCE + Duration::from_millis(10), "{took:?}");
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_or_is_compressed_is_refused() {
        let bodies = Bodies::new(ROOM_KIB, PATIENCE);
        let broken = vec![Ok(Bytes::from("buy A 1")), Err("gone")];
        let refused = read(&bodies, broken, 100).await.unwrap_err();
        assert!(matches!(refused, Refusal::BadRequest(_)), "{refused:?}");
        for (coding, is_taken) in [("identity", true), ("gzip", false), ("Identity, br", false)] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_ENCODING, coding.parse().unwrap());
            let body = bodies.read(&headers, stream::iter(pieces(1, 1)), 1).await;
            assert_eq!(body.is_ok(), is_taken, "{coding}");
        }
    }
}
