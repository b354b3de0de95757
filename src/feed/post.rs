//! Lines on their way: one request after the other on a connection that is kept.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Uri;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper::http::{Request, Response, header};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::FeedError;
use super::answer::Answer;
use super::options::Options;
use crate::trust::untrusted;

/// Sends lines to a server, and connects when it has to.
pub(super) struct Post<'a> {
    options: &'a Options,
    open: Option<Open>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// Another try would end the same way.
    ForGood(FeedError),
    /// Another try may do better.
    ForNow(String),
    /// The lines were on their way: another try may do better, with less.
    Lost(String),
    /// The same, but on a connection that was kept. It may have ended just then, which says nothing
    /// of the server: another try needs no waiting.
    Ended,
}

/// How a connection broke.
enum Broken {
    /// Before anything was sent, so the server has nothing.
    Unsent(AnyError),
    /// Nobody knows how far it had come.
    Lost(AnyError),
}

/// A connection that is kept.
struct Open {
    sender: SendRequest<Full<Bytes>>,
    driver: Pin<Box<Driver>>,
}

/// What moves the bytes.
type Driver = Connection<TokioIo<Box<dyn Stream>>, Full<Bytes>>;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// DNS, TCP and TLS together.
const CONNECT_WITHIN: Duration = Duration::from_secs(20);

/// A server that can't write its log says so before.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Far more than what is answered to the lines of one request.
const MOST_ANSWER_BYTES: usize = 4 * 1024 * 1024;

impl<'a> Post<'a> {
    pub(super) fn new(options: &'a Options) -> Self {
        Self {
            options,
            open: None,
        }
    }

    /// Sends these lines.
    ///
    /// # Cancel safety
    /// Dropped, nobody knows whether the server has the lines; the next ones go another way.
    pub(super) async fn send(&mut self, lines: &Bytes) -> Result<Answer, NoAnswer> {
        if let Some(open) = self.open.take() {
            // The runtime looks at the sockets now: an end that has come already is noticed.
            yield_now().await;
            match self.over(open, lines).await {
                Err(NoAnswer::Lost(_)) => return Err(NoAnswer::Ended),
                // The server ends a connection on which nothing is asked for a while: the lines have
                // another one before them.
                Err(NoAnswer::ForNow(_)) => {}
                answered => return answered,
            }
        }
        let open = match timeout(CONNECT_WITHIN, Open::to(self.options)).await {
            Ok(opened) => opened?,
            Err(_) => return Err(NoAnswer::ForNow("no connection in time".to_owned())),
        };
        self.over(open, lines).await
    }

    async fn over(&mut self, open: Open, lines: &Bytes) -> Result<Answer, NoAnswer> {
        let asking = open.ask(request(self.options, lines.clone()));
        let (answer, open) = match timeout(ANSWER_WITHIN, asking).await {
            Ok(answered) => answered.map_err(NoAnswer::from)?,
            Err(_) => return Err(NoAnswer::Lost("no answer in time".to_owned())),
        };
        self.open = open;
        Ok(answer)
    }
}

impl From<Broken> for NoAnswer {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Unsent(why) => Self::ForNow(lost(&*why)),
            Broken::Lost(why) => Self::Lost(lost(&*why)),
        }
    }
}

/// What to say when a connection broke: of nested errors the innermost says the most.
fn lost(why: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = why;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    format!("the connection was lost: {innermost}")
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

impl Open {
    async fn to(options: &Options) -> Result<Self, NoAnswer> {
        let for_now = |why: io::Error| NoAnswer::ForNow(why.to_string());
        let (host, port) = place(&options.url);
        let socket = TcpStream::connect((host, port)).await.map_err(for_now)?;
        socket.set_nodelay(true).map_err(for_now)?;
        let stream: Box<dyn Stream> = match &options.tls {
            None => Box::new(socket),
            Some(tls) => secure(socket, host, tls).await?,
        };
        let (sender, driver) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|why| NoAnswer::ForNow(lost(&why)))?;
        Ok(Self {
            sender,
            driver: Box::pin(driver),
        })
    }

    /// The answer, and the connection if it goes on. Nothing is done on it between two questions, so
    /// its end shows with the next.
    async fn ask(self, request: Request<Full<Bytes>>) -> Result<(Answer, Option<Self>), Broken> {
        let Self { sender, mut driver } = self;
        let exchange = async move {
            let mut sender = sender;
            let ready = sender.ready().await;
            ready.map_err(|why| Broken::Unsent(why.into()))?;
            let response = sender.try_send_request(request).await.map_err(broken)?;
            let answer = read(response).await.map_err(Broken::Lost)?;
            Ok((answer, sender))
        };
        let mut exchange = pin!(exchange);
        tokio::select! {
            biased;
            answered = &mut exchange => {
                let (answer, sender) = answered?;
                return Ok((answer, Some(Self { sender, driver })));
            }
            _ = &mut driver => {}
        }
        // A question that it did not come to any more is told so by this.
        drop(driver);
        Ok((exchange.await?.0, None))
    }
}

/// hyper gives a request back of which it has written nothing.
fn broken(why: TrySendError<Request<Full<Bytes>>>) -> Broken {
    let is_unsent = why.message().is_some();
    let why = why.into_error().into();
    if is_unsent {
        Broken::Unsent(why)
    } else {
        Broken::Lost(why)
    }
}

async fn read(response: Response<Incoming>) -> Result<Answer, AnyError> {
    let (head, body) = response.into_parts();
    let text = Limited::new(body, MOST_ANSWER_BYTES).collect().await?;
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        text: text.to_bytes(),
    })
}

async fn secure(
    socket: TcpStream,
    host: &str,
    tls: &Arc<ClientConfig>,
) -> Result<Box<dyn Stream>, NoAnswer> {
    let Ok(name) = ServerName::try_from(host.to_owned()) else {
        let words = format!("{host} is no name that a certificate can have");
        return Err(NoAnswer::ForGood(FeedError::Untrusted(words)));
    };
    let stream = TlsConnector::from(Arc::clone(tls)).connect(name, socket);
    match stream.await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(match untrusted(&error, "http://") {
            Some(words) => NoAnswer::ForGood(FeedError::Untrusted(words)),
            None => NoAnswer::ForNow(error.to_string()),
        }),
    }
}

/// Host and port, without the brackets of an IPv6 address.
fn place(url: &Uri) -> (&str, u16) {
    let usual = if url.scheme_str() == Some("http") {
        80
    } else {
        443
    };
    let host = url.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (host, url.port_u16().unwrap_or(usual))
}

fn request(options: &Options, lines: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(lines));
    *request.method_mut() = hyper::Method::POST;
    *request.uri_mut() = options.target().parse().unwrap_or_default();
    let headers = request.headers_mut();
    let host = options.url.authority().map(|authority| authority.as_str());
    if let Some(Ok(host)) = host.map(str::parse) {
        headers.insert(header::HOST, host);
    }
    if let Some(token) = &options.token {
        headers.insert(header::AUTHORIZATION, token.clone());
    }
    for (name, value) in [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (header::USER_AGENT, USER_AGENT),
    ] {
        headers.insert(name, header::HeaderValue::from_static(value));
    }
    request
}

const USER_AGENT: &str = concat!("signalcast/", env!("CARGO_PKG_VERSION"));
