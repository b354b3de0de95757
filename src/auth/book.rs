use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

use super::credential::Credential;
use super::digest::{Digest, Name};
use super::entries::{Entries, Revoked, TokenEntry};
use super::{InvalidToken, Scopes, Token, token_file};
use crate::key_file::{KeyFile, UnusableFile};
use crate::signal::SymbolFilter;

/// The opaque tokens there are, and what was revoked: the file of `auth.tokens`, to look things
/// up in. Immutable: a changed file makes another one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenBook {
    opaque: HashMap<Name, OpaqueToken>,
    /// Single tokens.
    revoked: HashSet<Name>,
    /// The last second in which a token was issued that is revoked with its subject.
    subjects: HashMap<Box<str>, u64>,
    warnings: Vec<String>,
}

/// What an opaque token is good for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OpaqueToken {
    digest: Digest,
    pub(super) subject: Box<str>,
    pub(super) scopes: Scopes,
    pub(super) symbols: SymbolFilter,
    /// In Unix seconds.
    pub(super) created: u64,
    /// The same; the leeway comes on top.
    pub(super) expires: u64,
}

impl TokenBook {
    /// Reads the file. None there: nothing was issued and nothing revoked.
    ///
    /// # Errors
    /// It cannot be read, others may read it, or what it says cannot be understood.
    pub fn load(path: &Path) -> Result<Self, UnusableFile> {
        let mut warnings = Vec::new();
        let entries = read(path, &mut warnings)?;
        Ok(Self {
            warnings,
            ..Self::of(&entries)
        })
    }

    /// What an operator should know, a line each: that a group may read the file.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    pub(super) fn of(entries: &Entries) -> Self {
        let mut book = Self::default();
        for token in &entries.tokens {
            book.opaque.insert(token.sha256.name(), token.into());
        }
        for entry in &entries.revoked {
            match &entry.what {
                Revoked::Digest(digest) => drop(book.revoked.insert(digest.name())),
                Revoked::Jti(jti) => drop(book.revoked.insert(Name::of_jti(jti))),
                Revoked::Subject(sub) => {
                    let until = book.subjects.entry(sub.as_str().into()).or_default();
                    *until = entry.at.0.max(*until);
                }
            }
        }
        book
    }

    /// What this opaque token is good for, if it is one of ours.
    pub(super) fn find(&self, token: &Token) -> Result<(Name, &OpaqueToken), InvalidToken> {
        let digest = Digest::of(token.reveal());
        match self.opaque.get_key_value(&digest.name()) {
            // In constant time, though a digest tells a guesser nothing of the token.
            Some((name, found)) if found.digest == digest => Ok((*name, found)),
            _ => Err(InvalidToken::Unknown),
        }
    }

    /// The opaque token of this name.
    pub(super) fn named(&self, name: &Name) -> Option<&OpaqueToken> {
        self.opaque.get(name)
    }

    /// Whether somebody has revoked this token, or all of its subject up to it.
    pub(super) fn has_revoked(&self, credential: &Credential, subject: &str) -> bool {
        let with_subject = self.revoked_until(subject);
        self.revoked.contains(&credential.name)
            || with_subject.is_some_and(|until| credential.issued <= until)
    }

    /// The last second, in Unix time, in which a token of this subject was issued that is revoked
    /// with the subject.
    pub fn revoked_until(&self, subject: &str) -> Option<u64> {
        self.subjects.get(subject).copied()
    }
}

impl OpaqueToken {
    /// What it is called where people see it.
    pub(super) fn id(&self) -> String {
        token_file::id(&self.digest)
    }
}

impl From<&TokenEntry> for OpaqueToken {
    fn from(entry: &TokenEntry) -> Self {
        let symbols = entry.symbols.as_ref();
        Self {
            digest: entry.sha256,
            subject: entry.sub.0.as_str().into(),
            scopes: entry.scope.0,
            symbols: symbols.map_or(SymbolFilter::All, |patterns| patterns.0.clone()),
            created: entry.created.0,
            expires: entry.expires.0,
        }
    }
}

/// What the file says; nothing if there is none.
pub(super) fn read(path: &Path, warnings: &mut Vec<String>) -> Result<Entries, UnusableFile> {
    let missing = path
        .symlink_metadata()
        .is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    if missing {
        return Ok(Entries::default());
    }
    let file = KeyFile::read_up_to(path, MOST_BYTES, "name another with --tokens")?;
    warnings.extend(file.check_secrecy()?);
    let text = str::from_utf8(&file.bytes)
        .map_err(|_| UnusableFile::new(path, "is not UTF-8", RESTORE))?;
    toml::from_str(text).map_err(|error| {
        let place = error.span().map_or(0, |span| span.start);
        let before = text.get(..place).unwrap_or(text);
        let line = 1 + before.matches('\n').count();
        let reason = format!("line {line}: {}", error.message().replace("; ", ", "));
        UnusableFile::new(path, reason, RESTORE)
    })
}

