//! What a request brings to be let in by, and where it may bring it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use warp::http::header::{AUTHORIZATION, HeaderMap, SEC_WEBSOCKET_PROTOCOL};

use super::OtherWays;
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
    /// Where its `EventSource` can.
    Stream,
}

/// What a request brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Brought {
    pub(super) credential: Credential,
    /// What else it says behind the question mark.
    pub(super) query: String,
}

/// What somebody is to be let in by.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Credential {
    Token(Token),
    /// What is meant to be a token and cannot be read.
    Unreadable(InvalidToken),
    Ticket(Token),
}

impl Brought {
    /// The one credential that came. Several are a mistake, for which one counts would be a guess.
    pub(super) fn of(
        headers: &HeaderMap,
        query: &str,
        ways: Ways,
        other_ways: OtherWays,
    ) -> Result<Self, NoCredential> {
        let mut found: Vec<Credential> = Vec::new();
        found.extend(in_authorization(headers)?);
        if ways == Ways::Upgrade {
            found.extend(in_subprotocols(headers));
        }
        let (inside, query) = in_query(query, &ways.parameters(other_ways));
        found.extend(inside);
        if found.len() > 1 {
            return Err(NoCredential::Twice);
        }
        let credential = found.pop().ok_or(NoCredential::Missing)?;
        Ok(Self { credential, query })
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

/// Behind the question mark, as these parameters; and the query without them. An empty one is no
/// credential, as nothing behind `Bearer` is none.
fn in_query(query: &str, parameters: &[(&str, MakeOf)]) -> (Vec<Credential>, String) {
    let (mut found, mut rest) = (Vec::new(), Vec::new());
    for piece in query.split('&') {
        let pair = form_urlencoded::parse(piece.as_bytes()).next();
        let known = pair.and_then(|(name, value)| {
            let known = parameters.iter().find(|(known, _)| *known == name);
            known.map(|(_, make)| (make, value))
        });
        match known {
            Some((_, value)) if value.is_empty() => {}
            Some((make, value)) => found.push(make(Token::new(value))),
            None => rest.push(piece),
        }
    }
    (found, rest.join("&"))
}

/// Makes a credential of what was found.
type MakeOf = fn(Token) -> Credential;

impl Ways {
    /// The parameters that hold a credential. Others of such names are refused with the rest of
    /// the query, as whatever else is not taken.
    fn parameters(self, other_ways: OtherWays) -> Vec<(&'static str, MakeOf)> {
        if self == Self::Header {
            return Vec::new();
        }
        let mut parameters: Vec<(_, MakeOf)> = vec![("ticket", Credential::Ticket)];
        if other_ways.query_token {
            parameters.push(("token", Credential::Token));
        }
        parameters
    }
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

    fn of(headers: &HeaderMap, query: &str, ways: Ways) -> Result<Credential, NoCredential> {
        Brought::of(headers, query, ways, OtherWays::default()).map(|brought| brought.credential)
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
            assert_eq!(of(&headers, "", Ways::Upgrade), expected, "{lines:?}");
            for elsewhere in [Ways::Header, Ways::Stream] {
                let found = of(&headers, "", elsewhere);
                assert_eq!(found.is_ok(), lines.contains(&bearer), "{lines:?}");
            }
        }
    }

    #[test]
    fn what_is_not_base64url_is_a_bad_token() {
        for encoded in ["YQ==", "Y", "YR", "Y+/a", "YQ.YQ"] {
            let entry = format!("{SUBPROTOCOL_PREFIX}{encoded}");
            let headers = headers(&[("sec-websocket-protocol", &entry)]);
            let found = of(&headers, "", Ways::Upgrade);
            assert!(
                matches!(found, Ok(Credential::Unreadable(_))),
                "{encoded}: {found:?}"
            );
        }
    }

    #[test]
    fn a_ticket_is_taken_out_of_the_query_where_one_is_good() {
        let ticket = |text: &str| Ok(Credential::Ticket(Token::new(text)));
        let missing = || Err(NoCredential::Missing);
        let none = HeaderMap::new();
        for ways in [Ways::Upgrade, Ways::Stream] {
            for (query, expected, rest) in [
                ("ticket=abc", ticket("abc"), ""),
                ("a=1&ticket=abc&b=%20", ticket("abc"), "a=1&b=%20"),
                ("ticke%74=a%62c&&x", ticket("abc"), "&x"),
                ("ticket=%zz&ticket=", ticket("%zz"), ""),
                ("ticket=a&ticket=a", Err(NoCredential::Twice), ""),
                ("ticket=", missing(), ""),
                ("ticket", missing(), ""),
                ("Ticket=a", missing(), ""),
                ("tickets=a", missing(), ""),
            ] {
                let brought = Brought::of(&none, query, ways, OtherWays::default());
                if let Ok(brought) = &brought {
                    assert_eq!(brought.query, rest, "{query}");
                }
                assert_eq!(brought.map(|it| it.credential), expected, "{query}");
                assert_eq!(of(&none, query, Ways::Header), missing());
            }
        }
        let bearer = headers(&[("authorization", "Bearer a.b.c")]);
        let twice = of(&bearer, "ticket=abc", Ways::Upgrade);
        assert_eq!(twice, Err(NoCredential::Twice));
        let brought = Brought::of(
            &bearer,
            "ticket=abc&x=1",
            Ways::Header,
            OtherWays::default(),
        );
        assert_eq!(brought.unwrap().query, "ticket=abc&x=1", "to be refused");
    }

    #[test]
    fn a_token_is_taken_out_of_the_query_if_that_is_allowed() {
        let allowed = OtherWays {
            query_token: true,
            ..OtherWays::default()
        };
        let none = HeaderMap::new();
        let of = |query, ways, other_ways| Brought::of(&none, query, ways, other_ways);
        let brought = of("tests=false&token=a.b%2Ec", Ways::Upgrade, allowed).unwrap();
        assert_eq!(brought.credential, Credential::Token(Token::new("a.b.c")));
        assert_eq!(brought.query, "tests=false");
        for (query, ways, other_ways, expected) in [
            ("token=a", Ways::Header, allowed, NoCredential::Missing),
            (
                "token=a",
                Ways::Upgrade,
                OtherWays::default(),
                NoCredential::Missing,
            ),
            ("token=", Ways::Upgrade, allowed, NoCredential::Missing),
            (
                "token=a&token=a",
                Ways::Upgrade,
                allowed,
                NoCredential::Twice,
            ),
            (
                "token=a&ticket=b",
                Ways::Upgrade,
                allowed,
                NoCredential::Twice,
            ),
        ] {
            assert_eq!(of(query, ways, other_ways), Err(expected), "{query}");
        }
    }
}
