//! Who it is that has opened a WebSocket without a credential: its first message says so. Until then
//! it is a connection like others that are no client yet, and has a place among those only.

use std::rc::Rc;

use tracing::debug;

use super::connection::Host;
use super::newcomer::Subscriber;
use super::past::Interest;
use super::pending::{Opening, Stage};
use super::refusal::Refusal;
use super::wish::Wish;
use crate::session::{Close, Stranger, Unintroduced};
use crate::shard::Shard;

/// The client that a stranger turns out to be; `None`: it was turned away, or is gone.
pub(super) async fn introduce(
    host: &Host,
    shard: &Rc<Shard>,
    mut stranger: Stranger,
    wish: &Wish,
    opening: &Opening,
) -> Option<(Stranger, Subscriber)> {
    opening.waits(Stage::Begun);
    let gate = &host.gate;
    let token = tokio::select! {
        token = stranger.token() => token,
        () = gate.draining.cancelled() => Err(Unintroduced::Close(Close::GoingAway)),
    };
    let token = match token {
        Ok(token) => token,
        Err(Unintroduced::Close(why)) => {
            if why != Close::GoingAway {
                gate.metrics.auth_failed(Refusal::MissingToken.code());
            }
            debug!(address = %wish.address, why = why.reason(), "no client came of it");
            stranger.turn_away(why.code(), why.reason()).await;
            return None;
        }
        Err(Unintroduced::Gone(error)) => {
            debug!(address = %wish.address, %error, "no client came of it");
            return None;
        }
    };
    let admitted = async {
        let principal = gate.authorise_reader(&token, wish.address).await?;
        gate.is_open()?;
        let past = host.log.now(shard, Interest::InThePast).await;
        wish.grant(gate, principal, &past, &opening.handle()).await
    };
    match admitted.await {
        Ok(subscriber) => Some((stranger, subscriber)),
        Err(refusal) => {
            gate.metrics.refused(refusal.code());
            let (code, reason) = refusal.farewell();
            stranger.turn_away(code, &reason).await;
            None
        }
    }
}
