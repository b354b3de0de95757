//! What is counted and timed, for `/metrics`. The parts of the server are given handles when they
//! are made; they know neither names nor Prometheus.

mod commits;
mod doors;
mod feeds;
mod passes;
mod reads;
mod registry;
mod reloads;
pub mod table;

pub use commits::Commits;
pub use doors::{Doors, HandshakeFailure};
pub use feeds::{Brought, Feeds};
pub use passes::{Passes, Written};
pub use reads::Reads;
pub use registry::Registry;
pub use reloads::Reloads;
