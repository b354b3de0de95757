//! Judges new tokens of clients, for sessions that are run without a server.

use std::future::ready;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use signalcast::auth::{Authenticator, Token};
use signalcast::session::{Judge, Refused, Verdict};
use tokio::sync::watch;

/// Judges at once.
#[derive(Debug)]
pub struct Desk(pub watch::Receiver<Arc<Authenticator>>);

impl Judge for Desk {
    fn judge(&self, token: Token, _: IpAddr) -> Verdict {
        let admits = Arc::clone(&self.0.borrow());
        let judged = admits.authenticate(&token, SystemTime::now());
        let judged = judged.map_err(|problem| Refused {
            code: "invalid_token",
            message: problem.to_string(),
        });
        Box::pin(ready(judged))
    }
}
