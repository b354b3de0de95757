use std::time::SystemTime;

use super::last_known_keys;
use crate::auth::{Target, TokenFile};
use crate::config::{Config, Problem, Refusals};
use crate::credentials::book_refused;

/// Revokes, and says in words what.
///
/// # Errors
/// There is no such token, or the file can't be used.
pub fn revoke(config: &Config, target: &Target, now: SystemTime) -> Result<String, Refusals> {
    let refuse = |error| book_refused(config, &error);
    let mut file = TokenFile::hold(&config.auth.tokens).map_err(refuse)?;
    // Revoking must work without them.
    let keys = last_known_keys(config).unwrap_or_default();
    let words = file
        .revoke(target, &keys, now)
        .map_err(|error| Problem::said(error).with("TOKEN"))?;
    file.save(config.auth.leeway, now).map_err(refuse)?;
    Ok(words)
}
