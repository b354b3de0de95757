use std::time::SystemTime;

use crate::auth::TokenBook;
use crate::config::{Config, Refusals};
use crate::credentials::book_refused;

/// The opaque tokens, without the tokens, and the revocations: two tables for people.
///
/// # Errors
/// The file can't be used.
pub fn list(config: &Config, now: SystemTime) -> Result<String, Refusals> {
    TokenBook::list(&config.auth.tokens, now).map_err(|error| book_refused(config, &error))
}
