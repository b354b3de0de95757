use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::{Error as WebSocketError, Message};

use super::answer::RequestId;
use super::command::{Command, Request};
use super::inlet::Inlet;
use super::{Close, Listen, LogRange, Session, Settings, Who};
use crate::auth::Token;
use crate::hub::View;
use crate::shard::{Client, Outlet, Received, Shard};
use crate::signal::Seq;

/// Somebody who has opened a WebSocket and has not said yet who it is. Its first message must be
/// `{"type":"auth","token":"…"}`.
#[derive(Debug)]
pub struct Stranger {
    socket: TcpStream,
    outlet: Outlet,
    inlet: Inlet,
    /// Bytes that it has sent.
    sent: usize,
    /// Whether what it sends is understood. The parser must not be asked again after an error.
    listen: Listen,
    deadline: Instant,
    /// What it calls its first message.
    id: Option<RequestId>,
}

/// Why a stranger stays one.
#[derive(Debug)]
pub enum Unintroduced {
    /// It did not do as it has to, and is to be told so.
    Close(Close),
    /// It is gone.
    Gone(io::Error),
}

/// How long it has for its first message.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest first message: more than the headers that could hold the same token.
const MOST_MESSAGE_BYTES: usize = 16 * 1024;

/// All that it may send up to the end of that, pings included.
const MOST_BYTES: usize = 2 * MOST_MESSAGE_BYTES;

/// Answers to pings that wait. Beyond this nothing more is read from it.
const MOST_WAITING_ANSWERS: usize = 4 * 1024;

/// How long it has to take the close frame and answer it.
const FAREWELL: Duration = Duration::from_secs(2);

impl Stranger {
    /// Somebody on this connection, on which the upgrade was answered. `early` is what it sent right
    /// behind its request.
    pub fn new(socket: TcpStream, outlet: Outlet, early: &[u8]) -> Self {
        let mut inlet = Inlet::new(MOST_MESSAGE_BYTES);
        inlet.push(early);
        Self {
            socket,
            outlet,
            inlet,
            sent: 0,
            listen: Listen::ForClose,
            deadline: Instant::now() + PATIENCE,
            id: None,
        }
    }

    /// The token of its first message. What it sends behind that is kept for its session.
    ///
    /// # Errors
    /// The first message is none with a token, or does not come in time.
    pub async fn token(&mut self) -> Result<Token, Unintroduced> {
        let deadline = self.deadline;
        let Ok(message) = timeout_at(deadline, self.message()).await else {
            return Err(Unintroduced::Close(Close::NoToken));
        };
        match message? {
            Message::Text(text) => {
                let said = introduction(&text).ok_or(Unintroduced::Close(Close::NotAuth));
                said.map(|(token, id)| {
                    self.id = id;
                    token
                })
            }
            Message::Binary(_) => Err(Unintroduced::Close(Close::Binary)),
            _ => {
                timeout(FAREWELL, self.part()).await.ok();
                Err(Unintroduced::Gone(io::ErrorKind::UnexpectedEof.into()))
            }
        }
    }

    /// The session of whoever this is by now.
    pub fn admit(
        mut self,
        shard: Rc<Shard>,
        cursor: Seq,
        who: Who,
        view: &View,
        log: LogRange,
        settings: Rc<Settings>,
    ) -> Session {
        self.inlet.take_up_to(settings.message_bytes);
        let client = Client::new(self.socket, self.outlet, cursor);
        let session = Session::with(shard, client, who, view, log, settings, self.inlet);
        session.welcome(self.id.as_ref());
        session
    }

    /// Says why it may not stay, and ends the connection.
    pub async fn turn_away(mut self, code: u16, reason: &str) {
        self.inlet.say_goodbye(code.into(), reason);
        self.inlet.take_answers(self.outlet.control());
        // Whether it answers, breaks off or dawdles, the connection ends here.
        timeout(FAREWELL, self.part()).await.ok();
    }

    /// Its first message that is no ping or pong. A close frame means that it goes.
    async fn message(&mut self) -> Result<Message, Unintroduced> {
        loop {
            let message = self.inlet.message();
            self.inlet.take_answers(self.outlet.control());
            match message {
                Ok(Some(Message::Ping(_) | Message::Pong(_))) => {}
                Ok(Some(message)) => return Ok(message),
                Ok(None) if self.sent > MOST_BYTES => {
                    return Err(Unintroduced::Close(Close::TooLong));
                }
                Ok(None) => {
                    let bytes = self.receive().await.map_err(Unintroduced::Gone)?;
                    self.sent += bytes.len();
                    self.inlet.push(&bytes);
                }
                Err(error) => {
                    self.listen = Listen::ForEnd;
                    return Err(Unintroduced::Close(Close::from(&error)));
                }
            }
        }
    }

