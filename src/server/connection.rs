//! One connection from accept to its end: TLS, HTTP, and when it asks for it, the session.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::poll_fn;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConnection;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{Instrument, Span, debug, info, info_span};
use warp::filters::BoxedFilter;
use warp::http::{Request, Response, Version};

use super::clients::Entrance;
use super::gate::Admitted;
use super::refusal::Refusal;
use super::routes::Visit;
use super::upgrade::HttpVersion;
use crate::session::{Ended, Session, Settings};
use crate::shard::{Accepted, Client, Outlet, Shard};
use crate::signal::Seq;

/// How the connections of one shard are served.
#[derive(Clone)]
pub(super) struct Host {
    /// Answers requests.
    pub(super) routes: BoxedFilter<(Response<String>,)>,
    /// `None`: plaintext.
    pub(super) tls: Option<Arc<rustls::ServerConfig>>,
    /// Longest time from accept to the end of the first request's headers.
    pub(super) handshake_timeout: Duration,
    /// TLS handshakes at once. A connection counts from when its ClientHello is complete, so that
    /// silent sockets shut nobody out, for a [turn](TURNS).
    pub(super) handshakes: Rc<Semaphore>,
    pub(super) sessions: Rc<Settings>,
}

/// A connection that has become a WebSocket.
struct Upgraded {
    socket: TcpStream,
    tls: Option<ServerConnection>,
    /// What the client sent right behind its request.
    early: Bytes,
    admitted: Admitted,
    /// The first signal it is sent.
    next: Seq,
}

/// How long we wait for the peer to see our last answer before the socket is closed: closed with
/// unread bytes in it, it would be reset, and the answer lost on its way.
const LINGER: Duration = Duration::from_secs(1);

/// Request line and headers that hyper will hold. Ours is the lower limit with the better answer.
const MOST_HTTP_BYTES: usize = 32 * 1024;
const MOST_HTTP_HEADERS: usize = 100;

/// A handshake that has not ended after this part of the time for it gives its turn to the next
/// and goes on without: else peers that begin handshakes and stall would shut all others out.
const TURNS: u32 = 10;

/// The answer to HTTP/2, as hyper gives it to other versions.
const NOT_HTTP_1: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// First byte of a TLS handshake record (RFC 8446 section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// Serves one connection to its end.
pub(super) async fn serve(host: Host, shard: Rc<Shard>, accepted: Accepted) {
    let peer = accepted.peer;
    // Boxed, so that what the handshakes needed is given back before the session begins.
    let mut visit = match Box::pin(open(&host, &shard, accepted)).await {
        Ok(Some(upgraded)) => upgraded.begin(&host, &shard, peer),
        Ok(None) => return,
        Err(error) => return debug!(%peer, %error, "connection ended before its upgrade"),
    };
    let running = visit.session.run().instrument(visit.span.clone());
    let ended = shard.sessions().track_future(running).await;
    visit.report(ended);
}

/// A session, and what is told of it.
struct Subscription {
    session: Box<Session>,
    span: Span,
    _entrance: Entrance,
}

impl Upgraded {
    /// Makes the session. A function of its own, so that what goes into it takes no room in the
    /// task that runs it.
    fn begin(self, host: &Host, shard: &Rc<Shard>, peer: SocketAddr) -> Subscription {
        let Admitted {
            principal,
            entrance,
        } = self.admitted;
        let span = info_span!("session", %peer, subject = principal.subject());
        span.in_scope(|| info!(after = self.next.get() - 1, "subscribed"));
        let client = Client::new(self.socket, Outlet::new(self.tls), self.next);
        let settings = Rc::clone(&host.sessions);
        let session = Session::new(Rc::clone(shard), client, principal, settings, &self.early);
        Subscription {
            session: Box::new(session),
            span,
            _entrance: entrance,
        }
    }
}

impl Subscription {
    fn report(&self, ended: Ended) {
        let sent_bytes = self.session.sent_bytes();
        self.span.in_scope(|| match ended {
            Ended::ByServer(close) => {
                info!(
                    code = close.code(),
                    why = close.reason(),
                    sent_bytes,
                    "closed"
                );
            }
            Ended::ByPeer(code) => info!(code, sent_bytes, "closed by the client"),
            Ended::Broken(error) => info!(%error, sent_bytes, "connection lost"),
        });
    }
}

/// From the accepted socket to a WebSocket; `None` when the connection was for something else.
async fn open(host: &Host, shard: &Rc<Shard>, accepted: Accepted) -> io::Result<Option<Upgraded>> {
    let deadline = Instant::now() + host.handshake_timeout;
    let socket = TcpStream::from_std(accepted.socket)?;
    let visitors = Visitors {
        host,
        shard,
        peer: accepted.peer,
    };
    let Some(config) = &host.tls else {
        let Some((socket, early, admitted, next)) = visitors.answer(socket, deadline).await else {
            return Ok(None);
        };
        return Ok(Some(Upgraded {
            socket,
            tls: None,
            early,
            admitted,
            next,
        }));
    };
    if timeout_at(deadline, first_byte(&socket)).await?? != TLS_HANDSHAKE {
        turn_away(socket, deadline).await;
        return Ok(None);
    }
    let stream = timeout_at(deadline, secure(host, shard, socket, config)).await??;
    let Some((stream, early, admitted, next)) = visitors.answer(stream, deadline).await else {
        return Ok(None);
    };
    let (socket, tls) = stream.into_inner();
    Ok(Some(Upgraded {
        socket,
        tls: Some(tls),
        early,
        admitted,
        next,
    }))
}

