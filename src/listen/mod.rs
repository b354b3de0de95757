//! `signalcast listen`: a client that prints what a server sends, and stays with it.

use std::io::{self, Write};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};
use tokio_util::sync::CancellationToken;

use crate::output::Output;
use crate::printable::printable;

mod connect;
mod cursor;
mod line;
mod loss;
mod message;
mod options;
mod query;

pub(crate) use connect::authorization;
pub(crate) use cursor::Start;
pub use loss::ListenError;
pub use options::Options;
pub(crate) use options::{Form, USUAL_CA, without_query};
pub(crate) use query::Query;

use connect::{Protocol, Socket, V2, connect};
use cursor::Cursor;
use loss::{Gone, Lost};
use message::{Established, Said, Seen};

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
    let cursor = Cursor::new(options.start.clone());
    let url = without_query(&options.url);
    Listener {
        options,
        url,
        cursor,
        out,
        err,
        stop,
    }
    .follow()
    .await
}

/// What was asked for, how far it has come, and where it prints.
struct Listener<'a, O, E> {
    options: &'a Options,
    /// For messages.
    url: String,
    cursor: Cursor,
    out: &'a mut Output<O>,
    err: &'a mut E,
    stop: &'a CancellationToken,
}

/// Whether the connection is of further use.
enum Go {
    On,
    /// Nobody wants to hear more.
    Home,
}

impl<O: Write, E: Write> Listener<'_, O, E> {
    async fn follow(&mut self) -> Result<(), ListenError> {
        let mut backoff = self.options.backoff.clone();
        let mut was_moved = false;
        loop {
            let begun = Instant::now();
            let lost = match self.one_connection().await {
                Ok(()) => return Ok(()),
                Err(Lost::Gone(gone)) => self.cursor.gone(gone),
                Err(lost) => lost,
            };
            // Who is told where else to go on has found a server that works. Told so again at
            // once, it has not.
            let is_moved = matches!(lost, Lost::Moved(_));
            if begun.elapsed() >= PROVEN || (is_moved && !was_moved) {
                backoff = self.options.backoff.clone();
            }
            was_moved = is_moved;
            let (why, at_least) = match lost {
                Lost::ForGood(error) => return Err(error),
                Lost::ForNow { why, at_least } => (why, at_least),
                Lost::Moved(why) | Lost::Gone(Gone { words: why, .. }) => (why, Duration::ZERO),
            };
            let delay = backoff.next().max(at_least);
            let seconds = delay.as_secs_f32();
            self.say(&format!("{why}; connecting again in {seconds:.1} s"));
            tokio::select! {
                () = sleep(delay) => {}
                () = self.over() => return Ok(()),
            }
        }
    }

    /// One connection, from its beginning to its end. `Ok`: there is nothing more to do.
    async fn one_connection(&mut self) -> Result<(), Lost> {
        let (mut socket, protocol, log) = tokio::select! {
            connected = connect(self.options, &self.cursor) => connected?,
            () = self.over() => return Ok(()),
        };
        self.connected(protocol, log)?;
        let stop = self.stop;
        while let Some(text) = self.next_text(&mut socket).await? {
            let taken = tokio::select! {
                taken = self.take(&text) => taken,
                () = stop.cancelled() => Ok(Go::Home),
            };
            match taken {
                Ok(Go::On) => {}
                Ok(Go::Home) => break,
                Err(lost) => {
                    leave(&mut socket).await;
                    return Err(lost);
                }
            }
        }
        leave(&mut socket).await;
        Ok(())
    }

    fn connected(&mut self, protocol: Protocol, log: Option<Established>) -> Result<(), Lost> {
        match (protocol, log) {
            (Protocol::V1, _) => {
                self.cursor.unknown();
                self.say(&format!(
                    "connected, without resuming: {V2} is not spoken there"
                ));
            }
            (Protocol::V2, Some(log)) => {
                self.cursor.established(&log)?;
                let (epoch, last) = (printable(&log.epoch), log.last_seq);
                self.say(&format!("connected, epoch {epoch}, last seq {last}"));
            }
            // A proxy has kept that to itself: the first message says it, too.
            (Protocol::V2, None) => self.say("connected"),
        }
        Ok(())
    }

    /// The server's next text; `None` when nobody wants to hear it.
    async fn next_text(&self, socket: &mut Socket) -> Result<Option<Utf8Bytes>, Lost> {
        let mut was_asked = false;
        loop {
            let message = tokio::select! {
                message = timeout(PING_AFTER, socket.next()) => message,
                () = self.over() => return Ok(None),
            };
            match message {
                Err(_) if was_asked => return Err(Lost::for_now("the server has fallen silent")),
                Err(_) => {
                    was_asked = true;
                    let ping = Message::Ping(tungstenite::Bytes::new());
                    socket.send(ping).await.map_err(Lost::connected)?;
                }
                Ok(None) => return Err(Lost::for_now("the connection was lost")),
                Ok(Some(Err(error))) => return Err(Lost::connected(error)),
                Ok(Some(Ok(Message::Text(text)))) => return Ok(Some(text)),
                Ok(Some(Ok(Message::Close(frame)))) => {
                    // Sends the answer that tungstenite has ready.
                    let _ = timeout(LEAVE_WITHIN, socket.flush()).await;
                    return Err(Lost::closed(frame.as_ref()));
                }
                // tungstenite answers pings itself, with the next read.
                Ok(Some(Ok(
                    Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_),
                ))) => was_asked = false,
            }
        }
    }

    /// Takes a message in: prints a signal, and heeds what is none.
    async fn take(&mut self, text: &str) -> Result<Go, Lost> {
        match Said::read(text) {
            Said::Established(log) => self.cursor.established(&log)?,
            Said::Heartbeat { last_seq } => self.cursor.reached(last_seq),
            Said::Signal(Seen { seq: Some(seq), .. }) if !self.cursor.is_next(seq) => {
                self.note(&format!(
                    "a fault of the server: seq {seq} was passed before; not printed: {}",
                    printable(text)
                ))
            }
            Said::Signal(seen) => return self.take_signal(text, seen).await,
            Said::Other => self.note(&format!("the server says: {}", printable(text))),
        }
        Ok(Go::On)
    }

    async fn take_signal(&mut self, text: &str, seen: Seen) -> Result<Go, Lost> {
        if !self.cursor.was_printed(&seen) {
            match self.print(text).await {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Go::Home),
                Err(error) => return Err(Lost::ForGood(ListenError::Output(error))),
            }
        }
        self.cursor.printed(seen);
        Ok(Go::On)
    }

    /// Prints one signal: as it came, or as a line to read. What that can't be made of is only told.
    async fn print(&mut self, frame: &str) -> io::Result<()> {
        let line = match self.options.form {
            Form::Frame => Some(frame.to_owned()),
            Form::Line => line::of(frame),
        };
        if let Some(line) = line {
            return self.out.write(format!("{line}\n").as_bytes()).await;
        }
        self.note(&format!("the server says: {}", printable(frame)));
        Ok(())
    }

    /// Ends when somebody wants it to, or when nobody reads any more.
    async fn over(&self) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.out.closed() => {}
        }
    }

    /// Tells the user how the connection is doing.
    fn say(&mut self, what: &str) {
        let url = &self.url;
        let _ = writeln!(self.err, "signalcast: {url}: {what}");
    }

    /// Tells the user of a message that is no signal to print.
    fn note(&mut self, what: &str) {
        let _ = writeln!(self.err, "signalcast: {what}");
    }
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
