//! HTTP on one connection: its requests are answered until one becomes a WebSocket or an event
//! stream, or it ends.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use futures::future::{pending, poll_fn};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConnection;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::server::TlsStream;
use tower_http::cors::CorsLayer;
use tower_layer::Layer as _;
use tracing::debug;
use warp::http::{Method, Request, Response, Version};

use super::call::{Route, Visit};
use super::newcomer::{Admitted, Newcomer};
use super::pace::put_off;
use super::past::{Interest, Log};
use super::pending::{Opening, Stage};
use super::proxy::Proxies;
use super::refusal::Refusal;
use super::routes::PAST_SIGNALS;
use super::takeover::Takeover;
use super::upgrade::HttpVersion;
use crate::metrics::{Doors, HandshakeFailure};
use crate::shard::Shard;

/// Whoever comes with requests on one connection.
pub(super) struct Visitor<'a> {
    pub(super) routes: &'a Route,
    pub(super) cors: Option<&'a CorsLayer>,
    pub(super) shard: &'a Shard,
    pub(super) log: &'a Log,
    pub(super) proxies: &'a Proxies,
    pub(super) peer: SocketAddr,
    pub(super) opening: &'a Opening,
    pub(super) metrics: &'a Doors,
}

/// A connection that has become a WebSocket, or an event stream.
pub(super) struct Upgraded {
    pub(super) socket: TcpStream,
    pub(super) tls: Option<ServerConnection>,
    /// What the client sent right behind its request.
    pub(super) early: Bytes,
    /// What it is to be sent before anything else.
    pub(super) head: Vec<u8>,
    pub(super) newcomer: Newcomer,
}

/// What HTTP is spoken over.
pub(super) trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// The socket, and what encrypts on it.
    fn into_parts(self) -> (TcpStream, Option<ServerConnection>);
}

impl Transport for TcpStream {
    fn into_parts(self) -> (TcpStream, Option<ServerConnection>) {
        (self, None)
    }
}

impl Transport for TlsStream<TcpStream> {
    fn into_parts(self) -> (TcpStream, Option<ServerConnection>) {
        let (socket, tls) = self.into_inner();
        (socket, Some(tls))
    }
}

impl Visitor<'_> {
    /// Answers requests until one becomes a WebSocket or an event stream, or the connection ends.
    pub(super) async fn answer(&self, io: impl Transport, deadline: Instant) -> Option<Upgraded> {
        let admitted = Admitted::default();
        let routes = TowerToHyperService::new(warp::service(self.routes.clone()));
        // Besides, what browsers are told of other sites' pages.
        let shared = |cors: &CorsLayer| cors.layer(warp::service(self.routes.clone()));
        let shared = self.cors.map(shared).map(TowerToHyperService::new);
        let (routes, shared) = (&routes, &shared);
        let takeover = Takeover::default();
        let answer = |mut request: Request<Incoming>| {
            let (admitted, takeover) = (admitted.clone(), &takeover);
            async move {
                self.opening.waits(Stage::Begun);
                let visit = self.visit(&request, admitted.clone()).await;
                request.extensions_mut().insert(visit);
                let answer = match shared {
                    Some(shared) => shared.call(request).await,
                    None => routes.call(request).await,
                };
                self.opening.was_answered();
                if let Ok(answer) = &answer
                    && admitted.wants_events()
                {
                    takeover.begin(answer);
                    pending().await
                }
                answer
            }
        };
        let (io, early, talk) = speak_http(io, answer, &takeover, deadline).await;
        if talk == Talk::Broken {
            self.metrics.handshake_failed(HandshakeFailure::Http);
        }
        let cut_short = takeover.has_begun() && talk != Talk::TakenOver;
        let Some(newcomer) = admitted.take().filter(|_| !cut_short) else {
            hang_up(io).await;
            return None;
        };
        let (socket, tls) = io.into_parts();
        Some(Upgraded {
            socket,
            tls,
            early,
            head: takeover.into_head(),
            newcomer,
        })
    }

    async fn visit(&self, request: &Request<Incoming>, admitted: Admitted) -> Visit {
        let uri = request.uri();
        let target = uri
            .path_and_query()
            .map_or(0, |target| target.as_str().len());
        let is_fetch = uri.path().trim_end_matches('/') == PAST_SIGNALS;
        let interest = if request.method() == Method::GET && (uri.query().is_some() || is_fetch) {
            Interest::InThePast
        } else {
            Interest::InTheFuture
        };
        Visit {
            address: self.proxies.client(self.peer.ip(), request.headers()),
            http: match request.version() {
                Version::HTTP_11 => HttpVersion::Http11,
                _ => HttpVersion::Older,
            },
            request_line: request.method().as_str().len() + target + "  HTTP/1.1\r\n".len(),
            past: self.log.now(self.shard, interest).await,
            opening: self.opening.handle(),
            answering: self.shard.sessions().clone(),
            admitted,
        }
    }
}

