use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Header, encode};
use serde::Serialize;

use super::claims::LATEST;
use super::{Keys, NoRandom, Scopes, Token};
use crate::signal::{InvalidPattern, SymbolFilter};

/// What a new token shall say.
#[derive(Clone, Debug)]
pub struct NewClaims {
    /// Who it is for, not empty.
    pub subject: String,
    /// What it allows.
    pub scopes: Scopes,
    /// Patterns of the symbols it is good for; `None`: all.
    pub symbols: Option<Vec<String>>,
    /// How long it is good, in whole seconds.
    pub ttl: Duration,
    /// For a server that checks `iss`.
    pub issuer: Option<String>,
    /// For a server that checks `aud`.
    pub audience: Option<String>,
    /// When it is issued.
    pub now: SystemTime,
    /// The claim `jti`, to revoke this one by.
    pub token_id: Option<String>,
}

/// No token was issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// There are public keys only, or none.
    #[error("no key can sign; name a secret or a PEM private key as auth.jwt_key")]
    NoSigningKey,
    /// A token without a subject would be refused.
    #[error("the subject is empty; say who the token is for, e.g. --sub bot-1")]
    NoSubject,
    /// Too short to be good for anything, or beyond what a token may name.
    #[error("the lifetime is not between a second and the year 5138; write e.g. --ttl 30d")]
    Lifetime,
    /// Too many patterns.
    #[error(transparent)]
    Symbols(#[from] InvalidPattern),
    /// Nothing to make an opaque token of.
    #[error("{0}; wait until it does")]
    Random(#[from] NoRandom),
    /// The library could not sign.
    #[error("the token could not be signed; this is a bug")]
    Signing(#[source] jsonwebtoken::errors::Error),
}

/// Makes a JWT, signed by the first key that can.
///
/// # Errors
/// No key can sign, or the token would be refused by an [`Authenticator`](super::Authenticator).
pub fn issue(keys: &Keys, claims: NewClaims) -> Result<Token, IssueError> {
    let (alg, key) = keys.signing().ok_or(IssueError::NoSigningKey)?;
    let claims = Claims::try_from(claims)?;
    encode(&Header::new(alg), &claims, key)
        .map(Token::new)
        .map_err(IssueError::Signing)
}

/// What was checked.
#[derive(Serialize)]
pub(super) struct Claims {
    pub(super) sub: String,
    pub(super) iat: u64,
    pub(super) exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbols: Option<Vec<String>>,
}

impl TryFrom<NewClaims> for Claims {
    type Error = IssueError;

    fn try_from(new: NewClaims) -> Result<Self, IssueError> {
        if new.subject.is_empty() {
            return Err(IssueError::NoSubject);
        }
        if let Some(symbols) = &new.symbols {
            SymbolFilter::matching(symbols.iter().map(String::as_str))?;
        }
        let since_1970 = new.now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let iat = since_1970.as_secs();
        let exp = iat.saturating_add(new.ttl.as_secs());
        if exp == iat || exp > LATEST {
            return Err(IssueError::Lifetime);
        }
        Ok(Self {
            sub: new.subject,
            iat,
            exp,
            iss: new.issuer,
            aud: new.audience,
            jti: new.token_id,
            scope: new.scopes.to_string(),
            symbols: new.symbols,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::digest::Name;
    use crate::auth::testing::{ED25519, NOW, P256, P384, RSA, SECRET, at, keys};
    use crate::auth::{Authenticator, JwtRules, TokenBook};

    fn new() -> NewClaims {
        NewClaims {
            subject: "bot-1".to_owned(),
            scopes: "signals:read signals:test".parse().unwrap(),
            symbols: Some(vec!["BTC*".to_owned()]),
            ttl: Duration::from_secs(60),
            issuer: Some("us".to_owned()),
            audience: Some("bots".to_owned()),
            now: at(NOW),
            token_id: Some("t-1".to_owned()),
        }
    }

    #[test]
    fn what_is_issued_is_let_in_with_every_kind_of_key() {
        for key in [
            SECRET,
            RSA.private.as_bytes(),
            P256.private.as_bytes(),
            P384.private.as_bytes(),
            ED25519.private.as_bytes(),
        ] {
            let keys = keys(&[("k", key)]);
            let token = issue(&keys, new()).unwrap();
            let rules = JwtRules {
                issuer: Some("us".to_owned()),
                audience: Some("bots".to_owned()),
                leeway: Duration::ZERO,
            };
            let server = Authenticator::new(keys, TokenBook::default(), rules);
            let bot = server.authenticate(&token, at(NOW)).unwrap();
            assert_eq!(bot.subject(), "bot-1");
            assert_eq!(bot.scopes(), new().scopes);
            assert_eq!(bot.symbols().to_string(), "BTC*");
            assert_eq!(bot.credential.name, Name::of_jti("t-1"));
            assert_eq!(bot.expires_at(), at(NOW + 60));
            assert!(server.authenticate(&token, at(NOW + 60)).is_err());
        }
    }

    #[test]
    fn what_would_not_be_let_in_is_not_issued() {
        let keys = |key: &str| keys(&[("k", key.as_bytes())]);
        let said = |keys: &Keys, claims| issue(keys, claims).unwrap_err().to_string();
        assert_eq!(
            said(&keys(&P256.public), new()),
            "no key can sign; name a secret or a PEM private key as auth.jwt_key"
        );
        let keys = keys(&P256.private);
        let subject = String::new();
        assert!(said(&keys, NewClaims { subject, ..new() }).contains("the subject is empty"));
        let symbols = Some(vec!["x".to_owned(); 257]);
        assert!(said(&keys, NewClaims { symbols, ..new() }).contains("257 symbol patterns"));
        for ttl in [Duration::ZERO, Duration::from_millis(999), Duration::MAX] {
            assert!(said(&keys, NewClaims { ttl, ..new() }).contains("the lifetime"));
        }
    }
}
