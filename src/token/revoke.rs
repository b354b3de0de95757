use std::time::SystemTime;

use super::last_known_keys;
use crate::auth::{NotRevoked, Target, TokenFile};
use crate::config::{Config, Problem, Refusals};
use crate::credentials::book_refused;

/// Revokes, and says in words what.
///
/// # Errors
/// There is no such token, or the file can't be used.
pub fn revoke(config: &Config, target: &Target, now: SystemTime) -> Result<String, Refusals> {
    revoke_in_file(config, target, now).map_err(|why| match why {
        NotRevoked::Target(error) => Problem::said(error).with("TOKEN").into(),
        NotRevoked::File(error) => book_refused(config, &error),
    })
}

/// The same, for whoever tells it otherwise.
///
/// # Errors
/// There is no such token, or the file can't be used.
pub(crate) fn revoke_in_file(
    config: &Config,
    target: &Target,
    now: SystemTime,
) -> Result<String, NotRevoked> {
    let mut file = TokenFile::hold(&config.auth.tokens)?;
    // Revoking must work without them.
    let keys = last_known_keys(config).unwrap_or_default();
    let words = file.revoke(target, &keys, now)?;
    file.save(config.auth.leeway, now)?;
    Ok(words)
}
