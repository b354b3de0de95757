//! `/` and `/ws`: becoming a client.

use std::sync::{Arc, PoisonError};

use hyper::body::Bytes;
use warp::Filter;
use warp::http::{Method, Response};

use super::answer::turn_away;
use super::call::{Call, Route, call};
use super::credential::Ways;
use super::gate::Gate;
use super::past::Start;
use super::query::{self, Query};
use super::routes::Subscriber;
use super::upgrade::Handshake;
use crate::auth::Scope;

pub(super) fn route(gate: Arc<Gate>) -> Route {
    warp::path::end()
        .or(warp::path!("ws"))
        .unify()
        .and(call(&[Method::GET]))
        .then(move |call: Call| {
            let gate = Arc::clone(&gate);
            async move { connect(&gate, &call).await }
        })
        .boxed()
}

/// Lets a client in or turns it away.
async fn connect(gate: &Gate, call: &Call) -> Response<Bytes> {
    let visit = &call.visit;
    let outcome = async {
        let handshake = Handshake::parse(&call.headers, visit.http)?;
        let admission = gate.let_in(call, Ways::Upgrade, Scope::SignalsRead).await?;
        gate.has_room(visit.address)?;
        let asked = Query::parse(&admission.query, query::OF_UPGRADES)?;
        let principal = admission.principal;
        let view = asked.view(handshake.protocol(), &principal)?;
        let start = asked.start.unwrap_or(Start::Live);
        let first = visit.past.first(start, asked.epoch.as_deref());
        let cursor = visit.opening.while_ours(first).await?;
        let subscriber = Subscriber {
            entrance: gate.admit(visit.address)?,
            principal,
            address: visit.address,
            view,
            cursor,
            log: visit.past.range(),
        };
        Ok((handshake, subscriber))
    };
    match outcome.await {
        Ok((handshake, subscriber)) => {
            let mut admitted = visit
                .admitted
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *admitted = Some(subscriber);
            handshake.response(&visit.past).map(Bytes::from)
        }
        Err(refusal) => turn_away(&gate.metrics, &refusal),
    }
}