async fn first_byte(socket: &TcpStream) -> io::Result<u8> {
    let mut byte = [0];
    match socket.peek(&mut byte).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(byte[0]),
    }
}

async fn secure(
    host: &Host,
    shard: &Shard,
    socket: TcpStream,
    config: &Arc<rustls::ServerConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), socket).await?;
    let turn = host.handshakes.acquire().await.map_err(io::Error::other)?;
    shard.give_way().await;
    let mut stream = pin!(hello.into_stream(Arc::clone(config)));
    if let Ok(outcome) = timeout(host.handshake_timeout / TURNS, &mut stream).await {
        return outcome;
    }
    drop(turn);
    stream.await
}

/// Tells somebody who speaks plain HTTP to a TLS port what to do.
async fn turn_away(socket: TcpStream, deadline: Instant) {
    let refuse =
        service_fn(async |_: Request<Incoming>| Ok::<_, Infallible>(Refusal::NotTls.response()));
    let (socket, _) = speak_http(socket, |request| Box::pin(refuse.call(request)), deadline).await;
    hang_up(socket).await;
}

/// Those who come with requests.
struct Visitors<'a> {
    host: &'a Host,
    shard: &'a Rc<Shard>,
    peer: SocketAddr,
}

impl Visitors<'_> {
    /// Answers requests until one becomes a WebSocket, or the connection ends.
    async fn answer<IO>(&self, io: IO, deadline: Instant) -> Option<(IO, Bytes, Admitted, Seq)>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let admitted = Arc::new(Mutex::new(None));
        let routes = TowerToHyperService::new(warp::service(self.host.routes.clone()));
        let answer = |mut request: Request<Incoming>| {
            let target = request
                .uri()
                .path_and_query()
                .map_or(0, |target| target.as_str().len());
            let visit = Visit {
                address: self.peer.ip(),
                http: match request.version() {
                    Version::HTTP_11 => HttpVersion::Http11,
                    _ => HttpVersion::Older,
                },
                request_line: request.method().as_str().len() + target + "  HTTP/1.1\r\n".len(),
                next: self.shard.next(),
                admitted: Arc::clone(&admitted),
            };
            request.extensions_mut().insert(visit);
            Box::pin(routes.call(request))
        };
        let (io, early) = speak_http(io, answer, deadline).await;
        let admitted = admitted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some((admitted, next)) = admitted else {
            hang_up(io).await;
            return None;
        };
        Some((io, early, admitted, next))
    }
}

/// Answers the requests of one connection until it ends or is upgraded, or the peer does not take
/// the answers; gives back the stream and what was read beyond the last request.
async fn speak_http<IO, A, F, B>(io: IO, answer: A, deadline: Instant) -> (IO, Bytes)
where
    IO: AsyncRead + AsyncWrite + Unpin,
    A: Fn(Request<Incoming>) -> F + Unpin,
    F: Future<Output = Result<Response<B>, Infallible>> + Unpin,
    B: hyper::body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let left = deadline.saturating_duration_since(Instant::now());
    let asked = Cell::new(Instant::now());
    let answer = |request| {
        asked.set(Instant::now());
        answer(request)
    };
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(left)
        .max_buf_size(MOST_HTTP_BYTES)
        .max_headers(MOST_HTTP_HEADERS)
        .serve_connection(TokioIo::new(io), service_fn(answer));
    let outcome = loop {
        // The time to take the last answer, and as much for the next request.
        let patience = asked.get() + 2 * left;
        let serving = poll_fn(|cx| connection.poll_without_shutdown(cx));
        match timeout_at(patience, serving).await {
            Ok(outcome) => break Some(outcome),
            Err(_) if asked.get() + 2 * left > patience => {}
            Err(_) => break None,
        }
    };
    let parts = connection.into_parts();
    let mut io = parts.io.into_inner();
    if outcome.is_none() {
        debug!("the peer does not take the answer");
    }
    if let Some(Err(error)) = outcome {
        debug!(%error, "request not understood");
        if error.is_parse_version_h2() {
            // hyper answers everything else that it does not understand. Whoever is gone already
            // needs no answer.
            io.write_all(NOT_HTTP_1).await.ok();
        }
    }
    (io, parts.read_buf)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn future_size<A, B, C, F: Future>(_: fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn what_a_client_costs_does_not_grow_unnoticed() {
        assert!(future_size(serve) <= 1024, "{}", future_size(serve));
        assert!(size_of::<Session>() <= 768, "{}", size_of::<Session>());
    }
}
