use std::fmt::Write as _;
use std::path::Path;
use std::time::SystemTime;

use super::book::{self, TokenBook};
use super::credential::Credential;
use super::entries::{Entries, Revoked, RevokedEntry, Second, TokenEntry};
use super::token_file::{id, second};
use crate::key_file::UnusableFile;
use crate::printable::printable;
use crate::signal::SymbolFilter;

impl TokenBook {
    /// What is in the file, for people: a line each, opaque tokens first, then revocations.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn list(path: &Path, now: SystemTime) -> Result<String, UnusableFile> {
        let entries = book::read(path, &mut Vec::new())?;
        Ok(of(&entries, second(now)))
    }
}

/// A table of the opaque tokens, and one of the revocations; never a token.
fn of(entries: &Entries, now: Second) -> String {
    let book = TokenBook::of(entries);
    let mut tokens = entries.tokens.clone();
    tokens.sort_by_key(|token| token.created);
    let rows = tokens.iter().map(|token| row(token, &book, now));
    let mut text = table(
        [
            "ID", "SUBJECT", "SCOPES", "SYMBOLS", "CREATED", "EXPIRES", "STATE",
        ],
        rows,
    );
    if !text.is_empty() && !entries.revoked.is_empty() {
        text.push('\n');
    }
    let rows = entries.revoked.iter().map(revocation);
    text.push_str(&table(["REVOKED", "WHAT", "AT", "EXPIRES"], rows));
    text
}

fn row(token: &TokenEntry, book: &TokenBook, now: Second) -> [String; 7] {
    let credential = Credential {
        name: token.sha256.name(),
        key: None,
        issued: token.created.0,
    };
    let state = if book.has_revoked(&credential, &token.sub.0) {
        "revoked"
    } else if token.expires <= now {
        "expired"
    } else {
        "good"
    };
    let symbols = token.symbols.as_ref();
    [
        id(&token.sha256),
        printable(&token.sub.0),
        token.scope.0.to_string(),
        printable(
            &symbols
                .map_or(&SymbolFilter::All, |patterns| &patterns.0)
                .to_string(),
        ),
        token.created.to_string(),
        token.expires.to_string(),
        state.to_owned(),
    ]
}

fn revocation(entry: &RevokedEntry) -> [String; 4] {
    let (kind, what) = match &entry.what {
        Revoked::Digest(digest) => ("token", id(digest)),
        Revoked::Jti(jti) => ("jti", printable(jti)),
        Revoked::Subject(sub) => ("sub", printable(sub)),
    };
    let expires = entry
        .expires
        .map_or_else(|| "-".to_owned(), |end| end.to_string());
    [kind.to_owned(), what, entry.at.to_string(), expires]
}

/// Columns as wide as what is in them, two blanks between; nothing if there is no row.
fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut lines = vec![head.map(str::to_owned)];
    lines.extend(rows);
    if lines.len() == 1 {
        return String::new();
    }
    let mut widths = [0; N];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for line in &lines {
        let mut written = String::new();
        for (cell, width) in line.iter().zip(widths) {
            // Writing to a string does not fail.
            let _ = write!(written, "{cell:width$}  ");
        }
        text.push_str(written.trim_end());
        text.push('\n');
    }
    text
}
