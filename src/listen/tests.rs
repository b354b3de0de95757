// The server here is tungstenite's own: what `listen` does must not depend on ours.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::{Connector, WebSocketStream, accept_hdr_async};

use super::*;
use crate::backoff::Backoff;
use crate::certs;
use crate::trust::trusting;

const SIGNAL: &str = r#"{"type":"buy","content":{"symbol":"BTCUSDT","price":75000.00,"timestamp":1720000000},"is_test":false}"#;

fn options(address: SocketAddr, form: Form) -> Options {
    Options {
        url: format!("ws://{address}/?token=secret").parse().unwrap(),
        query: Query::of(&"ws://a/?token=secret".parse().unwrap()),
        start: Start::Live,
        token: authorization("t0ken"),
        connector: Connector::Plain,
        form,
        backoff: Backoff::up_from(Duration::from_millis(2)),
    }
}

/// What a listener of a server that behaves so prints: result, stdout, stderr.
async fn listen_to<F: Future<Output = ()>>(
    form: Form,
    serve: impl FnOnce(TcpListener, CancellationToken) -> F,
) -> (Result<(), ListenError>, String, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = options(listener.local_addr().unwrap(), form);
    let stop = CancellationToken::new();
    let (mut out, mut err) = (Output::Taken(Vec::new()), Vec::new());
    let (result, ()) = tokio::join!(
        follow(&options, &mut out, &mut err, &stop),
        serve(listener, stop.clone())
    );
    let port = options.url.port_u16().unwrap().to_string();
    let text = |bytes| String::from_utf8(bytes).unwrap().replace(&port, "PORT");
    let Output::Taken(out) = out else {
        panic!("it was given a Vec");
    };
    (result, text(out), text(err))
}

async fn accept(listener: &TcpListener) -> WebSocketStream<TcpStream> {
    let (stream, _) = listener.accept().await.unwrap();
    upgrade(stream, Some("signalcast.v1")).await.0
}

/// Accepts a client that asks for what we would like, and says what it asked for.
async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    protocol: Option<&'static str>,
) -> (WebSocketStream<S>, String) {
    upgrade_in(stream, protocol, None).await
}

/// The same with an answer that names the log and its last seq.
async fn upgrade_in<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    protocol: Option<&'static str>,
    log: Option<(&str, u64)>,
) -> (WebSocketStream<S>, String) {
    let mut target = String::new();
    #[expect(clippy::result_large_err, reason = "tungstenite wants it so")]
    let answer = |request: &Request, mut response: Response| {
        target = request.uri().to_string();
        let headers = response.headers_mut();
        if let Some(protocol) = protocol {
            let asked = request.headers().get(SEC_WEBSOCKET_PROTOCOL).unwrap();
            assert_eq!(asked, "signalcast.v2, signalcast.v1");
            headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol.parse().unwrap());
        }
        if let Some((epoch, last_seq)) = log {
            headers.insert("signalcast-epoch", epoch.parse().unwrap());
            headers.insert("signalcast-last-seq", last_seq.into());
        }
        Ok(response)
    };
    let socket = accept_hdr_async(stream, answer).await.unwrap();
    (socket, target)
}

/// Accepts a client with `signalcast.v2`, and greets it. What it asked for.
async fn accept_v2(
    listener: &TcpListener,
    epoch: &str,
    last_seq: u64,
) -> (WebSocketStream<TcpStream>, String) {
    let (stream, _) = listener.accept().await.unwrap();
    let (mut socket, target) =
        upgrade_in(stream, Some("signalcast.v2"), Some((epoch, last_seq))).await;
    let hello = format!(
        r#"{{"type":"connection_established","client_id":"c","timestamp":"2026-11-20T10:00:00Z","heartbeat_interval":30000,"epoch":"{epoch}","first_seq":1,"last_seq":{last_seq},"sources":{{}}}}"#
    );
    socket.send(hello.into()).await.unwrap();
    (socket, target)
}

fn signal_v2(seq: u64) -> String {
    format!(
        r#"{{"type":"buy","seq":{seq},"id":"i{seq}","content":{{"symbol":"BTCUSDT","price":75000.00,"timestamp":1720000000}},"is_test":false,"source":"stdin","received_at":"2026-11-20T10:00:00.123456Z"}}"#
    )
}

/// Waits until all that was sent was taken in: the answer to a ping comes after it.
async fn taken_in(socket: &mut WebSocketStream<TcpStream>) {
    let ping = Message::Ping(tungstenite::Bytes::new());
    socket.send(ping).await.unwrap();
    assert!(socket.next().await.unwrap().unwrap().is_pong());
}

async fn answer(listener: &TcpListener, status: &str, headers: &str, body: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.unwrap());
    }
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    String::from_utf8(request).unwrap()
}

