//! `/` and `/ws`: becoming a client.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use hyper::body::Bytes;
use warp::Filter;
use warp::http::{Method, Response};

use super::answer::turn_away;
use super::call::{Call, Route, call};
use super::credential::Ways;
use super::gate::Gate;
use super::past::{Past, Start};
use super::pending::OpeningHandle;
use super::query::{self, Query};
use super::refusal::Refusal;
use super::routes::{Newcomer, Subscriber};
use super::upgrade::Handshake;
use crate::auth::{Principal, Scope};
use crate::signal::Protocol;

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

/// Lets somebody in or turns him away.
async fn connect(gate: &Gate, call: &Call) -> Response<Bytes> {
    let visit = &call.visit;
    match come(gate, call).await {
        Ok((handshake, newcomer)) => {
            // What there is, is nothing for somebody whom nobody knows.
            let past = matches!(newcomer, Newcomer::Known(_)).then_some(&visit.past);
            let mut admitted = visit
                .admitted
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *admitted = Some(newcomer);
            handshake.response(past).map(Bytes::from)
        }
        Err(refusal) => turn_away(&gate.metrics, &refusal),
    }
}

async fn come(gate: &Gate, call: &Call) -> Result<(Handshake, Newcomer), Refusal> {
    let visit = &call.visit;
    let handshake = Handshake::parse(&call.headers, visit.http)?;
    let protocol = handshake.protocol();
    if gate.asks_later(call) {
        gate.is_open()?;
        gate.has_room(visit.address)?;
        let wish = Wish::parse(&call.query, protocol, visit.address)?;
        return Ok((handshake, Newcomer::Unknown(wish)));
    }
    let admission = gate.let_in(call, Ways::Upgrade, Scope::SignalsRead).await?;
    gate.has_room(visit.address)?;
    let wish = Wish::parse(&admission.query, protocol, visit.address)?;
    let subscriber = wish
        .grant(gate, admission.principal, &visit.past, &visit.opening)
        .await?;
    Ok((handshake, Newcomer::Known(subscriber)))
}

/// What somebody wants who wants to be a client.
#[derive(Debug)]
pub(super) struct Wish {
    protocol: Protocol,
    asked: Query,
    /// Where it is, which may be behind a proxy.
    pub(super) address: IpAddr,
}

impl Wish {
    fn parse(query: &str, protocol: Protocol, address: IpAddr) -> Result<Self, Refusal> {
        let asked = Query::parse(query, query::OF_UPGRADES)?;
        asked.fits(protocol)?;
        Ok(Self {
            protocol,
            asked,
            address,
        })
    }

    /// A place for whoever this is, in the log and among the clients.
    pub(super) async fn grant(
        &self,
        gate: &Gate,
        principal: Principal,
        past: &Past,
        opening: &OpeningHandle,
    ) -> Result<Subscriber, Refusal> {
        let view = self.asked.view(self.protocol, &principal)?;
        let start = self.asked.start.unwrap_or(Start::Live);
        let first = past.first(start, self.asked.epoch.as_deref());
        let cursor = opening.while_ours(first).await?;
        Ok(Subscriber {
            entrance: gate.admit(self.address)?,
            principal,
            address: self.address,
            view,
            cursor,
            log: past.range(),
            held: None,
        })
    }
}
