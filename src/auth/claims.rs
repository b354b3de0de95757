use serde_json::{Map, Value};

use super::digest::{Digest, Name};
use super::{InvalidToken, Scopes, json};
use crate::signal::SymbolFilter;

/// The claims of a genuine token, each of the type it must have. Times in Unix seconds.
pub(super) struct Claims {
    pub(super) sub: Box<str>,
    pub(super) exp: u64,
    pub(super) nbf: Option<u64>,
    pub(super) iat: Option<u64>,
    pub(super) iss: Option<Box<str>>,
    pub(super) aud: Vec<Box<str>>,
    pub(super) jti: Option<Box<str>>,
    pub(super) scopes: Scopes,
    pub(super) symbols: SymbolFilter,
}

impl Claims {
    /// Reads the decoded payload of a token.
    pub(super) fn parse(payload: &[u8]) -> Result<Self, InvalidToken> {
        let claims = json::object(payload).ok_or(InvalidToken::Malformed(
            "the claims are not a JSON object, or a key occurs twice",
        ))?;
        let sub = text(&claims, "sub")?.ok_or(missing("sub"))?;
        if sub.is_empty() {
            return Err(wrong("sub", "is empty"));
        }
        Ok(Self {
            sub,
            exp: seconds(&claims, "exp")?.ok_or(missing("exp"))?,
            nbf: seconds(&claims, "nbf")?,
            iat: seconds(&claims, "iat")?,
            iss: text(&claims, "iss")?,
            aud: audience(&claims)?,
            jti: text(&claims, "jti")?,
            scopes: Scopes::known_in(text(&claims, "scope")?.as_deref().unwrap_or_default()),
            symbols: symbols(&claims)?,
        })
    }

    /// What the token is called: as it says itself, or else by the digest of what was signed.
    pub(super) fn name(&self, digest: &Digest) -> Name {
        match self.jti.as_deref() {
            None | Some("") => digest.name(),
            Some(jti) => Name::of_jti(jti),
        }
    }
}

/// Latest time a token may name, in the year 5138. Times in milliseconds lie beyond, and would
/// make a token that never expires.
pub(super) const LATEST: u64 = 99_999_999_999;

type Object = Map<String, Value>;

fn text(claims: &Object, name: &'static str) -> Result<Option<Box<str>>, InvalidToken> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str().into())),
        Some(_) => Err(wrong(name, "is not a string")),
    }
}

fn seconds(claims: &Object, name: &'static str) -> Result<Option<u64>, InvalidToken> {
    match claims.get(name).map(Value::as_u64) {
        None => Ok(None),
        Some(None) => Err(wrong(name, "is not a whole number of seconds since 1970")),
        Some(Some(seconds)) if seconds > LATEST => {
            Err(wrong(name, "is too far in the future; it counts seconds"))
        }
        Some(seconds) => Ok(seconds),
    }
}

/// One string or a list of them (RFC 7519, section 4.1.3).
fn audience(claims: &Object) -> Result<Vec<Box<str>>, InvalidToken> {
    let entries = match claims.get("aud") {
        None => &[],
        Some(Value::Array(entries)) => entries.as_slice(),
        Some(single) => std::slice::from_ref(single),
    };
    strings(entries).ok_or(wrong("aud", "is neither a string nor a list of strings"))
}

fn symbols(claims: &Object) -> Result<SymbolFilter, InvalidToken> {
    let problem = wrong("symbols", "is not a list of strings");
    let patterns = match claims.get("symbols") {
        None => return Ok(SymbolFilter::All),
        Some(Value::Array(entries)) => strings(entries).ok_or(problem)?,
        Some(_) => return Err(problem),
    };
    SymbolFilter::matching(patterns).map_err(|_| wrong("symbols", "has more than 256 patterns"))
}

fn strings(entries: &[Value]) -> Option<Vec<Box<str>>> {
    entries
        .iter()
        .map(|entry| entry.as_str().map(Into::into))
        .collect()
}

fn missing(name: &'static str) -> InvalidToken {
    wrong(name, "is missing")
}

fn wrong(name: &'static str, problem: &'static str) -> InvalidToken {
    InvalidToken::Claim { name, problem }
}
