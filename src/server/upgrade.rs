//! The opening handshake (RFC 6455 section 4.2), from headers to headers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use warp::http::header::{
    CONNECTION, HeaderMap, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use warp::http::{Response, StatusCode};

use super::headers::{EPOCH, LAST_SEQ};
use super::past::Past;
use super::refusal::Refusal;
use crate::signal::Protocol;

/// A request to become a WebSocket, well formed.
#[derive(Debug)]
pub(super) struct Handshake {
    accept: String,
    /// What the client asked for by name, if it is known here.
    named: Option<Protocol>,
}

/// What the subprotocols are called.
const SUBPROTOCOLS: [(&str, Protocol); 2] = [
    ("signalcast.v1", Protocol::V1),
    ("signalcast.v2", Protocol::V2),
];

/// What a client asks for who wants this one.
pub(super) fn name(protocol: Protocol) -> &'static str {
    let mut known = SUBPROTOCOLS.into_iter();
    let found = known.find(|(_, known)| *known == protocol);
    found.map_or("", |(name, _)| name)
}

impl Handshake {
    /// Reads what a client asks for.
    pub(super) fn parse(headers: &HeaderMap, http: HttpVersion) -> Result<Self, Refusal> {
        let mut wants = tokens(headers, &UPGRADE)?.peekable();
        if wants.peek().is_none() {
            return Err(Refusal::UpgradeRequired);
        }
        if http == HttpVersion::Older {
            return Err(Refusal::BadRequest("an upgrade needs HTTP/1.1".into()));
        }
        if !wants.any(|token| token.eq_ignore_ascii_case("websocket")) {
            return Err(Refusal::BadRequest(
                "the header Upgrade must say websocket".into(),
            ));
        }
        if !tokens(headers, &CONNECTION)?.any(|token| token.eq_ignore_ascii_case("upgrade")) {
            return Err(Refusal::BadRequest(
                "the header Connection must say Upgrade".into(),
            ));
        }
        match only(headers, &SEC_WEBSOCKET_VERSION).ok_or(Refusal::BadRequest(
            "send one header Sec-WebSocket-Version".into(),
        ))? {
            b"13" => {}
            version if !version.is_empty() && version.iter().all(u8::is_ascii_digit) => {
                return Err(Refusal::OtherVersion);
            }
            _ => {
                return Err(Refusal::BadRequest(
                    "Sec-WebSocket-Version must be a number".into(),
                ));
            }
        }
        let key = only(headers, &SEC_WEBSOCKET_KEY)
            .filter(|key| STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16))
            .ok_or(Refusal::BadRequest(
                "Sec-WebSocket-Key must be 16 bytes in base64, once".into(),
            ))?;
        let named = tokens(headers, &SEC_WEBSOCKET_PROTOCOL)?.find_map(|token| {
            let mut known = SUBPROTOCOLS.into_iter();
            known.find(|(name, _)| *name == token)
        });
        Ok(Self {
            accept: derive_accept_key(key),
            named: named.map(|(_, protocol)| protocol),
        })
    }

    /// How the two sides talk after the upgrade.
    pub(super) fn protocol(&self) -> Protocol {
        self.named.unwrap_or_default()
    }

    /// The `101` answer, which says where the log stands to somebody who may know that.
    pub(super) fn response(&self, past: Option<&Past>) -> Response<String> {
        let mut response = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(UPGRADE, "websocket")
            .header(CONNECTION, "Upgrade")
            .header(SEC_WEBSOCKET_ACCEPT, &self.accept);
        if let Some(past) = past {
            response = response
                .header(LAST_SEQ, past.last_seq())
                .header(EPOCH, past.epoch.to_string());
        }
        let mut known = SUBPROTOCOLS.into_iter();
        if let Some((name, _)) = known.find(|(_, known)| Some(*known) == self.named) {
            response = response.header(SEC_WEBSOCKET_PROTOCOL, name);
        }
        response
            .body(String::new())
            .expect("every value is visible ASCII")
    }
}

/// What a request says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HttpVersion {
    Http11,
    /// HTTP/1.0, which knows no upgrade.
    Older,
}

/// The value of a header that must be there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values
        .next()
        .is_none()
        .then(|| value.as_bytes().trim_ascii())
}

/// The members of a comma-separated list, which may be spread over several headers.
pub(super) fn tokens<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<impl Iterator<Item = &'a str> + use<'a>, Refusal> {
    let values: Vec<&str> = headers
        .get_all(name)
        .iter()
        .map(|value| value.to_str())
        .collect::<Result<_, _>>()
        .map_err(|_| {
            Refusal::BadRequest(
                "Upgrade, Connection and Sec-WebSocket-Protocol are plain ASCII".into(),
            )
        })?;
    Ok(values
        .into_iter()
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty()))
}
