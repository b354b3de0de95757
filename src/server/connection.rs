//! One connection from accept to its end: TLS, HTTP, and when it asks for it, the session.
//!
//! It is [`Accepted`] first, then [`Upgraded`] (to an event stream, too), then [`Entered`] with a
//! [`Subscriber`] who was let in, then a [`Subscription`]; each is made of the one before.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Abortable, Either};
use hyper::body::Bytes;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tower_http::cors::CorsLayer;
use tracing::{Instrument, Span, debug, info, info_span};

use super::accept::{Accepted, Errand};
use super::call::Route;
use super::first_message::introduce;
use super::gate::Gate;
use super::http::{Upgraded, Visitor, turn_away};
use super::newcomer::{Newcomer, Place, Subscriber};
use super::past::Log;
use super::pending::{Opening, Stage};
use super::proxy::Proxies;
use crate::hub::Framing;
use crate::metrics::{Doors, HandshakeFailure};
use crate::session::{Ended, Session, Settings, Stranger, Who};
use crate::shard::{Client, Outlet, Shard};

/// How the connections of one shard are served.
pub(super) struct Host {
    pub(super) gate: Arc<Gate>,
    /// Answers requests.
    pub(super) routes: Route,
    /// What browsers are told of pages of other sites, if anything.
    pub(super) cors: Option<CorsLayer>,
    pub(super) log: Log,
    /// `None`: plaintext.
    pub(super) tls: Option<Arc<rustls::ServerConfig>>,
    /// Longest time from accept to the end of the first request's headers.
    pub(super) handshake_timeout: Duration,
    /// TLS handshakes at once. A connection counts from when its ClientHello is complete, so that
    /// silent sockets shut nobody out, for a [turn](TURN).
    pub(super) handshakes: Rc<Semaphore>,
    pub(super) proxies: Proxies,
    pub(super) sessions: Rc<Settings>,
}

/// A handshake that has not ended after this gives its turn to the next and goes on without: what
/// is left of it is waiting for the peer. With 64 turns that is 6,400 handshakes a second, about
/// what a core computes, so peers that begin handshakes and stall shut nobody out.
const TURN: Duration = Duration::from_millis(10);

/// First byte of a TLS handshake record (RFC 8446 section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// Does what a shard is to do.
pub(super) fn attend(host: Rc<Host>, shard: Rc<Shard>, errand: Errand) -> impl Future<Output = ()> {
    match errand {
        Errand::Serve(accepted) => Either::Left(serve(host, shard, accepted)),
        Errand::Answer(question) => Either::Right(async move { question.answer(&shard).await }),
    }
}

/// Serves one connection to its end.
async fn serve(host: Rc<Host>, shard: Rc<Shard>, accepted: Accepted) {
    let peer = accepted.peer;
    // Boxed, so that what the handshakes needed is given back before the session begins.
    let Some(entered) = Box::pin(open(&host, &shard, accepted)).await else {
        return;
    };
    let mut subscription = entered.begin(&host, &shard, peer);
    let span = subscription.span.clone();
    let running = subscription.run().instrument(span);
    let ended = shard.sessions().track_future(running).await;
    subscription.report(ended, &host.gate.metrics);
}

/// A session, and what is told of it.
struct Subscription {
    session: Box<Session>,
    span: Span,
    /// Let go of last: then the connection is gone.
    place: Place,
}

/// A connection to somebody who was let in.
struct Entered {
    subscriber: Subscriber,
    line: Line,
}

/// What is left of the way in.
enum Line {
    Upgraded {
        socket: TcpStream,
        outlet: Outlet,
        /// What the client sent right behind its request.
        early: Bytes,
    },
    /// It said who it is only then.
    Introduced(Box<Stranger>),
}

impl Entered {
    /// Makes the session. A function of its own, so that what goes into it takes no room in the
    /// task that runs it.
    fn begin(self, host: &Host, shard: &Rc<Shard>, peer: SocketAddr) -> Subscription {
        let Subscriber {
            principal,
            place,
            address,
            view,
            cursor,
            log,
        } = self.subscriber;
        let span = if address == peer.ip().to_canonical() {
            info_span!("session", %peer, subject = principal.subject())
        } else {
            info_span!("session", peer = %address, proxy = %peer, subject = principal.subject())
        };
        span.in_scope(|| info!(after = cursor.get() - 1, "subscribed"));
        let settings = Rc::clone(&host.sessions);
        let shard = Rc::clone(shard);
        let who = Who { principal, address };
        let session = match self.line {
            Line::Upgraded {
                socket,
                outlet,
                early,
            } => {
                if view.framing == Framing::Events {
                    // It answers no ping: that its machine acknowledges what it is sent is its one
                    // sign of life. A system that can't watch that goes on until it gives up by
                    // itself.
                    let silence = Some(settings.silence);
                    SockRef::from(&socket).set_tcp_user_timeout(silence).ok();
                }
                let client = Client::new(socket, outlet, cursor);
                Session::new(shard, client, who, &view, log, settings, &early)
            }
            Line::Introduced(stranger) => stranger.admit(shard, cursor, who, &view, log, settings),
        };
        Subscription {
            session: Box::new(session),
            span,
            place,
        }
    }
}

