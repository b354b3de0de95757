//! What each path answers, put together. Each path has a file of its own.

mod clients;
mod connect;
mod documents;
mod fetch;
mod halt;
mod hooks;
mod publish;
mod revoke;
mod sources;
mod stream;
mod ticket;

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;

use hyper::body::Bytes;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use warp::http::header::CONTENT_TYPE;
use warp::http::{Response, StatusCode};
use warp::reject::Reject;
use warp::{Filter, Rejection};

use super::answer;
use super::call::{READ, Route, headers_fit, only};
use super::crowd::Crowd;
use super::fetches::Fetches;
use super::gate::Gate;
use super::intake::Intake;
use super::readiness::Readiness;
use super::refusal::Refusal;
use super::revocation::Revoke;
use crate::hook::Hooks;
use crate::metrics::Registry;

pub(super) use fetch::PAST_SIGNALS;

impl Reject for Refusal {}

/// What answers are made of, besides the gate.
pub(super) struct Parts {
    pub(super) readiness: Readiness,
    pub(super) fetches: Fetches,
    pub(super) intake: Intake,
    pub(super) crowd: Crowd,
    pub(super) revoker: Arc<dyn Revoke>,
    pub(super) hooks: watch::Receiver<Hooks>,
}

/// All the server answers over HTTP.
pub(super) fn routes(gate: &Arc<Gate>, parts: Parts) -> Route {
    let Parts {
        readiness,
        fetches,
        intake,
        crowd,
        revoker,
        hooks,
    } = parts;
    let counting = Arc::clone(gate);
    let refuse = move |rejection: Rejection| {
        let answer = answer::of(&counting, Err(refusal(&rejection)));
        ready(Ok::<_, Infallible>(answer))
    };
    let known = [
        connect::route(Arc::clone(gate)),
        fetch::route(Arc::clone(gate), fetches),
        publish::route(Arc::clone(gate), intake.clone()),
        hooks::route(Arc::clone(gate), intake, hooks),
        stream::route(Arc::clone(gate)),
        sources::route(gate, &readiness.sources),
        halt::route(Arc::clone(gate), readiness.halts.clone()),
        clients::route(gate, crowd),
        revoke::route(Arc::clone(gate), revoker),
        ticket::route(Arc::clone(gate)),
        probes(readiness),
        documents::route(),
    ];
    let answers = known
        .into_iter()
        .reduce(|known, next| known.or(next).unify().boxed())
        .expect("there are some");
    headers_fit().and(answers).recover(refuse).unify().boxed()
}

/// All that is answered where `/metrics` is.
pub(super) fn monitoring(metrics: Registry, readiness: Readiness) -> Route {
    let scrape = warp::path!("metrics").and(only(READ)).and_then(move || {
        let metrics = metrics.clone();
        async move {
            // It reads files of the kernel's, and sorts what histograms have gathered.
            let text = spawn_blocking(move || metrics.render()).await;
            text.map(exposition)
                .map_err(|_| warp::reject::custom(Refusal::Internal))
        }
    });
    scrape
        .or(probes(readiness))
        .unify()
        .recover(async |rejection: Rejection| {
            let answer = refusal(&rejection).response();
            Ok::<_, Infallible>(answer.map(Bytes::from))
        })
        .unify()
        .boxed()
}

fn probes(readiness: Readiness) -> Route {
    let health = warp::path!("healthz").and(only(READ)).map(|| {
        let body = json!({ "status": "ok", "checks": {} });
        answer::json(StatusCode::OK, &body)
    });
    let ready = warp::path!("readyz").and(only(READ)).map(move || {
        let (code, body) = readiness.report();
        answer::json(code, &body)
    });
    health.or(ready).unify().boxed()
}

fn exposition(text: String) -> Response<Bytes> {
    Response::builder()
        .header(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")
        .body(text.into())
        .expect("the headers are constants")
}

fn refusal(rejection: &Rejection) -> Refusal {
    match rejection.find::<Refusal>() {
        Some(refusal) => refusal.clone(),
        None if rejection.is_not_found() => Refusal::NotFound,
        None => Refusal::Internal,
    }
}