#[tokio::test]
async fn signals_are_printed_for_people_or_exactly_as_they_came() {
    for (form, expected) in [
        (
            Form::Line,
            "2024-07-03T09:46:40Z BUY BTCUSDT 75000.00\n".to_owned(),
        ),
        (Form::Frame, format!("{SIGNAL}\n")),
    ] {
        let (result, out, err) = listen_to(form, |listener, stop| async move {
            let mut socket = accept(&listener).await;
            socket.send(SIGNAL.into()).await.unwrap();
            // The answer to this ping comes after the signal was printed.
            let ping = Message::Ping(tungstenite::Bytes::new());
            socket.send(ping).await.unwrap();
            assert!(socket.next().await.unwrap().unwrap().is_pong());
            stop.cancel();
            assert!(socket.next().await.unwrap().unwrap().is_close());
            let _ = socket.flush().await;
        })
        .await;
        assert!(result.is_ok());
        assert_eq!(out, expected);
        assert_eq!(
            err,
            "signalcast: ws://127.0.0.1:PORT: connected, without resuming: signalcast.v2 is not spoken there\n"
        );
    }
}

#[tokio::test]
async fn a_development_server_is_trusted_with_its_ca_and_not_without() {
    let folder = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    certs::make_development(folder.path(), now).unwrap();
    let file = |name| folder.path().join(name);
    let identity = certs::load(&file("server.pem"), &file("server.key"), now).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(certs::Shown::new(&identity).server_config()));
    for (ca, trusted) in [(Some(file("ca.pem")), true), (None, false)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let options = Options {
            url: format!("wss://{address}").parse().unwrap(),
            query: Query::default(),
            connector: Connector::Rustls(trusting(ca.as_deref()).unwrap()),
            ..options(address, Form::Frame)
        };
        let stop = CancellationToken::new();
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(stream) = acceptor.accept(stream).await {
                let (mut socket, _) = upgrade(stream, Some("signalcast.v1")).await;
                let ping = Message::Ping(tungstenite::Bytes::new());
                socket.send(ping).await.unwrap();
                assert!(socket.next().await.unwrap().unwrap().is_pong());
                stop.cancel();
                assert!(socket.next().await.unwrap().unwrap().is_close());
                let _ = socket.flush().await;
            }
        };
        let (mut out, mut err) = (Output::Taken(Vec::new()), Vec::new());
        let (result, ()) = tokio::join!(follow(&options, &mut out, &mut err, &stop), serve);
        match result {
            Ok(()) => assert!(trusted),
            Err(error) => {
                assert!(!trusted, "{error}");
                let said = error.to_string();
                assert!(said.ends_with("name its authority with --ca"), "{said}");
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_is_told_in_the_servers_words_and_ends_it() {
    let (result, out, err) = listen_to(Form::Line, |listener, _| async move {
        let body = r#"{"type":"error","code":"invalid_token","message":"the token has expired"}"#;
        let request = answer(&listener, "401 Unauthorized", "", body).await;
        assert!(
            request.contains("\r\nauthorization: Bearer t0ken\r\n"),
            "{request}"
        );
    })
    .await;
    let said = result.unwrap_err().to_string();
    assert_eq!(said, "refused: the token has expired (invalid_token, 401)");
    assert_eq!((out.as_str(), err.as_str()), ("", ""));
}

#[tokio::test]
async fn a_server_that_is_full_or_leaves_is_tried_again() {
    let (result, _, err) = listen_to(Form::Line, |listener, stop| async move {
        answer(
            &listener,
            "503 Service Unavailable",
            "Retry-After: 0\r\n",
            "",
        )
        .await;
        let mut socket = accept(&listener).await;
        let leaving = CloseFrame {
            code: CloseCode::Away,
            reason: "shutting down".into(),
        };
        socket.close(Some(leaving)).await.unwrap();
        drop(accept(&listener).await);
        stop.cancel();
    })
    .await;
    assert!(result.is_ok());
    let lines: Vec<&str> = err.lines().collect();
    assert_eq!(
        lines[0],
        "signalcast: ws://127.0.0.1:PORT: refused: 503 Service Unavailable; connecting again in 0.0 s"
    );
    assert!(lines[2].starts_with(
        "signalcast: ws://127.0.0.1:PORT: closed by the server: shutting down (1001); connecting again in "
    ));
}

#[tokio::test]
async fn a_token_that_was_revoked_ends_it() {
    let (result, _, _) = listen_to(Form::Line, |listener, _| async move {
        let mut socket = accept(&listener).await;
        let revoked = CloseFrame {
            code: CloseCode::Policy,
            reason: "token revoked".into(),
        };
        socket.close(Some(revoked)).await.unwrap();
    })
    .await;
    assert_eq!(
        result.unwrap_err().to_string(),
        "closed by the server: token revoked (1008)"
    );
}

#[tokio::test]
async fn a_reader_that_has_left_ends_it_quietly() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = options(listener.local_addr().unwrap(), Form::Frame);
    let (stop, mut out, mut err) = (CancellationToken::new(), Output::Taken(Closed), Vec::new());
    let serve = async {
        let mut socket = accept(&listener).await;
        socket.send(SIGNAL.into()).await.unwrap();
        assert!(socket.next().await.unwrap().unwrap().is_close());
        let _ = socket.flush().await;
    };
    let (result, ()) = tokio::join!(follow(&options, &mut out, &mut err, &stop), serve);
    assert!(result.is_ok());
}

#[tokio::test]
async fn every_connection_goes_on_after_what_was_printed() {
    let (result, out, err) = listen_to(Form::Frame, |listener, stop| async move {
        let (mut socket, target) = accept_v2(&listener, "e", 10).await;
        assert_eq!(target, "/?token=secret", "with what comes in from now on");
        taken_in(&mut socket).await;
        drop(socket);
        let (mut socket, target) = accept_v2(&listener, "e", 12).await;
        assert_eq!(target, "/?token=secret&after_seq=10&epoch=e");
        for seq in [11, 14] {
            socket.send(signal_v2(seq).into()).await.unwrap();
        }
        taken_in(&mut socket).await;
        drop(socket);
        let (mut socket, target) = accept_v2(&listener, "e", 20).await;
        assert_eq!(target, "/?token=secret&after_seq=14&epoch=e");
        // All of ours up to there was sent: the filter left out the rest.
        let heartbeat =
            r#"{"type":"heartbeat","timestamp":"2026-11-20T10:00:00Z","last_seq":20,"sources":{}}"#;
        socket.send(heartbeat.into()).await.unwrap();
        taken_in(&mut socket).await;
        drop(socket);
        let (_socket, target) = accept_v2(&listener, "e", 20).await;
        assert_eq!(target, "/?token=secret&after_seq=20&epoch=e");
        stop.cancel();
    })
    .await;
    assert!(result.is_ok());
    assert_eq!(out, format!("{}\n{}\n", signal_v2(11), signal_v2(14)));
    let first = err.lines().next().unwrap();
    assert_eq!(
        first,
        "signalcast: ws://127.0.0.1:PORT: connected, epoch e, last seq 10"
    );
}

#[tokio::test]
async fn what_is_no_signal_or_came_before_is_not_printed() {
    for form in [Form::Frame, Form::Line] {
        let (result, out, err) = listen_to(form, |listener, stop| async move {
            let (mut socket, _) = accept_v2(&listener, "e", 10).await;
            for text in [
                signal_v2(11),
                signal_v2(11),
                signal_v2(3),
                r#"{"type":"error","code":"bad_command","message":"no"}"#.to_owned(),
                r#"{"type":"halted","reason":"a test"}"#.to_owned(),
                signal_v2(12),
            ] {
                socket.send(text.into()).await.unwrap();
            }
            taken_in(&mut socket).await;
            stop.cancel();
            // Who hangs up first is told of as a lost connection.
            while let Some(Ok(_)) = socket.next().await {}
        })
        .await;
        assert!(result.is_ok());
        assert_eq!(out.lines().count(), 2, "{out}");
        let said: Vec<&str> = err.lines().skip(1).collect();
        assert_eq!(said.len(), 4, "{err}");
        assert!(said[0].starts_with(
            "signalcast: a fault of the server: seq 11 was passed before; not printed: {"
        ));
        assert!(said[1].contains("seq 3 was passed before"));
        assert!(said[2].starts_with(r#"signalcast: the server says: {"type":"error""#));
        assert!(said[3].starts_with(r#"signalcast: the server says: {"type":"halted""#));
    }
}

#[tokio::test]
async fn in_another_log_it_goes_on_with_the_newest_that_was_printed() {
    let (result, out, err) = listen_to(Form::Frame, |listener, stop| async move {
        let (mut socket, _) = accept_v2(&listener, "old", 10).await;
        for text in [signal_v2(11), signal_v2(12)] {
            socket.send(text.into()).await.unwrap();
        }
        taken_in(&mut socket).await;
        drop(socket);
        let (mut socket, target) = accept_v2(&listener, "new", 30).await;
        assert_eq!(target, "/?token=secret&after_seq=12&epoch=old");
        // After a seq of the old log, so not yet to be printed. It may have left already.
        socket.send(signal_v2(13).into()).await.ok();
        while let Some(Ok(_)) = socket.next().await {}
        let (mut socket, target) = accept_v2(&listener, "new", 30).await;
        assert_eq!(target, "/?token=secret&since=2026-11-20T10:00:00.123456Z");
        // All received at once; two of them were printed.
        for seq in 10..=13 {
            socket.send(signal_v2(seq).into()).await.unwrap();
        }
        taken_in(&mut socket).await;
        drop(socket);
        let (_socket, target) = accept_v2(&listener, "new", 30).await;
        assert_eq!(target, "/?token=secret&after_seq=13&epoch=new");
        stop.cancel();
    })
    .await;
    assert!(result.is_ok());
    let printed = [11, 12, 10, 13].map(|seq| signal_v2(seq) + "\n").concat();
    assert_eq!(out, printed);
    let lost = err
        .lines()
        .find(|line| line.contains("began anew"))
        .unwrap();
    assert!(
        lost.contains("as epoch new: signals may have been lost; going on with what was received at 2026-11-20T10:00:00.123456Z or later; connecting again"),
        "{lost}"
    );
}

#[tokio::test]
async fn what_the_log_has_let_go_of_is_told_and_the_rest_printed() {
    let gone = |epoch: &str| {
        format!(
            r#"{{"type":"error","code":"history_gone","message":"it is gone","epoch":"{epoch}","first_seq":121,"last_seq":300}}"#
        )
    };
    let (result, _, err) = listen_to(Form::Frame, |listener, stop| async move {
        let (mut socket, _) = accept_v2(&listener, "e", 100).await;
        taken_in(&mut socket).await;
        drop(socket);
        answer(&listener, "410 Gone", "", &gone("e")).await;
        let (_socket, target) = accept_v2(&listener, "e", 300).await;
        assert_eq!(target, "/?token=secret&after_seq=120&epoch=e");
        stop.cancel();
    })
    .await;
    assert!(result.is_ok());
    assert!(
        err.contains("20 signals, from 101 to 120, are not kept any more and lost for good; going on from 121; connecting again"),
        "{err}"
    );
}

#[tokio::test]
async fn who_is_told_where_to_go_on_does_not_wait_as_for_a_server_that_fails() {
    let gone = r#"{"type":"error","code":"history_gone","message":"it is gone","epoch":"e","first_seq":121,"last_seq":300}"#;
    for (is_gone, said) in [
        (true, "going on from 121"),
        (false, "began anew, as epoch f"),
    ] {
        let (result, _, err) = listen_to(Form::Frame, |listener, stop| async move {
            let (mut socket, _) = accept_v2(&listener, "e", 100).await;
            taken_in(&mut socket).await;
            drop(socket);
            for _ in 0..8 {
                answer(&listener, "503 Service Unavailable", "", "").await;
            }
            if is_gone {
                answer(&listener, "410 Gone", "", gone).await;
            } else {
                drop(accept_v2(&listener, "f", 20).await);
            }
            drop(listener.accept().await.unwrap());
            stop.cancel();
        })
        .await;
        assert!(result.is_ok());
        let told = err.lines().find(|line| line.contains(said)).unwrap();
        assert!(told.ends_with("connecting again in 0.0 s"), "{err}");
    }
}

#[tokio::test]
async fn a_server_that_answers_to_no_subprotocol_is_listened_to_all_the_same() {
    let (result, out, _) = listen_to(Form::Frame, |listener, stop| async move {
        let (stream, _) = listener.accept().await.unwrap();
        upgrade(stream, None).await;
        let (stream, _) = listener.accept().await.unwrap();
        let (mut socket, _) = upgrade(stream, None).await;
        socket.send(SIGNAL.into()).await.unwrap();
        taken_in(&mut socket).await;
        stop.cancel();
    })
    .await;
    assert!(result.is_ok());
    assert_eq!(out, format!("{SIGNAL}\n"));
}

#[tokio::test]
async fn the_first_message_says_where_the_log_stands_if_the_answer_does_not() {
    let (result, _, err) = listen_to(Form::Frame, |listener, stop| async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (mut socket, _) = upgrade(stream, Some("signalcast.v2")).await;
        let hello = r#"{"type":"connection_established","client_id":"c","timestamp":"2026-11-20T10:00:00Z","heartbeat_interval":30000,"epoch":"e","first_seq":1,"last_seq":10,"sources":{}}"#;
        socket.send(hello.into()).await.unwrap();
        taken_in(&mut socket).await;
        drop(socket);
        let (_socket, target) = accept_v2(&listener, "e", 12).await;
        assert_eq!(target, "/?token=secret&after_seq=10&epoch=e");
        stop.cancel();
    })
    .await;
    assert!(result.is_ok());
    assert!(
        err.starts_with("signalcast: ws://127.0.0.1:PORT: connected\n"),
        "{err}"
    );
}
