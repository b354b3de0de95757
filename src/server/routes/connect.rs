//! `/` and `/ws`: becoming a client.

use std::sync::Arc;

use hyper::body::Bytes;
use warp::Filter;
use warp::http::{Method, Response};

use crate::auth::Scope;
use crate::hub::Framing;
use crate::server::answer;
use crate::server::call::{Call, Route, call};
use crate::server::credential::Ways;
use crate::server::gate::Gate;
use crate::server::newcomer::Newcomer;
use crate::server::refusal::Refusal;
use crate::server::upgrade::Handshake;
use crate::server::wish::Wish;

pub(super) fn route(gate: Arc<Gate>) -> Route {
    warp::path::end()
        .or(warp::path!("ws"))
        .unify()
        .and(call(&[Method::GET]))
        .then(move |call: Call| {
            let gate = Arc::clone(&gate);
            async move { answer::of(&gate, connect(&gate, &call).await) }
        })
        .boxed()
}

/// Lets somebody in or turns him away.
async fn connect(gate: &Gate, call: &Call) -> Result<Response<Bytes>, Refusal> {
    let visit = &call.visit;
    let (handshake, newcomer) = come(gate, call).await?;
    // What there is, is nothing for somebody whom nobody knows.
    let past = matches!(newcomer, Newcomer::Known(_)).then_some(&visit.past);
    visit.admitted.put(newcomer);
    Ok(handshake.response(past).map(Bytes::from))
}

async fn come(gate: &Gate, call: &Call) -> Result<(Handshake, Newcomer), Refusal> {
    let visit = &call.visit;
    let handshake = Handshake::parse(&call.headers, visit.http)?;
    let protocol = handshake.protocol();
    let wish = |query| Wish::parse(query, protocol, Framing::WebSocket, visit.address);
    if gate.asks_later(call) {
        gate.is_open()?;
        gate.has_room(visit.address)?;
        return Ok((handshake, Newcomer::Stranger(wish(&call.query)?)));
    }
    let admission = gate.let_in(call, Ways::Upgrade, Scope::SignalsRead).await?;
    gate.has_room(visit.address)?;
    let subscriber = wish(&admission.query)?
        .grant(gate, admission.principal, &visit.past, &visit.opening)
        .await?;
    Ok((handshake, Newcomer::Known(subscriber)))
}
