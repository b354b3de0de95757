//! `signalcast token …`.

use crate::auth::TokenBook;
use crate::config::{Config, Problem, Refusals};
use crate::key_file::UnusableFile;

mod inspect;
mod issue;
mod list;
mod revoke;

pub use crate::auth::Target;
pub use inspect::inspect;
pub use issue::{Issue, Kind, issue};
pub use list::list;
pub use revoke::revoke;

/// What is wrong with key files, named by the setting.
pub(crate) fn keys_refused(config: &Config, errors: &[UnusableFile]) -> Refusals {
    let mut refusals = Refusals::new();
    for error in errors {
        let Problem { reason, remedy } = Problem::said(error);
        refusals.push(config.refusal("auth.jwt_key", reason, remedy));
    }
    refusals
}

/// The file of `auth.tokens`, or what is wrong with it, named by the setting.
pub(crate) fn load_book(config: &Config) -> Result<TokenBook, Refusals> {
    TokenBook::load(&config.auth.tokens).map_err(|error| book_refused(config, &error))
}

/// The same for that file.
fn book_refused(config: &Config, error: &UnusableFile) -> Refusals {
    let Problem { reason, remedy } = Problem::said(error);
    config.refusal("auth.tokens", reason, remedy).into()
}
