use std::time::SystemTime;

use super::last_known_keys;
use crate::auth::{Authenticator, Inspection, Keys, Token};
use crate::config::{Config, Refusals};
use crate::credentials::load_book;

/// What a token says, and whether a server with these settings would take it.
///
/// # Errors
/// The keys or the file of opaque tokens can't be used.
pub fn inspect(config: &Config, token: &Token, now: SystemTime) -> Result<Inspection, Refusals> {
    // An opaque token needs no key, and there may be none.
    let keys = if token.is_opaque() {
        Ok(Keys::default())
    } else {
        last_known_keys(config)
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
