//! Taking a connection out of hyper's hands in the middle of a request, to answer it ourselves.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use warp::http::Response;

/// Whether a connection is taken over, and whether that can be done by now: what hyper said before
/// must have gone to the socket, for it would be lost with hyper's buffer.
#[derive(Debug, Default)]
pub(super) struct Takeover {
    /// How the answer begins that hyper is not to give.
    head: RefCell<Option<Vec<u8>>>,
    flushed: Cell<bool>,
    /// Bytes that were written since somebody asked.
    written: Cell<usize>,
}

impl Takeover {
    /// Takes over with this answer, but for its body. Whoever calls this while hyper waits for an
    /// answer never gives it one.
    pub(super) fn begin<B>(&self, answer: &Response<B>) {
        self.flushed.set(false);
        self.head.replace(Some(head(answer)));
    }

    /// Whether it has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.head.borrow().is_some()
    }

    /// Whether hyper can be left now. It asks for no answer before it has the last one in its buffer,
    /// and gets none to this request: what was flushed since the beginning was everything.
    pub(super) fn is_ready(&self) -> bool {
        self.has_begun() && self.flushed.get()
    }

    /// How the answer begins.
    pub(super) fn into_head(self) -> Vec<u8> {
        self.head.into_inner().unwrap_or_default()
    }

    /// How many bytes hyper has got rid of since this was asked last.
    pub(super) fn newly_written(&self) -> usize {
        self.written.take()
    }

    /// A stream that tells what was written, and when it was flushed.
    pub(super) fn watch<IO>(&self, io: IO) -> Watched<'_, IO> {
        Watched {
            io,
            flushed: &self.flushed,
            written: &self.written,
        }
    }
}

/// Status line and headers as they go on the wire.
fn head<B>(answer: &Response<B>) -> Vec<u8> {
    let mut head = Vec::new();
    write!(head, "HTTP/1.1 {}\r\n", answer.status()).expect(MEMORY);
    for (name, value) in answer.headers() {
        write!(head, "{name}: ").expect(MEMORY);
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

const MEMORY: &str = "writing to memory does not fail";

/// What hyper speaks over.
pub(super) struct Watched<'a, IO> {
    io: IO,
    flushed: &'a Cell<bool>,
    written: &'a Cell<usize>,
}

impl<IO> Watched<'_, IO> {
    /// The stream itself.
    pub(super) fn into_inner(self) -> IO {
        self.io
    }

    fn count(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = written {
            self.written.set(self.written.get() + bytes);
        }
        written
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Watched<'_, IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Watched<'_, IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.count(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, parts);
        self.count(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.flushed.set(true);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::future::poll_immediate;
    use tokio::io::{AsyncWriteExt as _, BufWriter, duplex};

    use super::*;

    #[tokio::test]
    async fn hyper_is_left_when_what_it_wrote_has_gone_since_the_takeover_began() {
        let takeover = Takeover::default();
        let (ours, _theirs) = duplex(16);
        let mut stream = takeover.watch(BufWriter::new(ours));
        stream.flush().await.unwrap();
        assert!(!takeover.is_ready(), "nobody has taken over");
        // Into the buffer.
        stream.write_all(b"what was asked before").await.unwrap();
        takeover.begin(&Response::new(()));
        assert!(!takeover.is_ready(), "that was before");
        // More than fits.
        assert!(poll_immediate(stream.flush()).await.is_none());
        assert!(!takeover.is_ready());
    }

    #[test]
    fn an_answer_begins_as_its_route_says() {
        let answer = Response::builder().header("signalcast-last-seq", 7);
        let head = head(&answer.header("note", "é").body(()).unwrap());
        assert_eq!(
            String::from_utf8(head).unwrap(),
            "HTTP/1.1 200 OK\r\nsignalcast-last-seq: 7\r\nnote: é\r\n\r\n"
        );
    }
}
