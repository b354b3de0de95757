//! What every request is looked at for, before anybody answers it.

use std::convert::Infallible;
use std::future::ready;
use std::net::IpAddr;
use std::time::Duration;

use hyper::body::Bytes;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use warp::filters::BoxedFilter;
use warp::http::header::HeaderMap;
use warp::http::{Method, Response};
use warp::{Filter, Rejection};

use super::newcomer::Admitted;
use super::past::Past;
use super::pending::OpeningHandle;
use super::refusal::{MOST_HEADER_BYTES, Refusal};
use super::upgrade::HttpVersion;

/// A request, but for its path, its method and its body.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) headers: HeaderMap,
    /// What stands behind the question mark; empty if nothing does.
    pub(super) query: String,
    pub(super) visit: Visit,
}

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
    /// A drain waits for what is tracked here.
    pub(super) answering: TaskTracker,
    pub(super) admitted: Admitted,
}

impl Visit {
    /// Does this on a thread that may block, and answers in time in any case: it goes on all the
    /// same. `hangs` is what to say then.
    pub(super) async fn block<T: Send + 'static>(
        &self,
        within: Duration,
        hangs: &'static str,
        what: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let done = timeout(within, spawn_blocking(what));
        match self.opening.while_ours(done).await {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(_)) => Err(Refusal::Internal),
            Err(_) => Err(Refusal::Unfinished(hangs.into())),
        }
    }
}

/// What answers requests for one path.
pub(super) type Route = BoxedFilter<(Response<Bytes>,)>;

/// The methods of what is only read.
pub(super) const READ: &[Method] = &[Method::GET, Method::HEAD];

/// A request with one of these methods. The path has to be known by then, for an unknown one is
/// refused before the method is.
pub(super) fn call(
    methods: &'static [Method],
) -> impl Filter<Extract = (Call,), Error = Rejection> + Clone {
    only(methods).and(parts())
}

/// A request with this method, on a path that takes all of these: the others are for another route.
pub(super) fn call_by(
    method: Method,
    methods: &'static [Method],
) -> impl Filter<Extract = (Call,), Error = Rejection> + Clone {
    let ours = warp::method()
        .and_then(move |asked: Method| {
            let is_ours = (asked == method).then_some(());
            ready(is_ours.ok_or_else(warp::reject::not_found))
        })
        .untuple_one();
    only(methods).and(ours).and(parts())
}

fn parts() -> impl Filter<Extract = (Call,), Error = Rejection> + Clone {
    warp::header::headers_cloned()
        .and(query())
        .and(warp::ext::get::<Visit>())
        .map(|headers: HeaderMap, query: String, visit: Visit| Call {
            headers,
            query,
            visit,
        })
}

/// Refuses other methods than these.
pub(super) fn only(
    methods: &'static [Method],
) -> impl Filter<Extract = (), Error = Rejection> + Clone {
    warp::method()
        .and_then(move |method: Method| {
            let allowed = methods.contains(&method).then_some(());
            ready(allowed.ok_or_else(|| warp::reject::custom(Refusal::MethodNotAllowed(methods))))
        })
        .untuple_one()
}

/// Refuses a request whose headers are too long together.
pub(super) fn headers_fit() -> impl Filter<Extract = (), Error = Rejection> + Clone {
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

/// What stands behind the question mark, if there is one.
fn query() -> impl Filter<Extract = (String,), Error = Infallible> + Clone {
    warp::query::raw().or(warp::any().map(String::new)).unify()
}
