use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::book::{OpaqueToken, TokenBook};
use super::claims::Claims;
use super::credential::Credential;
use super::digest::Name;
use super::{InvalidToken, KeySet, Keys, Principal, Token, jwt};

/// What a JWT must say besides being signed by one of our keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtRules {
    /// The only `iss` that is trusted; `None`: any, or none.
    pub issuer: Option<String>,
    /// What `aud` must name; `None`: anything, or nothing.
    pub audience: Option<String>,
    /// How far the issuer's clock and ours may be apart.
    pub leeway: Duration,
}

/// Turns tokens into principals. Immutable: other keys, tokens or revocations make another one.
#[derive(Clone, Debug)]
pub struct Authenticator {
    keys: Keys,
    book: TokenBook,
    rules: JwtRules,
}

/// Why somebody who was let in would be let in no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdrawn {
    /// The token was revoked, or is no longer among the opaque ones.
    Revoked,
    /// The opaque token is good for something else now.
    Changed,
    /// The key that signed the token is no longer one of ours.
    KeyGone,
}

impl Authenticator {
    /// Trusts these keys, under these rules, and the opaque tokens of this book; not what it says
    /// was revoked.
    pub fn new(keys: Keys, book: TokenBook, rules: JwtRules) -> Self {
        Self { keys, book, rules }
    }

    /// The same with another key set.
    #[must_use]
    pub fn with_key_set(mut self, set: Arc<KeySet>) -> Self {
        self.keys.replace_set(set);
        self
    }

    /// How far the issuer's clock and ours may be apart: so much later than a token says it counts
    /// as expired.
    pub fn leeway(&self) -> Duration {
        self.rules.leeway
    }

    /// The key set, if there is one.
    pub fn key_set(&self) -> Option<&Arc<KeySet>> {
        self.keys.set()
    }

    /// Who this is, if the token is good at this moment. Costs one signature check for each key
    /// that takes the token's algorithm, at most.
    ///
    /// # Errors
    /// The token is malformed or unknown, not signed by one of our keys, revoked, or its claims
    /// don't hold.
    pub fn authenticate(&self, token: &Token, now: SystemTime) -> Result<Principal, InvalidToken> {
        let principal = if token.is_opaque() {
            let (name, found) = self.book.find(token)?;
            self.by_opaque(name, found)
        } else {
            self.by_jwt(token, now)?
        };
        if now >= principal.expires_at {
            return Err(InvalidToken::Expired);
        }
        if self.has_revoked(&principal) {
            return Err(InvalidToken::Revoked);
        }
        Ok(principal)
    }

    /// Whether somebody whom an earlier one let in would still be let in, but for the time. Costs
    /// a few look-ups by hash.
    ///
    /// # Errors
    /// Why not.
    pub fn still_admits(&self, principal: &Principal) -> Result<(), Withdrawn> {
        if self.has_revoked(principal) {
            return Err(Withdrawn::Revoked);
        }
        let name = principal.credential.name;
        match principal.credential.key {
            Some(key) if self.keys.contains(key) => Ok(()),
            Some(_) => Err(Withdrawn::KeyGone),
            None => match self.book.named(&name) {
                Some(found) if self.by_opaque(name, found) == *principal => Ok(()),
                Some(_) => Err(Withdrawn::Changed),
                None => Err(Withdrawn::Revoked),
            },
        }
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(super) fn book(&self) -> &TokenBook {
        &self.book
    }

    fn has_revoked(&self, principal: &Principal) -> bool {
        self.book
            .has_revoked(&principal.credential, &principal.subject)
    }

    fn by_opaque(&self, name: Name, token: &OpaqueToken) -> Principal {
        Principal {
            subject: token.subject.clone(),
            scopes: token.scopes,
            symbols: token.symbols.clone(),
            expires_at: self.with_leeway(token.expires),
            credential: Credential {
                name,
                key: None,
                issued: token.created,
            },
        }
    }

    fn by_jwt(&self, token: &Token, now: SystemTime) -> Result<Principal, InvalidToken> {
        let verified = jwt::verify(token, &self.keys)?;
        let claims = Claims::parse(&verified.payload)?;
        self.check_parties(&claims)?;
        let expires_at = self.check_times(&claims, now)?;
        Ok(Principal {
            credential: Credential {
                name: claims.name(&verified.digest),
                key: Some(verified.key),
                issued: claims.iat.unwrap_or_default(),
            },
            subject: claims.sub,
            scopes: claims.scopes,
            symbols: claims.symbols,
            expires_at,
        })
    }

    fn check_parties(&self, claims: &Claims) -> Result<(), InvalidToken> {
        if self.rules.issuer.is_some() && claims.iss.as_deref() != self.rules.issuer.as_deref() {
            return Err(InvalidToken::Issuer);
        }
        match &self.rules.audience {
            Some(ours) if !claims.aud.iter().any(|aud| **aud == **ours) => {
                Err(InvalidToken::Audience)
            }
            _ => Ok(()),
        }
    }

    /// When the token counts as expired, if it does not yet.
    fn check_times(&self, claims: &Claims, now: SystemTime) -> Result<SystemTime, InvalidToken> {
        let leeway = self.rules.leeway;
        let expires_at = self.with_leeway(claims.exp);
        if now >= expires_at {
            return Err(InvalidToken::Expired);
        }
        let too_far = |time: Option<u64>| {
            time.is_some_and(|time| {
                at(time)
                    .duration_since(now)
                    .is_ok_and(|ahead| ahead > leeway)
            })
        };
        if too_far(claims.nbf) {
            return Err(InvalidToken::NotYetValid);
        }
        if too_far(claims.iat) {
            return Err(InvalidToken::IssuedInFuture);
        }
        Ok(expires_at)
    }

    fn with_leeway(&self, expires: u64) -> SystemTime {
        let expires = at(expires);
        expires.checked_add(self.rules.leeway).unwrap_or(expires)
    }
}

/// Times are at most [`super::claims::LATEST`], which every clock can show.
fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests;
