//! `GET /signals/stream`: Server-Sent Events.

use std::sync::Arc;

use hyper::body::Bytes;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use warp::Filter;
use warp::http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, DATE, HeaderMap};
use warp::http::{Method, Response};

use crate::auth::Scope;
use crate::hub::Framing;
use crate::server::answer;
use crate::server::call::{Call, Route, call};
use crate::server::credential::Ways;
use crate::server::gate::{Admission, Gate};
use crate::server::headers::{EPOCH, LAST_EVENT_ID, LAST_SEQ};
use crate::server::newcomer::{Newcomer, Place, Subscriber};
use crate::server::past::{Past, Start};
use crate::server::query::after_seq;
use crate::server::refusal::{Gone, Refusal};
use crate::server::ticket_streams::Opened;
use crate::server::wish::Wish;
use crate::signal::Protocol;

pub(super) fn route(gate: Arc<Gate>) -> Route {
    warp::path!("signals" / "stream")
        .and(call(&[Method::GET]))
        .then(move |call: Call| {
            let gate = Arc::clone(&gate);
            async move { answer::of(&gate, stream(&gate, &call).await) }
        })
        .boxed()
}

/// Lets a reader in or turns it away.
async fn stream(gate: &Gate, call: &Call) -> Result<Response<Bytes>, Refusal> {
    let visit = &call.visit;
    let Admission {
        principal,
        query,
        claim,
    } = gate.let_in(call, Ways::Stream, Scope::SignalsRead).await?;
    let opened = claim.as_ref().map_or(Opened::Never, |claim| claim.opened);
    // Whoever comes back gets the place that is its own.
    if opened == Opened::Never {
        gate.has_room(visit.address)?;
    }
    let wish = Wish::parse(&query, Protocol::V2, Framing::Events, visit.address)?;
    let wish = match last_event_id(&call.headers)? {
        None => wish,
        // An id is a number in some log. A ticket that has opened a stream is of this run, and so is
        // what came by it.
        Some(_) if opened == Opened::Never && !wish.names_log() && !visit.past.is_kept() => {
            return Err(visit.past.gone(Gone::NO_LOG_NAMED));
        }
        // A browser that comes back asks for its first URL again.
        Some(start) => wish.beginning(start),
    };
    let cursor = wish.cursor(&visit.past, &visit.opening).await?;
    let view = wish.view(&principal)?;
    // Not before: a refused request ends no stream.
    let place = match claim {
        Some(claim) => Place::OfStream(gate.open(*claim).await?),
        None => Place::Own(gate.admit(visit.address)?),
    };
    let subscriber = Subscriber {
        principal,
        place,
        address: visit.address,
        view,
        cursor,
        log: visit.past.range(),
    };
    visit.admitted.put(Newcomer::Known(subscriber));
    Ok(head(&visit.past))
}

/// The seq of the last signal that a reader has, if it says so. What comes back of the first event of
/// an empty log is 0.
fn last_event_id(headers: &HeaderMap) -> Result<Option<Start>, Refusal> {
    // As people write it.
    const NAME: &str = "Last-Event-ID";
    let mut values = headers.get_all(LAST_EVENT_ID).iter();
    let value = values.next().map_or(Ok(""), |value| value.to_str());
    match (value, values.next()) {
        (Ok(""), None) => Ok(None),
        (Ok(value), None) => after_seq(NAME, value).map(Some),
        (Err(_), None) => after_seq(NAME, "").map(Some),
        (_, Some(_)) => Err(Refusal::BadRequest(
            "there is more than one Last-Event-ID header; send one".into(),
        )),
    }
}

/// How the answer begins, behind which events follow until the connection ends.
fn head(past: &Past) -> Response<Bytes> {
    let date = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&Timestamp::now());
    Response::builder()
        .header(CONTENT_TYPE, "text/event-stream")
        .header(CACHE_CONTROL, "no-store")
        // nginx would keep events until it has a few kilobytes of them.
        .header("x-accel-buffering", "no")
        .header(CONNECTION, "close")
        .header(LAST_SEQ, past.last_seq())
        .header(EPOCH, past.epoch.to_string())
        .header(DATE, date.expect("this year has four digits"))
        .body(Bytes::new())
        .expect("every value is visible ASCII")
}
