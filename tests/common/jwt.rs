//! Tokens put together by hand, also those that `token issue` would never issue.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};

/// Unix seconds.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Claims that let a client in for an hour.
pub fn claims() -> Value {
    json!({"sub": "bot-1", "exp": now() + 3600, "scope": "signals:read signals:test"})
}

/// The same with one claim changed or added.
pub fn with(name: &str, value: impl Into<Value>) -> Value {
    let mut claims = claims();
    claims[name] = value.into();
    claims
}

/// The same without one claim.
pub fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

/// A token of these texts, whatever they say, signed for real.
pub fn sign(header: &str, claims: &str, alg: Algorithm, key: &EncodingKey) -> String {
    let signed = format!("{}.{}", base64url(header), base64url(claims));
    let signature = crypto::sign(signed.as_bytes(), key, alg).unwrap();
    format!("{signed}.{signature}")
}

/// A token of these texts, signed with HS256.
pub fn sign_with_secret(header: &str, claims: &str, secret: impl AsRef<[u8]>) -> String {
    let key = EncodingKey::from_secret(secret.as_ref());
    sign(header, claims, Algorithm::HS256, &key)
}

/// A token with these claims and the usual header, signed with HS256.
pub fn token(claims: &Value, secret: impl AsRef<[u8]>) -> String {
    sign_with_secret(
        r#"{"alg":"HS256","typ":"JWT"}"#,
        &claims.to_string(),
        secret,
    )
}
