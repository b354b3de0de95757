use std::fmt::Debug;
use std::time::SystemTime;

use crate::auth::{NotRevoked, Target};

/// Revokes tokens of a server that runs.
pub trait Revoke: Debug + Send + Sync {
    /// Revokes, and says in words what. Blocks until it holds for everybody who comes, and those
    /// who are there are told.
    ///
    /// # Errors
    /// There is no such token, or the file can't be used.
    fn revoke(&self, target: &Target, now: SystemTime) -> Result<String, NotHeld>;
}

/// Why a revocation does not hold.
#[derive(Debug, thiserror::Error)]
pub enum NotHeld {
    /// There is nothing to revoke, or nowhere to write it down.
    #[error(transparent)]
    NotRevoked(#[from] NotRevoked),
    /// It is in the file, and the server can't use that.
    #[error("it is written down, but the file can't be read again, so it does not hold yet")]
    NotRead,
}
