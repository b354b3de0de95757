//! `GET /signals`: past signals.

use std::sync::Arc;

use hyper::body::Bytes;
use warp::Filter;
use warp::http::{Method, Response};

use crate::auth::Scope;
use crate::server::answer;
use crate::server::call::{Call, Route, call_by};
use crate::server::fetches::Fetches;
use crate::server::gate::Gate;
use crate::server::page::{Format, Page};
use crate::server::query::{self, Query};
use crate::server::refusal::Refusal;
use crate::signal::Protocol;

/// Where past signals are.
pub(in crate::server) const PAST_SIGNALS: &str = "/signals";

/// What may be done there: fetch some, publish some.
pub(super) const OF_SIGNALS: &[Method] = &[Method::GET, Method::POST];

pub(super) fn route(gate: Arc<Gate>, fetches: Fetches) -> Route {
    warp::path!("signals")
        .and(call_by(Method::GET, OF_SIGNALS))
        .then(move |call: Call| {
            let (gate, fetches) = (Arc::clone(&gate), fetches.clone());
            async move { answer::of(&gate, fetch(&gate, &fetches, &call).await) }
        })
        .boxed()
}

/// Answers with past signals, to somebody who might as well connect.
async fn fetch(gate: &Gate, fetches: &Fetches, call: &Call) -> Result<Response<Bytes>, Refusal> {
    let visit = &call.visit;
    let principal = gate.authorise(call, Scope::SignalsRead).await?;
    let asked = Query::parse(&call.query, query::OF_PAGES)?;
    let view = asked.view(Protocol::V2, &principal)?;
    let turn = fetches.turn(principal.subject()).await?;
    let page = Page::of(&visit.past, &asked, &view, Format::wanted(&call.headers));
    let page = visit.opening.while_for_log(page).await?;
    Ok(page.response(&visit.past, turn))
}
