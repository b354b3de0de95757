//! A first start works with nothing there, and tells what to do next.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::auth::{Keys, TokenBook, create_signing_key};
use crate::certs::{self, Identity};
use crate::config::{Config, Refusal, Refusals, Transport};
use crate::credentials::{
    certificate_refused, keys_refused, load_book, load_hooks, load_identity, load_key_set,
    load_keys,
};
use crate::hook::Hooks;
use crate::key_file::Made;

mod welcome;

pub use welcome::{Announcement, Reader};

/// What must be there before a port is bound, loaded and checked.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Keys for tokens.
    pub keys: Keys,
    /// Opaque tokens and revocations.
    pub book: TokenBook,
    /// The certificate; none with plaintext.
    pub identity: Option<Identity>,
    /// Doors for senders that can't set headers.
    pub hooks: Hooks,
    /// Whether any of them was made just now.
    pub made: Made,
}

impl Prepared {
    /// What an operator should know, a line each; for the log.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        let identity = self.identity.iter().flat_map(Identity::warnings);
        self.keys
            .warnings()
            .iter()
            .chain(self.book.warnings())
            .chain(self.hooks.warnings())
            .chain(identity)
            .map(|line| &**line)
    }
}

/// Makes what a first start needs, the data folder among it, and loads it. Files that somebody
/// named are never made: a mistyped name must not become a key that nobody knows.
///
/// # Errors
/// Everything that can't be used or made, before anything is made.
pub fn prepare(config: &Config, now: SystemTime) -> Result<Prepared, Refusals> {
    look(config, now).into_result()?;
    make_data_dir(config)?;
    let mut made = Made::Existing;
    let mut note = |new| {
        if new == Made::New {
            made = Made::New;
        }
    };
    if let Some(folder) = certificate_folder(config) {
        let new = certs::make_development(folder, now);
        note(new.map_err(|error| certificate_refused(config, &[error]))?);
    }
    if let Some(path) = key_to_make(config) {
        let new = create_signing_key(path);
        note(new.map_err(|error| keys_refused(config, &[error]))?);
    }
    let (keys, identity) = (load_keys(config), load_identity(config, now));
    let hooks = load_hooks(config)?;
    match (keys, load_book(config), identity) {
        (Ok(keys), Ok(book), Ok(identity)) => Ok(Prepared {
            keys,
            book,
            identity,
            hooks,
            made,
        }),
        (keys, book, identity) => {
            let mut refusals = keys.err().unwrap_or_default();
            refusals.extend(book.err().unwrap_or_default());
            refusals.extend(identity.err().unwrap_or_default());
            Err(refusals)
        }
    }
}

/// What [`prepare`] would refuse. Makes nothing.
pub fn look(config: &Config, now: SystemTime) -> Refusals {
    let mut refusals = Refusals::new();
    if is_certificate_missing(config) {
        if let Some(refusal) = config.development_certificate_on_a_network() {
            refusals.push(refusal);
        }
    } else {
        refusals.extend(load_identity(config, now).err().unwrap_or_default());
    }
    if key_to_make(config).is_none_or(Path::exists) {
        refusals.extend(load_keys(config).err().unwrap_or_default());
    } else {
        refusals.extend(load_key_set(config).err().unwrap_or_default());
    }
    refusals.extend(load_book(config).err().unwrap_or_default());
    refusals.extend(load_hooks(config).err().unwrap_or_default());
    refusals
}

/// What an operator should know of keys, tokens and certificate that are there, a line each.
pub fn warnings(config: &Config, now: SystemTime) -> Vec<String> {
    let keys = load_keys(config).unwrap_or_default();
    let identity = load_identity(config, now).unwrap_or_default();
    let of_identity = identity.iter().flat_map(Identity::warnings);
    let book = load_book(config).unwrap_or_default();
    let hooks = load_hooks(config).unwrap_or_default();
    let of_files = keys.warnings().iter().chain(book.warnings());
    let of_files = of_files.chain(hooks.warnings());
    of_files.chain(of_identity).cloned().collect()
}

/// The folder for a development certificate, if this start is one that may make it.
fn certificate_folder(config: &Config) -> Option<&Path> {
    let named = config.is_set("server.tls_cert") || config.is_set("server.tls_key");
    if named || config.server.transport == Transport::Plaintext {
        return None;
    }
    config.server.tls_cert.parent()
}

fn is_certificate_missing(config: &Config) -> bool {
    certificate_folder(config).is_some()
        && !config.server.tls_cert.exists()
        && !config.server.tls_key.exists()
}

/// The key that this start may make, if nobody named others.
fn key_to_make(config: &Config) -> Option<&Path> {
    if config.is_set("auth.jwt_key") {
        return None;
    }
    config.auth.jwt_key.first().map(PathBuf::as_path)
}

fn make_data_dir(config: &Config) -> Result<(), Refusal> {
    fs::create_dir_all(&config.data_dir).map_err(|error| {
        config.refusal(
            "data_dir",
            format!("can't make {}: {error}", config.data_dir.display()),
            "name a folder this user may write to with --data-dir",
        )
    })
}

#[cfg(test)]
mod tests;