    /// Sends what is to be sent, and waits for something to come.
    async fn receive(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let is_clear = self.outlet.flush(&self.socket)?;
            let reads = self.outlet.waiting_control() < MOST_WAITING_ANSWERS;
            if reads {
                let mut buffer = vec![0; 1024];
                match self.outlet.read(&self.socket, &mut buffer)? {
                    Received::Bytes(count) => {
                        buffer.truncate(count);
                        return Ok(buffer);
                    }
                    Received::End => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Received::Nothing => {}
                }
            }
            tokio::select! {
                ready = self.socket.readable(), if reads => ready?,
                ready = self.socket.writable(), if !is_clear => ready?,
            }
        }
    }

    /// Sends what is to be sent, our close frame being the last of it, waits for the peer's, and
    /// hangs up.
    async fn part(&mut self) -> io::Result<()> {
        while self.listen != Listen::No {
            let message = match self.listen {
                Listen::ForClose => self.inlet.message(),
                // Of one that broke the rules only the end can be told.
                Listen::ForEnd | Listen::No => Ok(None),
            };
            self.inlet.take_answers(self.outlet.control());
            while !self.outlet.flush(&self.socket)? {
                self.socket.writable().await?;
            }
            match message {
                Ok(Some(_)) => {}
                Ok(None) => {
                    let bytes = self.receive().await?;
                    if self.listen == Listen::ForClose {
                        self.inlet.push(&bytes);
                    }
                }
                Err(WebSocketError::ConnectionClosed | WebSocketError::AlreadyClosed) => {
                    self.listen = Listen::No;
                }
                Err(_) => self.listen = Listen::ForEnd,
            }
            tokio::task::yield_now().await;
        }
        self.outlet.farewell(&self.socket);
        Ok(())
    }
}

