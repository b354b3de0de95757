//! `signalcast listen`: a client that prints what a server sends, and stays with it.

use std::io::{self, Write};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};
use tokio_util::sync::CancellationToken;

use crate::output::Output;
use crate::printable::printable;

mod line;
mod loss;
mod options;

pub use loss::ListenError;
pub use options::Options;
pub(crate) use options::{Form, USUAL_CA};

use loss::Lost;
use options::without_query;

/// Prints the server's signals to stdout until Ctrl-C, or until nobody reads them any more.
///
/// # Errors
/// The server won't have us, and would not the next time either; or stdout fails.
pub fn run(options: &Options) -> Result<(), ListenError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ListenError::Runtime)?;
    let stop = CancellationToken::new();
    let mut err = io::stderr();
    let outcome = runtime.block_on(async {
        let mut out = Output::standard().map_err(ListenError::Output)?;
        let interrupted = async {
            // Without a handler Ctrl-C still ends the process, just less politely.
            if tokio::signal::ctrl_c().await.is_ok() {
                stop.cancel();
            }
            std::future::pending().await
        };
        tokio::select! {
            ended = follow(options, &mut out, &mut err, &stop) => ended,
            () = interrupted => Ok(()),
        }
    });
    // Whoever still waits for a reader must not hold us up.
    runtime.shutdown_background();
    outcome
}

/// Connects, prints, and connects again, until `stop` or until `out` is closed. What happens to
/// the connection is said to `err`.
async fn follow(
    options: &Options,
    out: &mut Output<impl Write>,
    err: &mut impl Write,
    stop: &CancellationToken,
) -> Result<(), ListenError> {
    let url = without_query(&options.url);
    let mut backoff = options.backoff.clone();
    loop {
        let begun = Instant::now();
        let (why, at_least) = match one_connection(options, out, err, stop).await {
            Ok(()) => return Ok(()),
            Err(Lost::ForGood(error)) => return Err(error),
            Err(Lost::ForNow { why, at_least }) => (why, at_least),
        };
        if begun.elapsed() >= PROVEN {
            backoff = options.backoff.clone();
        }
        let delay = backoff.next().max(at_least);
        let _ = writeln!(
            err,
            "signalcast: {url}: {why}; connecting again in {:.1} s",
            delay.as_secs_f32()
        );
        tokio::select! {
            () = sleep(delay) => {}
            () = over(out, stop) => return Ok(()),
        }
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// One connection, from its beginning to its end. `Ok`: there is nothing more to do.
async fn one_connection(
    options: &Options,
    out: &mut Output<impl Write>,
    err: &mut impl Write,
    stop: &CancellationToken,
) -> Result<(), Lost> {
    let mut socket = tokio::select! {
        connected = connect(options) => connected?,
        () = over(out, stop) => return Ok(()),
    };
    let _ = writeln!(
        err,
        "signalcast: {}: connected",
        without_query(&options.url)
    );
    let mut silent = Duration::ZERO;
    loop {
        let message = tokio::select! {
            message = timeout(PING_AFTER, socket.next()) => message,
            () = over(out, stop) => {
                leave(&mut socket).await;
                return Ok(());
            }
        };
        match message {
            Err(_) if silent.is_zero() => {
                silent = PING_AFTER;
                let ping = Message::Ping(tungstenite::Bytes::new());
                socket.send(ping).await.map_err(Lost::connected)?;
                continue;
            }
            Err(_) => return Err(Lost::for_now("the server has fallen silent")),
            Ok(None) => return Err(Lost::for_now("the connection was lost")),
            Ok(Some(Err(error))) => return Err(Lost::connected(error)),
            Ok(Some(Ok(Message::Text(frame)))) => {
                let printed = tokio::select! {
                    printed = print(&frame, options.form, out, err) => printed,
                    () = stop.cancelled() => Err(io::ErrorKind::BrokenPipe.into()),
                };
                match printed {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                        leave(&mut socket).await;
                        return Ok(());
                    }
                    Err(error) => return Err(Lost::ForGood(ListenError::Output(error))),
                }
            }
            Ok(Some(Ok(Message::Close(frame)))) => {
                // Sends the answer that tungstenite has ready.
                let _ = timeout(LEAVE_WITHIN, socket.flush()).await;
                return Err(Lost::closed(frame.as_ref()));
            }
            // tungstenite answers pings itself, with the next read.
            Ok(Some(Ok(
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_),
            ))) => {}
        }
        silent = Duration::ZERO;
    }
}

async fn connect(options: &Options) -> Result<Socket, Lost> {
    let connecting = Box::pin(connect_async_tls_with_config(
        request(options)?,
        None,
        true,
        Some(options.connector.clone()),
    ));
    match timeout(CONNECT_WITHIN, connecting).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(error)) => Err(Lost::connecting(error)),
        Err(_) => Err(Lost::for_now("no answer in time")),
    }
}

fn request(options: &Options) -> Result<Request<()>, Lost> {
    let mut request = options
        .url
        .clone()
        .into_client_request()
        .map_err(Lost::connecting)?;
    if let Some(token) = &options.token {
        request.headers_mut().insert(AUTHORIZATION, token.clone());
    }
    Ok(request)
}

/// Ends when somebody wants it to, or when nobody reads any more.
async fn over(out: &Output<impl Write>, stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = out.closed() => {}
    }
}

/// Prints one frame: as it came, or as a line to read. What is no signal then goes to `err`.
async fn print(
    frame: &str,
    form: Form,
    out: &mut Output<impl Write>,
    err: &mut impl Write,
) -> io::Result<()> {
    let line = match form {
        Form::Frame => Some(frame.to_owned()),
        Form::Line => line::of(frame),
    };
    if let Some(line) = line {
        return out.write(format!("{line}\n").as_bytes()).await;
    }
    let frame = printable(frame);
    let _ = writeln!(err, "signalcast: the server says: {frame}");
    Ok(())
}

/// Says goodbye, without insisting on an answer. What is still on its way is read, or the system
/// would reset the connection and the server might never see the goodbye.
async fn leave(socket: &mut Socket) {
    let goodbye = CloseFrame {
        code: CloseCode::Normal,
        reason: "".into(),
    };
    let leaving = async {
        if socket.close(Some(goodbye)).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    let _ = timeout(LEAVE_WITHIN, leaving).await;
}

/// The header for a token; none when it holds what no header may.
pub(crate) fn authorization(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    // `Debug` prints "Sensitive" instead.
    value.set_sensitive(true);
    Some(value)
}

/// DNS, TCP, TLS and the upgrade together.
const CONNECT_WITHIN: Duration = Duration::from_secs(20);

/// The server pings every 30 s unless told otherwise: after two of those we ask, and after as
/// long again we give up.
const PING_AFTER: Duration = Duration::from_secs(60);

/// A server that kept us this long is fine: its loss is a new one.
const PROVEN: Duration = Duration::from_secs(30);

const LEAVE_WITHIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
