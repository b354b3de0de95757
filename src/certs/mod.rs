//! The certificate the server shows, and its key. Knows nothing of listeners or configuration.

mod development;
mod host;
mod identity;
mod issue;
mod set;
mod shown;

pub use development::make_development;
pub use host::{Host, InvalidHost};
pub(crate) use identity::rfc3339;
pub use identity::{Identity, load};
pub use issue::{Overwrite, Place};
pub use shown::Shown;
