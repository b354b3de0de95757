use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};

use super::book;
use super::digest::Digest;
use super::entries::{
    Entries, Patterns, Revoked, RevokedEntry, ScopeText, Second, Subject, TokenEntry,
};
use super::issue::{Claims, IssueError, NewClaims};
use super::{InvalidToken, Keys, Token, jwt, opaque};
use crate::key_file::{self, UnusableFile};
use crate::signal::SymbolFilter;

/// The file of `auth.tokens`, held while it is changed: two commands at once wait for each other.
///
/// It is the command's own. Whatever else stands in it, such as comments, is gone with the next
/// change.
#[derive(Debug)]
pub struct TokenFile {
    /// Where it really is, if the setting names a link to it.
    path: PathBuf,
    entries: Entries,
    _lock: File,
}

/// What is to be revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// This token, or the opaque one whose id this is.
    Token(Token),
    /// The JWTs of this name.
    Jti(String),
    /// All tokens of this subject up to now.
    Subject(String),
}

/// A revocation that is not possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevokeError {
    /// It is nothing that could be revoked.
    #[error("is neither a token nor the id of an opaque one; see signalcast token list")]
    NotAToken,
    /// It looks like an opaque token, or like the id of one.
    #[error("there is no such token; see signalcast token list")]
    Unknown,
    /// It is the beginning of several ids.
    #[error("is the beginning of several ids; write a longer one")]
    Ambiguous,
    /// It looks like a JWT, and nothing can be read in it.
    #[error("{0}; copy it whole, or use --jti or --sub")]
    Unreadable(InvalidToken),
}

