//! What a request brings to be let in by, and where it may bring it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use warp::http::header::{AUTHORIZATION, HeaderMap, SEC_WEBSOCKET_PROTOCOL};

use super::upgrade::tokens;
use crate::auth::{InvalidToken, NoCredential, Token, bearer};

/// Where a path takes a credential, besides the header `Authorization`. Browsers set that header
/// wherever a page may set headers, so there it is the only place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ways {
    /// Nowhere else.
    Header,
    /// Where a browser's `WebSocket` can put one.
    Upgrade,
}

/// What somebody is to be let in by.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Credential {
    Token(Token),
    /// What is meant to be a token and cannot be read.
    Unreadable(InvalidToken),
}

impl Credential {
    /// The one that came with these headers. Several are a mistake, for which one counts would be
    /// a guess.
    pub(super) fn of(headers: &HeaderMap, ways: Ways) -> Result<Self, NoCredential> {
        let mut found: Vec<Self> = Vec::new();
        found.extend(in_authorization(headers)?);
        if ways == Ways::Upgrade {
            found.extend(in_subprotocols(headers));
        }
        if found.len() > 1 {
            return Err(NoCredential::Twice);
        }
        found.pop().ok_or(NoCredential::Missing)
    }
}

/// In the header made for it. Another scheme than `Bearer` is none of ours.
fn in_authorization(headers: &HeaderMap) -> Result<Option<Credential>, NoCredential> {
    let values = headers.get_all(AUTHORIZATION).iter();
    match bearer(values.map(|value| value.as_bytes())) {
        Ok(token) => Ok(Some(Credential::Token(token))),
        Err(NoCredential::Missing) => Ok(None),
        Err(twice @ NoCredential::Twice) => Err(twice),
    }
}

/// Among the subprotocols, as Kubernetes has it. It is no subprotocol, so no answer names it.
fn in_subprotocols(headers: &HeaderMap) -> impl Iterator<Item = Credential> {
    // Headers that are not ASCII were refused with the upgrade.
    let entries = tokens(headers, &SEC_WEBSOCKET_PROTOCOL)
        .into_iter()
        .flatten();
    let encoded = entries.filter_map(|entry| entry.strip_prefix(SUBPROTOCOL_PREFIX));
    encoded
        .filter(|encoded| !encoded.is_empty())
        .map(|encoded| match URL_SAFE_NO_PAD.decode(encoded) {
            Ok(token) => Credential::Token(Token::new(String::from_utf8_lossy(&token))),
            Err(_) => Credential::Unreadable(InvalidToken::Malformed(
                "the token among the subprotocols is not base64url without padding",
            )),
        })
}

/// What stands before a token among the subprotocols.
const SUBPROTOCOL_PREFIX: &str = "base64url.bearer.authorization.signalcast.";

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let lines = lines.iter();
        lines
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .fold(HeaderMap::new(), |mut headers, (name, value)| {
                headers.append::<warp::http::HeaderName>(name, value);
                headers
            })
    }

    #[test]
    fn a_token_may_stand_among_the_subprotocols_of_an_upgrade_only() {
        const PROTOCOL: &str = "sec-websocket-protocol";
        let entry = |token: &str| format!("{SUBPROTOCOL_PREFIX}{}", URL_SAFE_NO_PAD.encode(token));
        let (one, other) = (entry("a.b.c"), entry("d.e.f"));
        let several = format!("signalcast.v2, {one},signalcast.v1");
        let found = || Ok(Credential::Token(Token::new("a.b.c")));
        let missing = || Err(NoCredential::Missing);
        let twice = || Err(NoCredential::Twice);
        let basic = ("authorization", "Basic eDp5");
        let bearer = ("authorization", "Bearer a.b.c");
        for (lines, expected) in [
            (&[(PROTOCOL, one.as_str())][..], found()),
            (&[(PROTOCOL, &several)], found()),
            (&[(PROTOCOL, "signalcast.v1"), (PROTOCOL, &one)], found()),
            (&[(PROTOCOL, &one), basic], found()),
            (&[(PROTOCOL, &one), (PROTOCOL, &other)], twice()),
            (&[(PROTOCOL, &one), (PROTOCOL, &one)], twice()),
            (&[(PROTOCOL, &one), bearer], twice()),
            (&[(PROTOCOL, SUBPROTOCOL_PREFIX)], missing()),
            (&[(PROTOCOL, "signalcast.v1")], missing()),
            (&[(PROTOCOL, &one.to_uppercase())], missing()),
        ] {
            let headers = headers(lines);
            let found = Credential::of(&headers, Ways::Upgrade);
            assert_eq!(found, expected, "{lines:?}");
            let elsewhere = Credential::of(&headers, Ways::Header);
            assert_eq!(elsewhere.is_ok(), lines.contains(&bearer), "{lines:?}");
        }
    }

    #[test]
    fn what_is_not_base64url_is_a_bad_token() {
        for encoded in ["YQ==", "Y", "YR", "Y+/a", "YQ.YQ"] {
            let entry = format!("{SUBPROTOCOL_PREFIX}{encoded}");
            let headers = headers(&[("sec-websocket-protocol", &entry)]);
            let found = Credential::of(&headers, Ways::Upgrade);
            assert!(
                matches!(found, Ok(Credential::Unreadable(_))),
                "{encoded}: {found:?}"
            );
        }
    }
}
