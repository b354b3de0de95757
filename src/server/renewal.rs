//! New tokens of clients that are there already, judged as those of clients that come.

use std::net::IpAddr;
use std::sync::Arc;

use super::gate::Gate;
use crate::auth::Token;
use crate::session::{Judge, Refused, Verdict};

impl Judge for Arc<Gate> {
    fn judge(&self, token: Token, address: IpAddr) -> Verdict {
        let gate = Self::clone(self);
        Box::pin(async move {
            let judged = gate.authorise_reader(&token, address).await;
            judged.map_err(|refusal| Refused {
                code: refusal.code(),
                message: refusal.message(),
            })
        })
    }
}
