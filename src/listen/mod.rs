//! `signalcast listen`: a client that prints what a server sends, and stays with it.

use std::io::{self, Write};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_util::sync::CancellationToken;

use crate::output::Output;
use crate::printable::printable;

mod connect;
mod line;
mod loss;
mod message;
mod options;
mod place;
mod query;

pub(crate) use connect::authorization;
pub use loss::ListenError;
pub use options::Options;
pub(crate) use options::{Form, USUAL_CA};
pub(crate) use place::Start;
pub(crate) use query::Query;

use connect::{Protocol, Socket, V2, connect};
use loss::Lost;
use message::{Said, Seen};
use options::without_query;
use place::Place;

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

/// Connects, prints, and connects again where it left off, until `stop` or until `out` is closed.
/// What happens to the connection is said to `err`.
async fn follow(
    options: &Options,
    out: &mut Output<impl Write>,
    err: &mut impl Write,
    stop: &CancellationToken,
) -> Result<(), ListenError> {
    let url = without_query(&options.url);
    let mut backoff = options.backoff.clone();
    let mut place = Place::new(options.start.clone());
    loop {
        let begun = Instant::now();
        let lost = match one_connection(options, &mut place, out, err, stop).await {
            Ok(()) => return Ok(()),
            Err(Lost::Gone(gone)) => place.gone(gone),
            Err(lost) => lost,
        };
        let (why, at_least) = match lost {
            Lost::ForGood(error) => return Err(error),
            Lost::ForNow { why, at_least } => (why, at_least),
            Lost::Gone(gone) => (gone.words, Duration::ZERO),
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

/// One connection, from its beginning to its end. `Ok`: there is nothing more to do.
async fn one_connection(
    options: &Options,
    place: &mut Place,
    out: &mut Output<impl Write>,
    err: &mut impl Write,
    stop: &CancellationToken,
) -> Result<(), Lost> {
    let (mut socket, protocol, log) = tokio::select! {
        connected = connect(options, place) => connected?,
        () = over(out, stop) => return Ok(()),
    };
    let url = without_query(&options.url);
    match (protocol, log) {
        (Protocol::V1, _) => {
            place.unknown();
            let _ = writeln!(
                err,
                "signalcast: {url}: connected, without resuming: {V2} is not spoken there"
            );
        }
        (Protocol::V2, Some(log)) => {
            place.established(&log)?;
            let (epoch, last) = (printable(&log.epoch), log.last_seq);
            let _ = writeln!(
                err,
                "signalcast: {url}: connected, epoch {epoch}, last seq {last}"
            );
        }
        // A proxy has kept that to itself: the first message says it, too.
        (Protocol::V2, None) => {
            let _ = writeln!(err, "signalcast: {url}: connected");
        }
    }
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
            Ok(Some(Ok(Message::Text(text)))) => {
                let taken = tokio::select! {
                    taken = take(&text, options, place, out, err) => taken,
                    () = stop.cancelled() => Ok(Go::Home),
                };
                match taken {
                    Ok(Go::On) => {}
                    Ok(Go::Home) => {
                        leave(&mut socket).await;
                        return Ok(());
                    }
                    Err(lost) => {
                        leave(&mut socket).await;
                        return Err(lost);
                    }
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

/// Ends when somebody wants it to, or when nobody reads any more.
async fn over(out: &Output<impl Write>, stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = out.closed() => {}
    }
}

/// Whether the connection is of further use.
enum Go {
    On,
    /// Nobody reads any more.
    Home,
}

/// Takes a message in: prints a signal, and heeds what is none.
async fn take(
    text: &str,
    options: &Options,
    place: &mut Place,
    out: &mut Output<impl Write>,
    err: &mut impl Write,
) -> Result<Go, Lost> {
    let seen = match Said::read(text) {
        Said::Established(log) => {
            place.established(&log)?;
            return Ok(Go::On);
        }
        Said::Heartbeat { last_seq } => {
            place.reached(last_seq);
            return Ok(Go::On);
        }
        Said::Signal(Seen { seq: Some(seq), .. }) if !place.is_next(seq) => {
            let text = printable(text);
            let _ = writeln!(
                err,
                "signalcast: a fault of the server: seq {seq} was passed before; not printed: {text}"
            );
            return Ok(Go::On);
        }
        Said::Signal(seen) => seen,
        Said::Other => {
            let _ = writeln!(err, "signalcast: the server says: {}", printable(text));
            return Ok(Go::On);
        }
    };
    if !place.was_printed(&seen) {
        match print(text, options.form, out, err).await {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Go::Home),
            Err(error) => return Err(Lost::ForGood(ListenError::Output(error))),
        }
    }
    place.printed(seen);
    Ok(Go::On)
}

/// Prints one signal: as it came, or as a line to read. What that can't be made of goes to `err`.
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

/// The server pings every 30 s unless told otherwise: after two of those we ask, and after as
/// long again we give up.
const PING_AFTER: Duration = Duration::from_secs(60);

/// A server that kept us this long is fine: its loss is a new one.
const PROVEN: Duration = Duration::from_secs(30);

const LEAVE_WITHIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