const RESTORE: &str = "mend it there, or put back a copy that was good";

/// Some 300,000 entries.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// Loads a file of these bytes; an error without its folder.
    fn load(bytes: &[u8], mode: u32) -> Result<TokenBook, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t");
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let folder = format!("{}/", dir.path().display());
        TokenBook::load(&path).map_err(|error| error.to_string().replace(&folder, ""))
    }

    const TOKEN: &str = r#"
[[tokens]]
sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
sub = "bot-1"
scope = "signals:read"
created = 2026-11-21T10:00:00Z
expires = 2026-12-21T11:00:00+01:00
"#;

    #[test]
    fn no_file_and_an_empty_one_are_an_empty_book() {
        let dir = tempfile::tempdir().unwrap();
        for book in [
            TokenBook::load(&dir.path().join("none/tokens.toml")).unwrap(),
            load(b"", 0o600).unwrap(),
            load(b"# Nothing yet.\n", 0o600).unwrap(),
        ] {
            assert!(book.opaque.is_empty() && book.warnings().is_empty());
        }
    }

    #[test]
    fn a_token_is_found_by_its_whole_digest() {
        let book = load(TOKEN.as_bytes(), 0o600).unwrap();
        let (_, found) = book.find(&Token::new("abc")).unwrap();
        assert_eq!(&*found.subject, "bot-1");
        assert_eq!(
            (found.created, found.expires),
            (1_795_255_200, 1_797_847_200)
        );
        assert_eq!(found.symbols, SymbolFilter::All);
        assert!(book.find(&Token::new("abd")).is_err());
        // The half by which it is looked up is right, the other half is not.
        let other = TOKEN.replace("f20015ad", "f20015ae");
        let book = load(other.as_bytes(), 0o600).unwrap();
        assert!(book.find(&Token::new("abc")).is_err());
    }

    #[test]
    fn what_is_damaged_is_named_with_its_line() {
        let line = |text: &str| TOKEN.replace("sub = \"bot-1\"", text);
        for (text, said) in [
            ("[[tokens]\n".to_owned(), "t: line 1: "),
            (TOKEN.replace("ba78", "xx78"), "line 3: is no SHA-256"),
            (line("sub = \"\""), "line 4: sub is empty"),
            (line("sub = 7"), "line 4: invalid type: integer"),
            (
                line("sub = \"x\"\nsymbls = []"),
                "line 5: unknown field `symbls`",
            ),
            (line(""), "line 2: missing field `sub`"),
            (
                TOKEN.replace("signals:read", "signals:reed"),
                "line 5: \"signals:reed\" is no scope",
            ),
            (
                TOKEN.replace("10:00:00Z", "10:00:00"),
                "line 6: is no date and time with an offset",
            ),
            (
                TOKEN.replace("2026-11", "9999-11"),
                "line 6: is not between the years 1970 and 5138",
            ),
            (
                "\n[[revoked]]\nat = 2026-11-21T10:00:00Z\n".to_owned(),
                "line 2: a revocation names one of",
            ),
            (
                "[[revoked]]\nsub = \"a\"\njti = \"b\"\nat = 2026-11-21T10:00:00Z\n".to_owned(),
                "line 1: a revocation names one of",
            ),
            ("tokens = 7\n".to_owned(), "line 1: invalid type"),
            ("other = 7\n".to_owned(), "line 1: unknown field"),
        ] {
            let error = load(text.as_bytes(), 0o600).unwrap_err();
            assert!(error.contains(said), "{error} is not {said}");
            assert!(
                error.ends_with("; mend it there, or put back a copy that was good"),
                "{error}"
            );
            assert_eq!(error.matches("; ").count(), 1, "{error}");
        }
        assert_eq!(
            load(b"\xff", 0o600).unwrap_err(),
            "t: is not UTF-8; mend it there, or put back a copy that was good"
        );
    }

    #[test]
    fn the_file_is_its_owners_alone() {
        let refused = load(TOKEN.as_bytes(), 0o644).unwrap_err();
        assert_eq!(
            refused,
            "t: others may read it (mode 0644); run chmod 600 t"
        );
        let book = load(TOKEN.as_bytes(), 0o640).unwrap();
        assert!(book.warnings()[0].contains("its group may read it"));
    }
}