/// Tells somebody who speaks plain HTTP to a TLS port what to do.
pub(super) async fn turn_away(socket: TcpStream, deadline: Instant) {
    let refuse =
        service_fn(async |_: Request<Incoming>| Ok::<_, Infallible>(Refusal::NotTls.response()));
    let answer = |request| refuse.call(request);
    let (socket, _, _) = speak_http(socket, answer, &Takeover::default(), deadline).await;
    hang_up(socket).await;
}

/// How a conversation over HTTP went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Talk {
    /// To its end, or to an upgrade.
    Done,
    /// To an answer that hyper does not give.
    TakenOver,
    /// What came was no request, came too slowly, or our answer was not taken.
    Broken,
}

/// Answers the requests of one connection until it ends, is upgraded or taken over, or the peer does
/// not take the answers; gives back the stream and what was read beyond the last request.
async fn speak_http<IO, A, F, B>(
    io: IO,
    answer: A,
    takeover: &Takeover,
    deadline: Instant,
) -> (IO, Bytes, Talk)
where
    IO: AsyncRead + AsyncWrite + Unpin,
    A: Fn(Request<Incoming>) -> F + Unpin,
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: hyper::body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let left = deadline.saturating_duration_since(Instant::now());
    // The time to take an answer that is small, and as much for the next request.
    let patience = 2 * left;
    // Until when the peer is waited for; `None` while a request is being answered: whoever does that
    // has deadlines of its own.
    let until = Cell::new(Some(Instant::now() + patience));
    let answer = |request| {
        let (answer, until) = (answer(request), &until);
        // hyper asks for an answer as soon as it has read the request, but goes on with it only when
        // most of the last answer was taken.
        Box::pin(async move {
            until.set(None);
            let answer = answer.await;
            until.set(Some(Instant::now() + patience));
            answer
        })
    };
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(left)
        // Whoever ends his side behind his request waits for the answer.
        .half_close(true)
        .max_buf_size(MOST_HTTP_BYTES)
        .max_headers(MOST_HTTP_HEADERS)
        .serve_connection(TokioIo::new(takeover.watch(io)), service_fn(answer));
    let outcome = loop {
        let look = until.get().unwrap_or_else(|| Instant::now() + patience);
        let serving = poll_fn(|cx| {
            let served = connection.poll_without_shutdown(cx);
            if takeover.has_begun() && until.get().is_none() {
                // What was answered before is still to be taken.
                until.set(Some(Instant::now() + patience));
            }
            let taken = takeover.newly_written();
            until.set(until.get().map(|until| put_off(until, taken, patience)));
            match served {
                Poll::Pending if takeover.is_ready() => Poll::Ready(Ok(Talk::TakenOver)),
                served => served.map_ok(|()| Talk::Done),
            }
        });
        match timeout_at(look, serving).await {
            Ok(outcome) => break Some(outcome),
            // It was put off, or it is our turn.
            Err(_) if until.get().is_none_or(|until| until > look) => {}
            Err(_) => break None,
        }
    };
    let parts = connection.into_parts();
    let mut io = parts.io.into_inner().into_inner();
    let talk = match outcome {
        Some(Ok(talk)) => talk,
        Some(Err(error)) => {
            debug!(%error, "request not understood");
            if error.is_parse_version_h2() {
                // hyper answers everything else that it does not understand. Whoever is gone
                // already needs no answer.
                io.write_all(NOT_HTTP_1).await.ok();
            }
            Talk::Broken
        }
        None => {
            debug!("the peer does not take the answer");
            Talk::Broken
        }
    };
    (io, parts.read_buf, talk)
}

