//! What each path answers.

use std::convert::Infallible;
use std::future::ready;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;
use tokio::task::spawn_blocking;
use warp::filters::BoxedFilter;
use warp::http::header::{CONTENT_TYPE, HeaderMap};
use warp::http::{Method, Response, StatusCode};
use warp::reject::Reject;
use warp::{Filter, Rejection};

use super::gate::{Admitted, Gate};
use super::readiness::Readiness;
use super::refusal::{MOST_HEADER_BYTES, Refusal};
use super::upgrade::{Handshake, HttpVersion};
use crate::journal::Epoch;
use crate::metrics::{Doors, Registry};
use crate::signal::Seq;

/// What the connection knows of a request that the request does not say, and where the answer to
/// "may it come in" is left for the connection. Travels with the request.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    pub(super) address: IpAddr,
    pub(super) http: HttpVersion,
    /// Bytes of the request line.
    pub(super) request_line: usize,
    /// The first signal that a client let in now is sent.
    pub(super) next: Seq,
    pub(super) admitted: Arc<Mutex<Option<(Admitted, Seq)>>>,
}

impl Reject for Refusal {}

/// All the server answers over HTTP.
pub(super) fn routes(
    gate: Arc<Gate>,
    epoch: Epoch,
    readiness: Readiness,
) -> BoxedFilter<(Response<String>,)> {
    let doors = Arc::clone(&gate);
    let probes = probes(readiness);
    let connect = warp::path::end()
        .or(warp::path!("ws"))
        .unify()
        .and(only(&[Method::GET]))
        .and(warp::header::headers_cloned())
        .and(warp::ext::get::<Visit>())
        .then(move |headers: HeaderMap, visit: Visit| {
            let gate = Arc::clone(&gate);
            async move { connect(&gate, epoch, &headers, &visit).await }
        });
    headers_fit()
        .and(connect.or(probes).unify())
        .recover(move |rejection| ready(Ok::<_, Infallible>(refuse(&doors.metrics, &rejection))))
        .unify()
        .boxed()
}

/// All that is answered where `/metrics` is.
pub(super) fn monitoring(
    metrics: Registry,
    readiness: Readiness,
) -> BoxedFilter<(Response<String>,)> {
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
        .recover(async |rejection: Rejection| Ok::<_, Infallible>(refusal(&rejection).response()))
        .unify()
        .boxed()
}

fn probes(readiness: Readiness) -> BoxedFilter<(Response<String>,)> {
    let health = warp::path!("healthz")
        .and(only(READ))
        .map(|| answer(StatusCode::OK, &json!({ "status": "ok", "checks": {} })));
    let ready = warp::path!("readyz").and(only(READ)).map(move || {
        let (code, body) = readiness.report();
        answer(code, &body)
    });
    health.or(ready).unify().boxed()
}

/// Lets a client in or turns it away.
async fn connect(
    gate: &Gate,
    epoch: Epoch,
    headers: &HeaderMap,
    visit: &Visit,
) -> Response<String> {
    let outcome = async {
        let handshake = Handshake::parse(headers, visit.http)?;
        Ok::<_, Refusal>((handshake, gate.admit(headers, visit.address).await?))
    };
    match outcome.await {
        Ok((handshake, admitted)) => {
            *visit
                .admitted
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some((admitted, visit.next));
            handshake.response(visit.next, epoch)
        }
        Err(refusal) => {
            gate.metrics.refused(refusal.code());
            refusal.response()
        }
    }
}

fn answer(code: StatusCode, body: &serde_json::Value) -> Response<String> {
    Response::builder()
        .status(code)
        .header(CONTENT_TYPE, "application/json")
        .body(body.to_string())
        .expect("the headers are constants")
}

fn exposition(text: String) -> Response<String> {
    Response::builder()
        .header(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")
        .body(text)
        .expect("the headers are constants")
}

fn headers_fit() -> impl Filter<Extract = (), Error = Rejection> + Clone {
    warp::header::headers_cloned()
        .and(warp::ext::get::<Visit>())
        .and_then(async |headers: HeaderMap, visit: Visit| {
            // Of each header line also the colon, the space and the line end.
            let lines = headers
                .iter()
                .map(|(name, value)| name.as_str().len() + value.len() + 4);
            if visit.request_line + lines.sum::<usize>() > MOST_HEADER_BYTES {
                return Err(warp::reject::custom(Refusal::HeadersTooLarge));
            }
            Ok(())
        })
        .untuple_one()
}

const READ: &[Method] = &[Method::GET, Method::HEAD];

fn only(methods: &'static [Method]) -> impl Filter<Extract = (), Error = Rejection> + Clone {
    warp::method()
        .and_then(move |method: Method| {
            let allowed = methods.contains(&method).then_some(());
            ready(allowed.ok_or_else(|| warp::reject::custom(Refusal::MethodNotAllowed(methods))))
        })
        .untuple_one()
}

fn refuse(metrics: &Doors, rejection: &Rejection) -> Response<String> {
    let refusal = refusal(rejection);
    metrics.refused(refusal.code());
    refusal.response()
}

fn refusal(rejection: &Rejection) -> Refusal {
    match rejection.find::<Refusal>() {
        Some(refusal) => refusal.clone(),
        None if rejection.is_not_found() => Refusal::NotFound,
        None => Refusal::Internal,
    }
}
