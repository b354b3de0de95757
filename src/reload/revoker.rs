use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::{mpsc, oneshot};

use crate::auth::Target;
use crate::config::Config;
use crate::token::{NotRevoked, revoke_in_file};

/// Revokes tokens of a server that runs, as `signalcast token revoke` does, but at once. Cheap to
/// clone.
#[derive(Clone, Debug)]
pub struct Revoker {
    config: Arc<Config>,
    asks: mpsc::Sender<Ask>,
}

/// Somebody has changed the file of tokens and waits until what it says holds; it is told whether
/// it does.
type Ask = oneshot::Sender<bool>;

/// Where they are heard.
pub(super) type Asked = mpsc::Receiver<Ask>;

/// Why a revocation does not hold.
#[derive(Debug, thiserror::Error)]
pub enum RevokerError {
    /// There is nothing to revoke, or nowhere to write it down.
    #[error(transparent)]
    NotRevoked(#[from] NotRevoked),
    /// It is in the file, and the server can't use that.
    #[error("it is written down, but the file can't be read again, so it does not hold yet")]
    NotRead,
}

/// Those who wait. When they are more, the others wait for a place: it takes some milliseconds.
const MOST_ASKS: usize = 16;

impl Revoker {
    /// One that writes into the file that these settings name, and what it tells of that.
    pub(super) fn new(config: &Config) -> (Self, Asked) {
        let (asks, asked) = mpsc::channel(MOST_ASKS);
        let config = Arc::new(config.clone());
        (Self { config, asks }, asked)
    }

    /// Revokes, and says in words what. Blocks until it holds for everybody who comes, and those
    /// who are there are told.
    ///
    /// # Errors
    /// There is no such token, or the file can't be used.
    pub fn revoke(&self, target: &Target, now: SystemTime) -> Result<String, RevokerError> {
        let words = revoke_in_file(&self.config, target, now)?;
        let (ask, answered) = oneshot::channel();
        let asked = self.asks.blocking_send(ask).is_ok();
        if asked && answered.blocking_recv() == Ok(true) {
            return Ok(words);
        }
        Err(RevokerError::NotRead)
    }
}
