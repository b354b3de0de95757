//! The certificate the server shows, and its key. Knows nothing of listeners or configuration.

mod development;
mod identity;

pub use development::make_development;
pub use identity::{Identity, load};
