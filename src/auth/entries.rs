//! What stands in the file of `auth.tokens`.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use toml::value::Datetime;

use super::Scopes;
use super::claims::LATEST;
use super::digest::Digest;
use crate::signal::SymbolFilter;

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entries {
    /// Opaque tokens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tokens: Vec<TokenEntry>,
    /// Tokens that are good no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) revoked: Vec<RevokedEntry>,
}

/// One opaque token: all that it is good for, and not the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenEntry {
    pub(super) sha256: Digest,
    pub(super) sub: Subject,
    pub(super) scope: ScopeText,
    /// None: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) symbols: Option<Patterns>,
    pub(super) created: Second,
    pub(super) expires: Second,
}

/// One revocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawRevoked", into = "RawRevoked")]
pub(super) struct RevokedEntry {
    pub(super) what: Revoked,
    /// When that was.
    pub(super) at: Second,
    /// When the token expires by itself, if that is known.
    pub(super) expires: Option<Second>,
}

/// What a revocation concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Revoked {
    /// The opaque token of this digest, or the JWT without a `jti` of which this is the digest of
    /// what was signed.
    Digest(Digest),
    /// The JWT of this name.
    Jti(String),
    /// All tokens of this subject that were issued up to then.
    Subject(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRevoked {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    at: Second,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<Second>,
}

impl TryFrom<RawRevoked> for RevokedEntry {
    type Error = &'static str;

    fn try_from(raw: RawRevoked) -> Result<Self, Self::Error> {
        let what = match (raw.sha256, raw.jti, raw.sub) {
            (Some(digest), None, None) => Revoked::Digest(digest),
            (None, Some(jti), None) => Revoked::Jti(jti),
            (None, None, Some(sub)) => Revoked::Subject(sub),
            _ => return Err("a revocation names one of sha256, jti and sub"),
        };
        Ok(Self {
            what,
            at: raw.at,
            expires: raw.expires,
        })
    }
}

impl From<RevokedEntry> for RawRevoked {
    fn from(entry: RevokedEntry) -> Self {
        let (mut sha256, mut jti, mut sub) = (None, None, None);
        match entry.what {
            Revoked::Digest(digest) => sha256 = Some(digest),
            Revoked::Jti(name) => jti = Some(name),
            Revoked::Subject(name) => sub = Some(name),
        }
        Self {
            sha256,
            jti,
            sub,
            at: entry.at,
            expires: entry.expires,
        }
    }
}

/// Whom a token is for; not empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Subject(pub(super) String);

impl TryFrom<String> for Subject {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.is_empty() {
            return Err("sub is empty");
        }
        Ok(Self(text))
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.0
    }
}

/// Scopes, with a space between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct ScopeText(pub(super) Scopes);

impl TryFrom<String> for ScopeText {
    type Error = super::UnknownScope;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

impl From<ScopeText> for String {
    fn from(scopes: ScopeText) -> Self {
        scopes.0.to_string()
    }
}

/// Patterns of symbols, not too many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub(super) struct Patterns(pub(super) SymbolFilter);

impl TryFrom<Vec<String>> for Patterns {
    type Error = crate::signal::InvalidPattern;

    fn try_from(patterns: Vec<String>) -> Result<Self, Self::Error> {
        SymbolFilter::matching(patterns).map(Self)
    }
}

impl From<Patterns> for Vec<String> {
    fn from(patterns: Patterns) -> Self {
        match patterns.0 {
            SymbolFilter::All => vec!["*".to_owned()],
            SymbolFilter::Matching(patterns) => {
                patterns.iter().map(|pattern| (**pattern).into()).collect()
            }
        }
    }
}

/// A moment in whole Unix seconds. In the file a TOML date with time and offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Datetime", into = "Datetime")]
pub(super) struct Second(pub(super) u64);

impl fmt::Display for Second {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.0.min(LATEST)).unwrap_or_default();
        match Timestamp::from_second(seconds) {
            Ok(time) => write!(f, "{time}"),
            Err(_) => write!(f, "{seconds}"),
        }
    }
}

impl TryFrom<Datetime> for Second {
    type Error = &'static str;

    fn try_from(time: Datetime) -> Result<Self, Self::Error> {
        let time: Timestamp = time
            .to_string()
            .parse()
            .map_err(|_| "is no date and time with an offset, such as 2026-11-21T10:00:00Z")?;
        match u64::try_from(time.as_second()) {
            Ok(second) if second <= LATEST => Ok(Self(second)),
            _ => Err("is not between the years 1970 and 5138"),
        }
    }
}

impl From<Second> for Datetime {
    fn from(second: Second) -> Self {
        second
            .to_string()
            .parse()
            .expect("RFC 3339 is what TOML writes")
    }
}