/// Nothing was revoked.
#[derive(Debug, thiserror::Error)]
pub enum NotRevoked {
    /// There is no such token.
    #[error(transparent)]
    Target(#[from] RevokeError),
    /// The file of tokens can't be used.
    #[error(transparent)]
    File(#[from] UnusableFile),
}

impl TokenFile {
    /// Waits until nobody else changes the file, for five seconds at most, and reads it. None
    /// there: it is made when it is [saved](Self::save).
    ///
    /// # Errors
    /// As [`TokenBook::load`](super::TokenBook::load), or the folder cannot be written to.
    pub fn hold(path: &Path) -> Result<Self, UnusableFile> {
        let place = if path.is_symlink() {
            fs::canonicalize(path).map_err(|error| key_file::cannot_make(path, &error))?
        } else {
            path.to_owned()
        };
        let lock = lock(&place).map_err(|error| cannot_lock(path, &error))?;
        let entries = book::read(path, &mut Vec::new())?;
        Ok(Self {
            path: place,
            entries,
            _lock: lock,
        })
    }

    /// Adds a new opaque token. It counts once the file is [saved](Self::save).
    ///
    /// # Errors
    /// The token would be refused, or the system gives no random numbers.
    pub fn issue(&mut self, claims: NewClaims) -> Result<Token, IssueError> {
        let patterns = claims.symbols.clone().map(SymbolFilter::matching);
        let symbols = patterns.transpose()?.map(Patterns);
        let scope = ScopeText(claims.scopes);
        let claims = Claims::try_from(claims)?;
        let token = opaque::random()?;
        self.entries.tokens.push(TokenEntry {
            sha256: Digest::of(token.reveal()),
            sub: Subject(claims.sub),
            scope,
            symbols,
            created: Second(claims.iat),
            expires: Second(claims.exp),
        });
        Ok(token)
    }

    /// Revokes, and says in words what. It counts once the file is [saved](Self::save).
    ///
    /// A JWT need not be signed by one of these keys: the server may know more. But only then
    /// what it says of its end is believed; else the revocation stays.
    ///
    /// # Errors
    /// There is no such token.
    pub fn revoke(
        &mut self,
        target: &Target,
        keys: &Keys,
        now: SystemTime,
    ) -> Result<String, RevokeError> {
        let (what, expires, words) = match target {
            Target::Token(token) => self.of_token(token, keys)?,
            Target::Jti(jti) => (Revoked::Jti(jti.clone()), None, format!("the JWT {jti:?}")),
            Target::Subject(sub) => (
                Revoked::Subject(sub.clone()),
                None,
                format!("all tokens of {sub:?} issued until now"),
            ),
        };
        let at = second(now);
        let found = self.entries.revoked.iter_mut();
        let mut same = found.filter(|entry| entry.what == what);
        match (same.next(), target) {
            (None, _) => self
                .entries
                .revoked
                .push(RevokedEntry { what, at, expires }),
            (Some(entry), Target::Subject(_)) => entry.at = entry.at.max(at),
            (Some(entry), _) => {
                let both = entry.expires.zip(expires);
                entry.expires = both.map(|(one, other)| one.max(other));
                return Ok(format!("{words}, already at {}", entry.at));
            }
        }
        Ok(words)
    }

    /// Writes the file anew, whole or not at all, without what has expired long ago.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(mut self, leeway: Duration, now: SystemTime) -> Result<(), UnusableFile> {
        self.forget_before(second(now - KEPT).0.saturating_sub(leeway.as_secs()));
        let entries = toml::to_string(&self.entries).expect("entries are what TOML can say");
        key_file::replace(&self.path, format!("{NOTE}\n{entries}").as_bytes(), 0o600)
    }

    fn of_token(&self, token: &Token, keys: &Keys) -> Result<Found, RevokeError> {
        if token.is_opaque() {
            let digest = Digest::of(token.reveal());
            let found = self
                .entries
                .tokens
                .iter()
                .find(|entry| entry.sha256 == digest);
            return found.map(of_opaque).ok_or(RevokeError::Unknown);
        }
        if token.reveal().contains('.') {
            return of_jwt(token, keys).map_err(RevokeError::Unreadable);
        }
        let id = token.reveal().to_ascii_lowercase();
        let is_hex = id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hex || !(SHORTEST_ID..=64).contains(&id.len()) {
            return Err(RevokeError::NotAToken);
        }
        let tokens = self.entries.tokens.iter();
        let mut found = tokens.filter(|entry| entry.sha256.to_string().starts_with(&id));
        match (found.next(), found.next()) {
            (Some(entry), None) => Ok(of_opaque(entry)),
            (Some(_), Some(_)) => Err(RevokeError::Ambiguous),
            (None, _) => Err(RevokeError::Unknown),
        }
    }

    fn forget_before(&mut self, second: u64) {
        self.entries
            .tokens
            .retain(|entry| entry.expires.0 >= second);
        let lasts = |entry: &RevokedEntry| entry.expires.is_none_or(|end| end.0 >= second);
        self.entries.revoked.retain(lasts);
    }
}

/// What a token's revocation says, when it expires, and the same in words.
type Found = (Revoked, Option<Second>, String);

fn of_opaque(entry: &TokenEntry) -> Found {
    let words = format!(
        "the opaque token {} of {:?}",
        id(&entry.sha256),
        entry.sub.0
    );
    (Revoked::Digest(entry.sha256), Some(entry.expires), words)
}

fn of_jwt(token: &Token, keys: &Keys) -> Result<Found, InvalidToken> {
    let (claims, digest) = jwt::unverified(token)?;
    let genuine = jwt::verify(token, keys).is_ok();
    let (what, mut words) = match claims.jti.as_deref() {
        None | Some("") => {
            let words = format!("a JWT of {:?}", claims.sub);
            (Revoked::Digest(digest), words)
        }
        Some(jti) => {
            let words = format!("the JWT {jti:?} of {:?}", claims.sub);
            (Revoked::Jti(jti.to_owned()), words)
        }
    };
    if !genuine {
        words.push_str(", which no key here has signed");
    }
    Ok((what, genuine.then_some(Second(claims.exp)), words))
}

/// What an opaque token is called where people see it.
pub(super) fn id(digest: &Digest) -> String {
    let mut id = digest.to_string();
    id.truncate(ID_DIGITS);
    id
}

fn lock(path: &Path) -> io::Result<File> {
    // Beside it, for the file itself is another one after each change.
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    let path = path.with_file_name(name);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    let began = Instant::now();
    loop {
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(lock),
            Err(rustix::io::Errno::WOULDBLOCK) if began.elapsed() < LONGEST_WAIT => {
                thread::sleep(LOOK_AGAIN);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn cannot_lock(path: &Path, error: &io::Error) -> UnusableFile {
    if error.kind() != io::ErrorKind::WouldBlock {
        return key_file::cannot_make(path, error);
    }
    let reason = format!(
        "another command has been changing it for {} s",
        LONGEST_WAIT.as_secs()
    );
    UnusableFile::new(path, reason, "end that one, which hangs")
}

pub(super) fn second(time: SystemTime) -> Second {
    Second(
        time.duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs(),
    )
}

/// How long a token that has expired is remembered: so long its owner is told that it has
/// expired, and a server whose leeway this command does not know keeps it revoked.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Others hold the file for some milliseconds each.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// 64 bits: enough to tell some hundred million tokens apart.
const ID_DIGITS: usize = 16;

/// Less than this was hardly copied from a list.
const SHORTEST_ID: usize = 8;

const NOTE: &str = "\
# Opaque tokens (only their SHA-256) and revocations. Kept by `signalcast token`: use that to change
# it. Comments and blank lines are not kept.
";
