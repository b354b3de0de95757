use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::Value;

use super::claims::Claims;
use super::digest::Digest;
use super::key::KeyId;
use super::{InvalidToken, Keys, Token, json};

/// A text that one of our keys has signed.
pub(super) struct Verified {
    pub(super) payload: Vec<u8>,
    pub(super) key: KeyId,
    /// Of what is signed, and so of this token however its signature is spelled: with elliptic
    /// curves everybody can make a second one of a first.
    pub(super) digest: Digest,
}

/// Checks form, header and signature. What the payload claims is not looked at.
///
/// The checks of the header are ours and not jsonwebtoken's, which takes `crit` and `enc`; the
/// cryptography is jsonwebtoken's.
pub(super) fn verify(token: &Token, keys: &Keys) -> Result<Verified, InvalidToken> {
    let token = token.reveal();
    if token.len() > MOST_BYTES {
        return Err(InvalidToken::Malformed("the token is longer than 16 KiB"));
    }
    let (signed, signature) = split(token)?;
    let (header, payload) = signed
        .split_once('.')
        .ok_or(InvalidToken::Malformed(NOT_THREE_PARTS))?;
    let header = Header::parse(&decode(header)?)?;
    let payload = decode(payload)?;
    if decode(signature)?.is_empty() {
        return Err(InvalidToken::Malformed("the token has no signature"));
    }

    let kid = header.kid.as_deref();
    let mut fit = keys.candidates(kid, header.alg).peekable();
    let any_fits = fit.peek().is_some();
    if let Some(key) = fit.find(|key| key.has_signed(signed, signature, header.alg)) {
        return Ok(Verified {
            payload,
            key: key.id(),
            digest: Digest::of(signed),
        });
    }
    Err(if keys.is_behind(kid, header.alg) {
        InvalidToken::UnknownKey
    } else if any_fits {
        InvalidToken::Signature
    } else {
        InvalidToken::ForeignAlgorithm(header.alg)
    })
}

/// What a token claims, whoever has signed it, and the digest of that.
pub(super) fn unverified(token: &Token) -> Result<(Claims, Digest), InvalidToken> {
    let (signed, _) = split(token.reveal())?;
    let (_, payload) = signed
        .split_once('.')
        .ok_or(InvalidToken::Malformed(NOT_THREE_PARTS))?;
    Ok((Claims::parse(&decode(payload)?)?, Digest::of(signed)))
}

/// What is signed, and the signature.
fn split(token: &str) -> Result<(&str, &str), InvalidToken> {
    match token.bytes().filter(|&byte| byte == b'.').count() {
        2 => {}
        4 => return Err(ENCRYPTED),
        _ => return Err(InvalidToken::Malformed(NOT_THREE_PARTS)),
    }
    token
        .rsplit_once('.')
        .ok_or(InvalidToken::Malformed(NOT_THREE_PARTS))
}

/// Base64url without padding, and only the one spelling of the bytes: no stray trailing bits.
fn decode(part: &str) -> Result<Vec<u8>, InvalidToken> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| InvalidToken::Malformed("a part of the token is not base64url"))
}

/// What counts of a token's header. `typ` may be anything; `jwk`, `jku`, `x5u` and `x5c` are where
/// a stranger would have us take the key from, and are never looked at.
struct Header {
    alg: Algorithm,
    kid: Option<String>,
}

impl Header {
    fn parse(header: &[u8]) -> Result<Self, InvalidToken> {
        let mut header = json::object(header).ok_or(InvalidToken::Malformed(
            "the header is not a JSON object, or a key occurs twice",
        ))?;
        // We know no extension that a signer could mark as critical (RFC 7515, section 4.1.11).
        if header.contains_key("crit") {
            return Err(InvalidToken::BadHeader(
                "the header has crit, which this server does not understand",
            ));
        }
        if header.contains_key("enc") {
            return Err(ENCRYPTED);
        }
        let alg = match header.get("alg") {
            Some(Value::String(name)) => algorithm(name)?,
            Some(_) => return Err(InvalidToken::BadAlgorithm("the alg is not a string")),
            None => return Err(InvalidToken::BadAlgorithm("the header names no alg")),
        };
        let kid = match header.remove("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid),
            Some(_) => return Err(InvalidToken::BadHeader("the kid is not a string")),
        };
        Ok(Self { alg, kid })
    }
}

fn algorithm(name: &str) -> Result<Algorithm, InvalidToken> {
    if name.eq_ignore_ascii_case("none") {
        return Err(InvalidToken::BadAlgorithm("the header names alg none"));
    }
    name.parse()
        .map_err(|_| InvalidToken::BadAlgorithm("the header names an unknown alg"))
}

const NOT_THREE_PARTS: &str = "the token has not the three parts of a JWT";
const ENCRYPTED: InvalidToken =
    InvalidToken::BadHeader("the token is encrypted; this server takes signed ones");

/// As much as all headers of a request may have.
const MOST_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests;
