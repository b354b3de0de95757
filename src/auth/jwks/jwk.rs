//! One key of a set (RFC 7517, section 4; RFC 7518, section 6; RFC 8037, section 2).

use std::borrow::Cow;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rsa::{PublicKey, PublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::auth::key::{self, Key, Kind};

/// Why a key is left out.
type Problem = Cow<'static, str>;

/// The public key; `None` if it is there for something else than signatures.
pub(super) fn parse(jwk: &Value) -> Result<Option<Key>, Problem> {
    if !jwk.is_object() {
        return Err("it is not a JSON object".into());
    }
    if !is_for_signatures(jwk)? {
        return Ok(None);
    }
    // Only its type matters here.
    text(jwk, "kid")?;
    let key = match required(jwk, "kty")? {
        "RSA" => rsa(jwk),
        "EC" => match required(jwk, "crv")? {
            "P-256" => point(jwk, 32, Kind::P256),
            "P-384" => point(jwk, 48, Kind::P384),
            _ => Err("its curve is neither P-256 nor P-384".into()),
        },
        "OKP" => match required(jwk, "crv")? {
            "Ed25519" => known(Key::from_public(&bytes(jwk, "x")?), Kind::Ed25519),
            _ => Err("its curve is not Ed25519".into()),
        },
        // Whoever can read the set could sign with it.
        "oct" => Err("it is a secret (oct), which has no place among public keys".into()),
        _ => Err("its kty is neither RSA, EC nor OKP".into()),
    }?;
    match text(jwk, "alg")? {
        None => Ok(Some(key)),
        Some(alg) => alg
            .parse()
            .ok()
            .and_then(|alg| key.only_for(alg))
            .map(Some)
            .ok_or_else(|| "its alg is none that this server can use it with".into()),
    }
}

/// Members that only the owner of a key should know (RFC 7518, sections 6.2.2, 6.3.2 and 6.4.1).
pub(super) fn shows_private_half(jwk: &Value) -> bool {
    ["d", "p", "q", "dp", "dq", "qi", "oth", "k"]
        .iter()
        .any(|name| jwk.get(name).is_some())
}

/// By `use` and `key_ops`; a key that says neither may be for anything.
fn is_for_signatures(jwk: &Value) -> Result<bool, Problem> {
    let operations = match jwk.get("key_ops") {
        None => true,
        Some(Value::Array(names)) if names.iter().all(Value::is_string) => {
            names.iter().any(|name| name == "verify")
        }
        Some(_) => return Err("its key_ops is not a list of strings".into()),
    };
    let meant = text(jwk, "use")?.is_none_or(|meant| meant == "sig");
    Ok(operations && meant)
}

fn rsa(jwk: &Value) -> Result<Key, Problem> {
    let (n, e) = (bytes(jwk, "n")?, bytes(jwk, "e")?);
    // Some write the zero that a signed number would need (RFC 7518, section 6.3.1.1).
    let public = PublicKeyComponents {
        n: without_zeros(&n),
        e: without_zeros(&e),
    };
    let der: PublicKeyX509Der<'_> = public.as_der().map_err(|_| DAMAGED)?;
    PublicKey::from_der(der.as_ref()).map_err(|_| DAMAGED)?;
    known(Key::from_public(der.as_ref()), Kind::Rsa)
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

/// A point of a curve, uncompressed (SEC 1, section 2.3.3).
fn point(jwk: &Value, length: usize, kind: Kind) -> Result<Key, Problem> {
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    // Leading zeros are part of a coordinate (RFC 7518, section 6.2.1.2).
    if x.len() != length || y.len() != length {
        return Err(DAMAGED.into());
    }
    let point = [&[UNCOMPRESSED], &x[..], &y[..]].concat();
    known(Key::from_public(&point), kind)
}

/// The key, if it is of the kind that it says.
fn known(key: Result<Key, key::Problem>, kind: Kind) -> Result<Key, Problem> {
    match key {
        Ok(key) if key.kind() == kind => Ok(key),
        // Its size.
        Err(problem) if kind == Kind::Rsa => Err(problem.reason.into()),
        _ => Err(DAMAGED.into()),
    }
}

fn required<'a>(jwk: &'a Value, name: &'static str) -> Result<&'a str, Problem> {
    text(jwk, name)?.ok_or_else(|| format!("it has no {name}").into())
}

fn text<'a>(jwk: &'a Value, name: &'static str) -> Result<Option<&'a str>, Problem> {
    match jwk.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("its {name} is not a string").into()),
    }
}

/// A member in base64url without padding.
fn bytes(jwk: &Value, name: &'static str) -> Result<Vec<u8>, Problem> {
    URL_SAFE_NO_PAD
        .decode(required(jwk, name)?)
        .map_err(|_| format!("its {name} is not base64url without padding").into())
}

const DAMAGED: &str = "its numbers are no key of its type";

const UNCOMPRESSED: u8 = 4;
