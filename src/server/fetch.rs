//! `GET /signals`: past signals.

use std::sync::Arc;

use hyper::body::Bytes;
use warp::Filter;
use warp::http::{Method, Response};

use super::answer::turn_away;
use super::call::{Call, Route, call_by};
use super::gate::Gate;
use super::page::{Format, Page};
use super::query::{self, Query};
use crate::auth::Scope;
use crate::signal::Protocol;

/// Where past signals are.
pub(super) const PAST_SIGNALS: &str = "/signals";

/// What may be done there: fetch some, publish some.
pub(super) const OF_SIGNALS: &[Method] = &[Method::GET, Method::POST];

pub(super) fn route(gate: Arc<Gate>) -> Route {
    warp::path!("signals")
        .and(call_by(Method::GET, OF_SIGNALS))
        .then(move |call: Call| {
            let gate = Arc::clone(&gate);
            async move { fetch(&gate, &call).await }
        })
        .boxed()
}

/// Answers with past signals, to somebody who might as well connect.
async fn fetch(gate: &Gate, call: &Call) -> Response<Bytes> {
    let visit = &call.visit;
    let outcome = async {
        let principal = gate.authorise(call, Scope::SignalsRead).await?;
        let asked = Query::parse(&call.query, query::OF_PAGES)?;
        let view = asked.view(Protocol::V2, &principal)?;
        let turn = gate.fetch().await?;
        let page = Page::of(&visit.past, &asked, &view, Format::wanted(&call.headers));
        let page = visit.opening.while_ours(page).await?;
        Ok(page.response(&visit.past, turn))
    };
    let page = outcome.await;
    page.unwrap_or_else(|refusal| turn_away(&gate.metrics, &refusal))
}
