//! The public keys of an issuer of tokens, as a JSON Web Key Set (RFC 7517, section 5).

use std::path::Path;

use jsonwebtoken::Algorithm;
use serde_json::Value;

use super::json;
use super::key::{Key, KeyId};
use crate::key_file::{KeyFile, UnusableFile};

mod jwk;

/// The usable keys of a set. Entries that can't be used are left out and never keep the others
/// from being used.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<SetKey>,
    warnings: Vec<String>,
}

/// The same keys under the same names; the warnings don't count.
impl PartialEq for KeySet {
    fn eq(&self, other: &Self) -> bool {
        self.keys == other.keys
    }
}

#[derive(Clone, Debug, PartialEq)]
struct SetKey {
    kid: Option<String>,
    key: Key,
}

/// Why a text is no set with keys for us.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKeySet {
    /// Longer than [`KeySet::MOST_BYTES`].
    #[error("is longer than {} KiB", KeySet::MOST_BYTES / 1024)]
    TooLong,
    /// Not JSON that everyone reads alike.
    #[error("is not a JSON object, or a key occurs twice in it")]
    NotJson,
    /// JSON of another kind.
    #[error("has no list keys, as a JSON Web Key Set has")]
    NoList,
    /// More than [`KeySet::MOST_KEYS`].
    #[error("has {0} keys; {most} are taken", most = KeySet::MOST_KEYS)]
    TooMany(usize),
    /// Nothing is left. A set without keys would lock everybody out, which is more likely a
    /// mistake than what somebody wants.
    #[error("holds no key to check signatures with{}", .0.as_ref().map(|why| format!(" ({why})")).unwrap_or_default())]
    NoKey(Option<String>),
}

impl KeySet {
    /// A thousand keys with their certificates need less.
    pub const MOST_BYTES: usize = 1 << 20;

    /// Issuers publish a handful: the key of today, of tomorrow and of yesterday.
    pub const MOST_KEYS: usize = 1000;

    /// Reads a set.
    ///
    /// # Errors
    /// It is no set, or no key in it can be used.
    pub fn parse(text: &[u8]) -> Result<Self, BadKeySet> {
        if text.len() > Self::MOST_BYTES {
            return Err(BadKeySet::TooLong);
        }
        let mut set = json::object(text).ok_or(BadKeySet::NotJson)?;
        let Some(Value::Array(entries)) = set.remove("keys") else {
            return Err(BadKeySet::NoList);
        };
        if entries.len() > Self::MOST_KEYS {
            return Err(BadKeySet::TooMany(entries.len()));
        }
        let mut read = Self::default();
        for (place, entry) in entries.iter().enumerate() {
            read.add(place, entry);
        }
        if read.keys.is_empty() {
            return Err(BadKeySet::NoKey(read.warnings.into_iter().next()));
        }
        Ok(read)
    }

    /// Reads the set in a file.
    ///
    /// # Errors
    /// It can't be read, or [`Self::parse`] refuses it.
    pub fn load(path: &Path) -> Result<Self, UnusableFile> {
        let file = KeyFile::read(path, "put the key set there, or name another as auth.jwks")?;
        let mut set = Self::parse(&file.bytes)
            .map_err(|problem| UnusableFile::new(path, problem.to_string(), EXPORT_AGAIN))?;
        for warning in &mut set.warnings {
            *warning = format!("{}: {warning}", path.display());
        }
        Ok(set)
    }

    /// How many keys can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none, as before the first set has been read.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// What an operator should know, a line each: keys that were left out, and why.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Whether this key is among them.
    pub(super) fn contains(&self, id: KeyId) -> bool {
        self.keys.iter().any(|key| key.key.id() == id)
    }

    /// The keys that may have signed a token with this `kid`: those of that name and those without
    /// one; for a token that names none, all.
    ///
    /// The number is bounded, or else each bad token would cost a signature check for each key.
    pub(super) fn candidates(
        &self,
        kid: Option<&str>,
        alg: Algorithm,
    ) -> impl Iterator<Item = &Key> {
        let meant = move |key: &&SetKey| match (kid, &key.kid) {
            (Some(named), Some(ours)) => named == ours,
            _ => true,
        };
        self.keys
            .iter()
            .filter(meant)
            .map(|key| &key.key)
            .filter(move |key| key.takes(alg))
            .take(MOST_CANDIDATES)
    }

    /// Whether a newer edition of this set might hold the key of a token that none of these has
    /// signed: it names a key that is not here, or there are no names to tell keys by.
    pub(super) fn is_behind(&self, kid: Option<&str>) -> bool {
        match kid {
            Some(kid) => self.keys.iter().all(|key| key.kid.as_deref() != Some(kid)),
            None => self.keys.iter().all(|key| key.kid.is_none()),
        }
    }

    /// Whether this is an algorithm of secrets.
    pub(super) fn never_holds(alg: Algorithm) -> bool {
        matches!(alg, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512)
    }

    fn add(&mut self, place: usize, entry: &Value) {
        let kid = entry.get("kid").and_then(Value::as_str);
        let name = kid.map_or_else(
            || format!("key {} (without kid)", place + 1),
            |kid| format!("key {:?}", shortened(kid)),
        );
        let key = match jwk::parse(entry) {
            Ok(Some(key)) => key,
            // For encryption: nothing is wrong with it, it is just not for us.
            Ok(None) => return,
            Err(problem) => {
                self.warnings.push(format!("{name} is left out: {problem}"));
                return;
            }
        };
        if jwk::shows_private_half(entry) {
            self.warnings.push(format!(
                "{name} is there with its private half, with which others may have signed tokens; \
                 have it replaced by a new one"
            ));
        }
        if kid.is_some_and(|kid| !self.is_behind(Some(kid))) {
            self.warnings
                .push(format!("{name} is there more than once; all are tried"));
        }
        let kid = kid.map(str::to_owned);
        self.keys.push(SetKey { kid, key });
    }
}

/// For a log: control characters are escaped by whoever shows it.
fn shortened(kid: &str) -> String {
    kid.chars().take(MOST_SHOWN).collect()
}

/// Keys of one set that are tried on one token. Tokens of large sets name their key.
const MOST_CANDIDATES: usize = 16;

/// Characters of a `kid` that a warning shows.
const MOST_SHOWN: usize = 64;

const EXPORT_AGAIN: &str =
    "put a JSON Web Key Set there, {\"keys\":[…]}, as its issuer publishes it";

#[cfg(test)]
mod tests;
