//! `signalcast token …`.

mod inspect;
mod issue;
mod list;
mod revoke;

pub use crate::auth::Target;
pub use inspect::inspect;
pub use issue::{Issue, Kind, issue};
pub use list::list;
pub use revoke::revoke;
