use std::time::SystemTime;

use crate::auth::{Authenticator, Inspection, Keys, Token};
use crate::config::{Config, Jwks, Refusals};
use crate::credentials::{load_book, load_keys};
use crate::jwks;

/// What a token says, and whether a server with these settings would take it.
///
/// # Errors
/// The keys or the file of opaque tokens can't be used.
pub fn inspect(config: &Config, token: &Token, now: SystemTime) -> Result<Inspection, Refusals> {
    // An opaque token needs no key, and there may be none.
    let keys = if token.is_opaque() {
        Ok(Keys::default())
    } else {
        load_keys(config).map(|keys| match &config.auth.jwks {
            // As the server last saw them: whoever inspects may be off line.
            Some(Jwks::Url(url)) => keys.with_set(jwks::kept(url, &config.data_dir)),
            _ => keys,
        })
    };
    match (keys, load_book(config)) {
        (Ok(keys), Ok(book)) => {
            Ok(Authenticator::new(keys, book, config.auth.jwt_rules()).inspect(token, now))
        }
        (keys, book) => {
            let mut refusals = keys.err().unwrap_or_default();
            refusals.extend(book.err().unwrap_or_default());
            Err(refusals)
        }
    }
}
