use std::time::SystemTime;

use tokio::sync::{mpsc, oneshot};

use crate::auth::Target;
use crate::config::Config;
use crate::server::{NotHeld, Revoke};
use crate::token::revoke_in_file;

/// Revokes tokens of a server that runs, as `signalcast token revoke` does, but at once.
#[derive(Debug)]
pub struct Revoker {
    config: Config,
    asks: mpsc::Sender<Ask>,
}

/// Somebody has changed the file of tokens and waits until what it says holds; it is told whether
/// it does.
type Ask = oneshot::Sender<bool>;

/// Where they are heard.
pub(super) type Asked = mpsc::Receiver<Ask>;

/// Those who wait. When they are more, the others wait for a place: it takes some milliseconds.
const MOST_ASKS: usize = 16;

impl Revoker {
    /// One that writes into the file that these settings name, and what it tells of that.
    pub(super) fn new(config: &Config) -> (Self, Asked) {
        let (asks, asked) = mpsc::channel(MOST_ASKS);
        let config = config.clone();
        (Self { config, asks }, asked)
    }
}

impl Revoke for Revoker {
    fn revoke(&self, target: &Target, now: SystemTime) -> Result<String, NotHeld> {
        let words = revoke_in_file(&self.config, target, now)?;
        let (ask, answered) = oneshot::channel();
        let asked = self.asks.blocking_send(ask).is_ok();
        if asked && answered.blocking_recv() == Ok(true) {
            return Ok(words);
        }
        Err(NotHeld::NotRead)
    }
}
