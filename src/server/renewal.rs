//! New tokens of clients that are there already, judged as those of clients that come.

use std::net::IpAddr;
use std::sync::Arc;

use super::gate::Gate;
use super::refusal::Refusal;
use crate::auth::{Principal, Scope, Token};
use crate::session::{Judge, Refused, Verdict};

impl Judge for Arc<Gate> {
    fn judge(&self, token: Token, address: IpAddr) -> Verdict {
        let gate = Self::clone(self);
        Box::pin(async move {
            let judged = judge(&gate, &token, address).await;
            judged.map_err(|refusal| Refused {
                code: refusal.code(),
                message: refusal.message(),
            })
        })
    }
}

async fn judge(gate: &Gate, token: &Token, address: IpAddr) -> Result<Principal, Refusal> {
    let principal = gate.authenticate(token, address).await?;
    if !principal.has(Scope::SignalsRead) {
        let refusal = Refusal::InsufficientScope(Scope::SignalsRead);
        gate.metrics.auth_failed(refusal.code());
        return Err(refusal);
    }
    Ok(principal)
}
