//! What each path answers.

use std::convert::Infallible;
use std::future::ready;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::Bytes;
use serde_json::json;
use tokio::task::spawn_blocking;
use warp::filters::BoxedFilter;
use warp::http::header::{CONTENT_TYPE, HeaderMap};
use warp::http::{Method, Response, StatusCode};
use warp::reject::Reject;
use warp::{Filter, Rejection};

use super::clients::Entrance;
use super::gate::Gate;
use super::page::{Format, Page};
use super::past::{Past, Start};
use super::pending::OpeningHandle;
use super::query::{self, Query};
use super::readiness::Readiness;
use super::refusal::{MOST_HEADER_BYTES, Refusal};
use super::upgrade::{Handshake, HttpVersion};
use crate::auth::Principal;
use crate::hub::View;
use crate::metrics::{Doors, Registry};
use crate::session::LogRange;
use crate::signal::{Protocol, Seq};

/// What the connection knows of a request that the request does not say, and where the answer to
/// "may it come in" is left for the connection. Travels with the request.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    pub(super) address: IpAddr,
    pub(super) http: HttpVersion,
    /// Bytes of the request line.
    pub(super) request_line: usize,
    /// The log as it stands now.
    pub(super) past: Past,
    /// Tells what it waits for.
    pub(super) opening: OpeningHandle,
    pub(super) admitted: Arc<Mutex<Option<Subscriber>>>,
}

/// Somebody who was let in, with a place kept.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) principal: Principal,
    pub(super) entrance: Entrance,
    /// Where the client is, which may be behind a proxy.
    pub(super) address: IpAddr,
    /// What it gets.
    pub(super) view: View,
    /// The first signal it is sent.
    pub(super) cursor: Seq,
    /// What the log held when it came.
    pub(super) log: LogRange,
}

/// What answers requests.
pub(super) type Routes = BoxedFilter<(Response<Bytes>,)>;

/// Where past signals are.
pub(super) const PAST_SIGNALS: &str = "/signals";

impl Reject for Refusal {}

/// All the server answers over HTTP.
pub(super) fn routes(gate: Arc<Gate>, readiness: Readiness) -> Routes {
    let doors = Arc::clone(&gate);
    let (connecting, fetching) = (Arc::clone(&gate), gate);
    let connect = warp::path::end()
        .or(warp::path!("ws"))
        .unify()
        .and(only(&[Method::GET]))
        .and(warp::header::headers_cloned())
        .and(query())
        .and(warp::ext::get::<Visit>())
        .then(move |headers: HeaderMap, query: String, visit: Visit| {
            let gate = Arc::clone(&connecting);
            async move {
                connect(&gate, &headers, &query, &visit)
                    .await
                    .map(Bytes::from)
            }
        });
    let fetch = warp::path!("signals")
        .and(only(&[Method::GET]))
        .and(warp::header::headers_cloned())
        .and(query())
        .and(warp::ext::get::<Visit>())
        .then(move |headers: HeaderMap, query: String, visit: Visit| {
            let gate = Arc::clone(&fetching);
            async move { fetch(&gate, &headers, &query, &visit).await }
        });
    let probes = probes(readiness).map(|answer: Response<String>| answer.map(Bytes::from));
    let refuse = move |rejection| {
        let answer = refuse(&doors.metrics, &rejection);
        ready(Ok::<_, Infallible>(answer.map(Bytes::from)))
    };
    headers_fit()
        .and(connect.or(fetch).unify().or(probes).unify())
        .recover(refuse)
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
async fn connect(gate: &Gate, headers: &HeaderMap, query: &str, visit: &Visit) -> Response<String> {
    let outcome = async {
        let handshake = Handshake::parse(headers, visit.http)?;
        let principal = gate.authorise(headers, visit.address).await?;
        gate.has_room(visit.address)?;
        let asked = Query::parse(query, query::OF_UPGRADES)?;
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
            handshake.response(&visit.past)
        }
        Err(refusal) => turn_away(&gate.metrics, &refusal),
    }
}

/// Answers with past signals, to somebody who might as well connect.
async fn fetch(gate: &Gate, headers: &HeaderMap, query: &str, visit: &Visit) -> Response<Bytes> {
    let outcome = async {
        let principal = gate.authorise(headers, visit.address).await?;
        let asked = Query::parse(query, query::OF_PAGES)?;
        let view = asked.view(Protocol::V2, &principal)?;
        let turn = gate.fetch().await?;
        let page = Page::of(&visit.past, &asked, &view, Format::wanted(headers));
        let page = visit.opening.while_ours(page).await?;
        Ok(page.response(&visit.past, turn))
    };
    let page = outcome.await;
    page.unwrap_or_else(|refusal| turn_away(&gate.metrics, &refusal).map(Bytes::from))
}

fn turn_away(metrics: &Doors, refusal: &Refusal) -> Response<String> {
    metrics.refused(refusal.code());
    refusal.response()
}

/// What stands behind the question mark, if there is one.
fn query() -> impl Filter<Extract = (String,), Error = Infallible> + Clone {
    warp::query::raw().or(warp::any().map(String::new)).unify()
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
    turn_away(metrics, &refusal(rejection))
}

fn refusal(rejection: &Rejection) -> Refusal {
    match rejection.find::<Refusal>() {
        Some(refusal) => refusal.clone(),
        None if rejection.is_not_found() => Refusal::NotFound,
        None => Refusal::Internal,
    }
}