/// Ends a connection so that the peer gets what was written last.
async fn hang_up(mut io: impl AsyncRead + AsyncWrite + Unpin) {
    let farewell = async {
        io.shutdown().await?;
        let mut rest = [0; 1024];
        while io.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    // Whether the peer hangs up, breaks off or dawdles, the connection ends here.
    timeout(LINGER, farewell).await.ok();
}

/// How long we wait for the peer to see our last answer before the socket is closed: closed with
/// unread bytes in it, it would be reset, and the answer lost on its way.
const LINGER: Duration = Duration::from_secs(1);

/// Request line and headers that hyper will hold. Ours is the lower limit with the better answer.
const MOST_HTTP_BYTES: usize = 32 * 1024;
const MOST_HTTP_HEADERS: usize = 100;

/// The answer to HTTP/2, as hyper gives it to other versions.
const NOT_HTTP_1: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

#[cfg(test)]
mod tests {
    use futures::future::join;
    use tokio::io::duplex;
    use tokio::time::sleep;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// Bytes of an answer that no buffer holds.
    const LARGE: usize = 4 * 1024 * 1024;

    const ANSWER: &str = "what was asked for first";

    #[tokio::test(start_paused = true)]
    async fn what_was_asked_before_is_answered_before_a_connection_is_taken_over() {
        let takeover = Takeover::default();
        let answer = |request: Request<Incoming>| {
            let takeover = &takeover;
            async move {
                let answer = Response::new(ANSWER.to_owned());
                if request.uri() == "/stream" {
                    takeover.begin(&answer);
                    pending().await
                }
                Ok::<_, Infallible>(answer)
            }
        };
        // It holds neither what is asked nor what is answered.
        let (ours, mut theirs) = duplex(16);
        let peer = async {
            let requests = "GET / HTTP/1.1\r\n\r\nGET /stream HTTP/1.1\r\n\r\n";
            theirs.write_all(requests.as_bytes()).await.unwrap();
            let mut told = String::new();
            while !told.ends_with(ANSWER) {
                told.push(char::from(theirs.read_u8().await.unwrap()));
            }
        };
        let deadline = Instant::now() + PATIENCE;
        let speak = speak_http(ours, answer, &takeover, deadline);
        let ((_, _, talk), ()) = join(speak, peer).await;
        assert_eq!(talk, Talk::TakenOver);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_no_answer_is_let_go_also_when_he_has_asked_for_more() {
        let asked = "GET / HTTP/1.1\r\n\r\n";
        let awaited = "GET / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello";
        for requests in [asked, &asked.repeat(2), &(awaited.to_owned() + asked)] {
            let takeover = Takeover::default();
            let answer = |request| async {
                // Its body is not looked at.
                drop(request);
                Ok::<_, Infallible>(Response::new("x".repeat(LARGE)))
            };
            let (ours, mut theirs) = duplex(1024);
            theirs.write_all(requests.as_bytes()).await.unwrap();
            let begun = Instant::now();
            let speak = speak_http(ours, answer, &takeover, begun + PATIENCE);
            let spoken = timeout(10 * PATIENCE, speak).await;
            let (_, _, talk) = spoken.expect("he is let go");
            assert_eq!(talk, Talk::Broken, "{requests}");
            assert!(begun.elapsed() <= 3 * PATIENCE, "{requests}");
        }
    }

    /// What becomes of a large answer of which so many bytes are taken each second, for so long, and
    /// when.
    async fn taking(bytes: usize, seconds: usize) -> (Talk, u64) {
        let takeover = Takeover::default();
        let answer = async |_| Ok::<_, Infallible>(Response::new("x".repeat(LARGE)));
        let (ours, mut theirs) = duplex(1024);
        let peer = async {
            theirs.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            let mut taken = vec![0; bytes];
            for _ in 0..seconds {
                sleep(Duration::from_secs(1)).await;
                if theirs.read_exact(&mut taken).await.is_err() {
                    break;
                }
            }
            if bytes * seconds >= LARGE {
                theirs.shutdown().await.unwrap();
            }
            pending().await
        };
        let begun = Instant::now();
        let speak = speak_http(ours, answer, &takeover, begun + PATIENCE);
        let talk = tokio::select! {
            (_, _, talk) = speak => talk,
            () = peer => unreachable!("he waits"),
        };
        (talk, begun.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_may_take_long_but_has_to_get_on() {
        const KIB: usize = 1024;
        for (bytes, seconds, talk, after) in [
            (0, 0, Talk::Broken, 20),
            (32 * KIB, 100, Talk::Broken, 39),
            (64 * KIB, 64, Talk::Done, 64),
            (128 * KIB, 32, Talk::Done, 32),
            // Fast at first, and then no more.
            (1024 * KIB, 3, Talk::Broken, 23),
        ] {
            let became = taking(bytes, seconds).await;
            assert_eq!(became, (talk, after), "{bytes} in each of {seconds} s");
        }
    }
}
