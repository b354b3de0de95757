//! How a connection comes about.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::{ProtocolError, SubProtocolError};
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use super::cursor::Cursor;
use super::loss::Lost;
use super::message::Established;
use super::options::Options;

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A connection, what is spoken on it, and what the server says of its log.
pub(super) type Connected = (Socket, Protocol, Option<Established>);

/// What the two sides agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    V1,
    V2,
}

/// `signalcast.v2` if the server speaks it. One that answers to no subprotocol at all is asked
/// for none, which tungstenite insists on.
pub(super) async fn connect(options: &Options, cursor: &Cursor) -> Result<Connected, Lost> {
    match connect_asking(options, cursor, Some(PROTOCOLS)).await {
        Err(tungstenite::Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(
            SubProtocolError::NoSubProtocol,
        ))) => connect_asking(options, cursor, None).await,
        done => done,
    }
    .map_err(Lost::connecting)
}

async fn connect_asking(
    options: &Options,
    cursor: &Cursor,
    protocols: Option<&'static str>,
) -> Result<Connected, tungstenite::Error> {
    let connecting = Box::pin(connect_async_tls_with_config(
        request(options, cursor, protocols)?,
        None,
        true,
        Some(options.connector.clone()),
    ));
    let Ok(connected) = timeout(CONNECT_WITHIN, connecting).await else {
        let late = io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
        return Err(late.into());
    };
    let (socket, answer) = connected?;
    let agreed = answer.headers().get(SEC_WEBSOCKET_PROTOCOL);
    let protocol = match agreed {
        Some(agreed) if agreed == V2 => Protocol::V2,
        _ => Protocol::V1,
    };
    let log = Established::of(answer.headers());
    Ok((socket, protocol, log))
}

fn request(
    options: &Options,
    cursor: &Cursor,
    protocols: Option<&'static str>,
) -> Result<Request<()>, tungstenite::Error> {
    let mut request = options
        .query
        .on(&options.url, cursor.start(), cursor.epoch())
        .into_client_request()?;
    let headers = request.headers_mut();
    if let Some(token) = &options.token {
        headers.insert(AUTHORIZATION, token.clone());
    }
    if let Some(protocols) = protocols {
        let protocols = HeaderValue::from_static(protocols);
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocols);
    }
    Ok(request)
}

/// The header for a token; none when it holds what no header may.
pub(crate) fn authorization(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    // `Debug` prints "Sensitive" instead.
    value.set_sensitive(true);
    Some(value)
}

/// What we would like to speak, best first.
const PROTOCOLS: &str = "signalcast.v2, signalcast.v1";

pub(super) const V2: &str = "signalcast.v2";

/// DNS, TCP, TLS and the upgrade together.
const CONNECT_WITHIN: Duration = Duration::from_secs(20);
