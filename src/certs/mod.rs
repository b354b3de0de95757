//! The certificate the server shows, and its key. Knows nothing of listeners or configuration.

mod development;
mod identity;
mod shown;

pub use development::make_development;
pub(crate) use identity::rfc3339;
pub use identity::{Identity, load};
pub use shown::Shown;
