//! Words for the tests: keys made on the spot, tokens put together by hand.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SignatureAlgorithm};
use serde_json::{Value, json};

use super::key::Key;
use super::{Authenticator, InvalidToken, JwtRules, Keys, Principal, Token, TokenBook};

/// The moment at which the tests take place.
pub(super) const NOW: u64 = 1_800_000_000;

pub(super) const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

pub(super) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A private key and its public half, both PEM.
pub(super) struct Pair {
    pub(super) private: String,
    pub(super) public: String,
}

pub(super) static RSA: LazyLock<Pair> = LazyLock::new(|| {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let private = pem("PRIVATE KEY", pair.as_der().unwrap().as_ref());
    let public = pem("PUBLIC KEY", pair.public_key().as_der().unwrap().as_ref());
    Pair { private, public }
});
pub(super) static P256: LazyLock<Pair> = LazyLock::new(|| made(&PKCS_ECDSA_P256_SHA256));
pub(super) static P384: LazyLock<Pair> = LazyLock::new(|| made(&PKCS_ECDSA_P384_SHA384));
pub(super) static ED25519: LazyLock<Pair> = LazyLock::new(|| made(&PKCS_ED25519));

fn made(kind: &'static SignatureAlgorithm) -> Pair {
    let pair = rcgen::KeyPair::generate_for(kind).unwrap();
    Pair {
        private: pair.serialize_pem(),
        public: pair.public_key_pem(),
    }
}

pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let lines: Vec<&str> = body
        .as_bytes()
        .chunks(64)
        .map(|line| str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

/// Keys by the name of their file and its bytes.
pub(super) fn keys(files: &[(&str, &[u8])]) -> Keys {
    let dir = tempfile::tempdir().unwrap();
    let paths: Vec<_> = files
        .iter()
        .map(|(name, bytes)| {
            let path = dir.path().join(name);
            // Not put_new, which waits for the disk.
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            path
        })
        .collect();
    Keys::load(&paths).unwrap()
}

pub(super) fn rules() -> JwtRules {
    JwtRules {
        issuer: None,
        audience: None,
        leeway: Duration::from_secs(30),
    }
}

/// What a server with this one key says to a token.
pub(super) fn with_key(key: &[u8], token: &str) -> Result<Principal, InvalidToken> {
    let authenticator =
        Authenticator::new(keys(&[("jwt.key", key)]), TokenBook::default(), rules());
    authenticator.authenticate(&Token::new(token), at(NOW))
}

pub(super) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Claims that are fine.
pub(super) fn claims() -> Value {
    json!({"sub": "bot-1", "exp": NOW + 60, "scope": "signals:read"})
}

/// A token of these texts, whatever they say, signed for real.
pub(super) fn sign(header: &str, claims: &str, alg: Algorithm, key: &EncodingKey) -> String {
    let text = format!("{}.{}", base64url(header), base64url(claims));
    let signature = crypto::sign(text.as_bytes(), key, alg).unwrap();
    format!("{text}.{signature}")
}

pub(super) fn sign_with_secret(header: &str, claims: &str, secret: &[u8]) -> String {
    sign(
        header,
        claims,
        Algorithm::HS256,
        &EncodingKey::from_secret(secret),
    )
}

/// A token with these claims and the usual header, signed by [`SECRET`].
pub(super) fn token(claims: &Value) -> String {
    sign_with_secret(
        r#"{"alg":"HS256","typ":"JWT"}"#,
        &claims.to_string(),
        SECRET,
    )
}

/// A token with fine claims, by a PEM private key, under any algorithm it can do.
pub(super) fn token_by(pair: &Pair, alg: Algorithm) -> String {
    let key = Key::parse(pair.private.as_bytes()).unwrap();
    let (_, key) = key.signing().unwrap();
    let header = json!({"alg": alg}).to_string();
    sign(&header, &claims().to_string(), alg, key)
}
