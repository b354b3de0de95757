//! `signalcast token …`.

use crate::auth::Keys;
use crate::config::{Config, Jwks, Refusals};
use crate::{credentials, jwks};

mod inspect;
mod issue;
mod list;
mod revoke;

pub use crate::auth::Target;
pub use inspect::inspect;
pub use issue::{Issue, Kind, issue};
pub use list::list;
pub use revoke::revoke;

pub(crate) use revoke::revoke_in_file;

/// The keys by which a server with these settings judges. Those behind a URL as it last saw them:
/// whoever runs a command may be off line.
///
/// # Errors
/// All that can't be used.
fn last_known_keys(config: &Config) -> Result<Keys, Refusals> {
    let keys = credentials::load_keys(config)?;
    Ok(match &config.auth.jwks {
        Some(Jwks::Url(url)) => keys.with_set(jwks::kept(url, &config.data_dir)),
        _ => keys,
    })
}