/// The token, if this is what the first message must be, and what to answer with.
fn introduction(text: &str) -> Option<(Token, Option<RequestId>)> {
    match Request::parse(text) {
        Request {
            command: Ok(Command::Auth(token)),
            id,
        } if !token.reveal().is_empty() => Some((token, id)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::session::testing::frame;

    /// A stranger, and its end of the connection.
    async fn stranger(early: &[u8]) -> (Stranger, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (theirs, ours) = tokio::join!(TcpStream::connect(address), listener.accept());
        let stranger = Stranger::new(ours.unwrap().0, Outlet::new(None), early);
        (stranger, theirs.unwrap())
    }

    fn close_of(outcome: Result<Token, Unintroduced>) -> Close {
        match outcome {
            Err(Unintroduced::Close(close)) => close,
            other => panic!("{other:?}"),
        }
    }

    const TEXT: u8 = 0x81;
    const GOOD: &[u8] = br#"{"type":"auth","token":"a.b.c"}"#;

    #[test]
    fn a_first_message_is_an_object_with_a_token_and_nothing_else() {
        for text in [
            r#"{"type":"auth","token":"a.b.c"}"#,
            r#" { "token" : "a\u002eb.c" , "type" : "auth" } "#,
        ] {
            let (token, id) = introduction(text).unwrap();
            assert_eq!((token, id.is_none()), (Token::new("a.b.c"), true), "{text}");
        }
        let named = r#"{"type":"auth","token":"a.b.c","request_id":"7"}"#;
        assert!(introduction(named).unwrap().1.is_some());
        for text in [
            "",
            "test",
            "a.b.c",
            r#"{"type":"auth"}"#,
            r#"{"token":"a.b.c"}"#,
            r#"{"type":"Auth","token":"a.b.c"}"#,
            r#"{"type":"ping","token":"a.b.c"}"#,
            r#"{"type":"auth","token":""}"#,
            r#"{"type":"auth","token":7}"#,
            r#"{"type":"auth","token":"a.b.c","tokens":1}"#,
            r#"{"type":"auth","token":"a.b.c","token":"a.b.c"}"#,
            r#"["auth","a.b.c"]"#,
            r#"{"type":"auth","token":"a.b.c"} x"#,
        ] {
            assert!(introduction(text).is_none(), "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stranger_has_ten_seconds_for_all_of_its_first_message() {
        let begun = Instant::now();
        let (mut silent, _theirs) = stranger(b"").await;
        assert_eq!(close_of(silent.token().await), Close::NoToken);
        assert_eq!(begun.elapsed(), Duration::from_secs(10));
        // Half of it, and pings beside, gain it nothing.
        let (mut slow, mut theirs) = stranger(&frame(0x01, GOOD)).await;
        let begun = Instant::now();
        let pinging = async {
            loop {
                theirs.write_all(&frame(0x89, b"")).await.unwrap();
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let outcome = tokio::select! {
            outcome = slow.token() => outcome,
            () = pinging => unreachable!("it goes on"),
        };
        assert_eq!(close_of(outcome), Close::NoToken);
        assert_eq!(begun.elapsed(), Duration::from_secs(10));
    }

    #[tokio::test]
    async fn what_comes_first_is_taken_however_it_is_cut() {
        let message = frame(TEXT, GOOD);
        for cut in 0..=message.len() {
            let (mut stranger, mut theirs) = stranger(&message[..cut]).await;
            theirs.write_all(&message[cut..]).await.unwrap();
            assert_eq!(stranger.token().await.unwrap(), Token::new("a.b.c"));
        }
        let (head, tail) = GOOD.split_at(7);
        let parts = [
            frame(0x89, b"ping"),
            frame(0x01, head),
            frame(0x89, b"ping"),
            frame(0x80, tail),
        ];
        let (mut stranger, mut theirs) = stranger(&parts.concat()).await;
        assert_eq!(stranger.token().await.unwrap(), Token::new("a.b.c"));
        // Behind the message nothing was read, the pongs are on their way.
        stranger.outlet.flush(&stranger.socket).unwrap();
        let mut pongs = [0; 12];
        theirs.read_exact(&mut pongs).await.unwrap();
        assert_eq!(&pongs, b"\x8a\x04ping\x8a\x04ping");
    }

    #[tokio::test]
    async fn what_cannot_be_a_first_message_is_told_at_once() {
        let long = vec![b'x'; MOST_MESSAGE_BYTES + 1];
        for (sent, expected) in [
            (frame(TEXT, b"test"), Close::NotAuth),
            (frame(0x82, GOOD), Close::Binary),
            (frame(TEXT, &long), Close::TooLong),
            (frame(0x89, b"ping").repeat(4000), Close::TooLong),
            (frame(TEXT, b"\xff"), Close::NotUtf8),
            (frame(0x83, GOOD), Close::ProtocolError),
        ] {
            let (mut stranger, theirs) = stranger(b"").await;
            let (mut from, mut to) = theirs.into_split();
            let sending = async {
                to.write_all(&sent).await.ok();
                // The answers to its pings come first.
                let mut said = Vec::new();
                let close = |said: &[u8]| {
                    let code = expected.code().to_be_bytes();
                    said.windows(2).any(|two| two == code) && said.contains(&0x88)
                };
                while !close(&said) {
                    assert_ne!(from.read_buf(&mut said).await.unwrap(), 0, "{expected:?}");
                }
                to.shutdown().await.unwrap();
            };
            let telling = async {
                let close = close_of(stranger.token().await);
                assert_eq!(close, expected);
                stranger.turn_away(close.code(), close.reason()).await;
            };
            tokio::join!(telling, sending);
        }
    }

    #[tokio::test]
    async fn a_farewell_is_answered_and_then_the_connection_ends() {
        let (stranger, mut theirs) = stranger(b"").await;
        let told = stranger.turn_away(1008, "who are you?");
        let answering = async {
            let mut farewell = [0; 16];
            theirs.read_exact(&mut farewell).await.unwrap();
            assert_eq!(&farewell, b"\x88\x0e\x03\xf0who are you?");
            theirs
                .write_all(&frame(0x88, &1008_u16.to_be_bytes()))
                .await
                .unwrap();
            theirs.read(&mut farewell).await.unwrap()
        };
        let ((), rest) = tokio::join!(told, answering);
        assert_eq!(rest, 0);
        // Whoever goes by itself is answered, too.
        let (mut stranger, mut theirs) = self::stranger(&frame(0x88, &[3, 0xe8])).await;
        assert!(matches!(stranger.token().await, Err(Unintroduced::Gone(_))));
        drop(stranger);
        let mut answer = Vec::new();
        theirs.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, [0x88, 2, 3, 0xe8]);
    }
}
