// The server here is tungstenite's own: what `listen` does must not depend on ours.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::{Connector, accept_async};

use super::*;
use crate::backoff::Backoff;
use crate::certs;
use crate::trust::trusting;

const SIGNAL: &str = r#"{"type":"buy","content":{"symbol":"BTCUSDT","price":75000.00,"timestamp":1720000000},"is_test":false}"#;

fn options(address: SocketAddr, form: Form) -> Options {
    Options {
        url: format!("ws://{address}/?token=secret").parse().unwrap(),
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
    accept_async(stream).await.unwrap()
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
        assert_eq!(err, "signalcast: ws://127.0.0.1:PORT: connected\n");
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
            connector: Connector::Rustls(trusting(ca.as_deref()).unwrap()),
            ..options(address, Form::Frame)
        };
        let stop = CancellationToken::new();
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(stream) = acceptor.accept(stream).await {
                let mut socket = accept_async(stream).await.unwrap();
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