impl Subscription {
    /// Serves the client to its end, or until the reader of its event stream has come again.
    async fn run(&mut self) -> Ended {
        match &self.place {
            Place::Own(_) => self.session.run().await,
            // Boxed, so that other clients' tasks have no room for it.
            Place::OfStream(ticket) => Box::pin(self.session.run_until(ticket.replaced())).await,
        }
    }

    fn report(&self, ended: Ended, metrics: &Doors) {
        let sent_bytes = self.session.sent_bytes();
        match ended {
            Ended::ByServer(close) => metrics.closed_by_server(close.code()),
            Ended::ByPeer(code) => metrics.closed_by_client(code),
            Ended::Broken(_) => metrics.lost(),
        }
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

/// From the accepted socket to a WebSocket or an event stream; `None` when the connection was for
/// something else, or ended.
async fn open(host: &Host, shard: &Rc<Shard>, accepted: Accepted) -> Option<Entered> {
    let Accepted {
        socket,
        peer,
        opening,
        told_to_end,
    } = accepted;
    let enter = enter(host, shard, socket, peer, &opening);
    match Abortable::new(enter, told_to_end).await {
        Ok(Ok(entered)) => return entered,
        Ok(Err(error)) => {
            host.gate.metrics.handshake_failed(failure(&error));
            debug!(%peer, %error, "connection ended before its upgrade");
        }
        Err(_) => {
            host.gate
                .metrics
                .handshake_failed(HandshakeFailure::Dropped);
            debug!(%peer, "connection dropped to make room for others");
        }
    }
    None
}

fn failure(error: &io::Error) -> HandshakeFailure {
    match error.kind() {
        io::ErrorKind::TimedOut => HandshakeFailure::Timeout,
        // What rustls says of bytes that it does not like.
        io::ErrorKind::InvalidData => HandshakeFailure::Tls,
        _ => HandshakeFailure::Closed,
    }
}

async fn enter(
    host: &Host,
    shard: &Rc<Shard>,
    socket: std::net::TcpStream,
    peer: SocketAddr,
    opening: &Opening,
) -> io::Result<Option<Entered>> {
    let Some(upgraded) = upgrade(host, shard, socket, peer, opening).await? else {
        return Ok(None);
    };
    let Upgraded {
        socket,
        tls,
        early,
        head,
        newcomer,
    } = upgraded;
    let mut outlet = Outlet::new(tls);
    outlet.control().extend_from_slice(&head);
    Ok(match newcomer {
        Newcomer::Known(subscriber) => Some(Entered {
            subscriber,
            line: Line::Upgraded {
                socket,
                outlet,
                early,
            },
        }),
        Newcomer::Stranger(wish) => {
            let stranger = Stranger::new(socket, outlet, &early);
            let introduced = introduce(host, shard, stranger, &wish, opening).await;
            introduced.map(|(stranger, subscriber)| Entered {
                subscriber,
                line: Line::Introduced(Box::new(stranger)),
            })
        }
    })
}

async fn upgrade(
    host: &Host,
    shard: &Rc<Shard>,
    socket: std::net::TcpStream,
    peer: SocketAddr,
    opening: &Opening,
) -> io::Result<Option<Upgraded>> {
    let deadline = Instant::now() + host.handshake_timeout;
    let mut first_byte = [0];
    // What has been sent while we were busy is here already.
    let sent = socket.peek(&mut first_byte);
    let socket = TcpStream::from_std(socket)?;
    let came = match sent {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            opening.waits(Stage::Silent);
            timeout_at(deadline, socket.peek(&mut first_byte)).await??
        }
        sent => sent?,
    };
    if came == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    opening.waits(Stage::Silent);
    let visitor = Visitor {
        routes: &host.routes,
        cors: host.cors.as_ref(),
        shard,
        log: &host.log,
        proxies: &host.proxies,
        peer,
        opening,
        metrics: &host.gate.metrics,
    };
    let Some(config) = &host.tls else {
        return Ok(visitor.answer(socket, deadline).await);
    };
    if first_byte != [TLS_HANDSHAKE] {
        host.gate.metrics.handshake_failed(HandshakeFailure::NotTls);
        turn_away(socket, deadline).await;
        return Ok(None);
    }
    let stream = timeout_at(deadline, secure(host, shard, socket, config, opening)).await??;
    Ok(visitor.answer(stream, deadline).await)
}

async fn secure(
    host: &Host,
    shard: &Shard,
    socket: TcpStream,
    config: &Arc<rustls::ServerConfig>,
    opening: &Opening,
) -> io::Result<TlsStream<TcpStream>> {
    let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), socket).await?;
    opening.waits(Stage::Ours);
    let turn = host.handshakes.acquire().await.map_err(io::Error::other)?;
    shard.give_way().await;
    opening.waits(Stage::Begun);
    let mut stream = pin!(hello.into_stream(Arc::clone(config)));
    if let Ok(outcome) = timeout(TURN, &mut stream).await {
        return outcome;
    }
    drop(turn);
    stream.await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn future_size<A, B, C, F: Future>(_: fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn what_a_client_costs_does_not_grow_unnoticed() {
        assert!(future_size(attend) <= 1024, "{}", future_size(attend));
        assert!(size_of::<Session>() <= 768, "{}", size_of::<Session>());
    }
}
