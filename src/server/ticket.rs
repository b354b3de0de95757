//! `POST /ticket`: a ticket for a page that can't set headers.

use std::sync::Arc;

use hyper::body::Bytes;
use serde::Serialize;
use tokio::time::Instant;
use tracing::error;
use warp::Filter;
use warp::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use warp::http::{Method, Response, StatusCode};

use super::answer::turn_away;
use super::call::{Call, Route, call};
use super::gate::Gate;
use super::refusal::Refusal;
use super::tickets::{LIFETIME, NoTicket};

pub(super) fn route(gate: Arc<Gate>) -> Route {
    warp::path!("ticket")
        .and(call(&[Method::POST]))
        .then(move |call: Call| {
            let gate = Arc::clone(&gate);
            async move {
                let ticket = issue(&gate, &call).await;
                ticket.unwrap_or_else(|refusal| turn_away(&gate.metrics, &refusal))
            }
        })
        .boxed()
}

#[derive(Serialize)]
struct Body<'a> {
    ticket: &'a str,
    /// In seconds.
    expires_in: u64,
}

/// Whatever the token allows, the ticket does, and not for longer.
async fn issue(gate: &Gate, call: &Call) -> Result<Response<Bytes>, Refusal> {
    let maker = gate.identify(call).await?;
    if !call.query.is_empty() {
        let problem = "this path takes no parameters; send Authorization: Bearer TOKEN";
        return Err(Refusal::BadRequest(problem.into()));
    }
    let now = Instant::now().into_std();
    let ticket = gate.tickets.issue(maker, now).map_err(|why| match why {
        NoTicket::TooMany => Refusal::TooManyTickets,
        NoTicket::NoRandom(_) => {
            error!(%why, "no ticket can be made");
            Refusal::Internal
        }
    })?;
    let body = serde_json::to_string(&Body {
        ticket: ticket.reveal(),
        expires_in: LIFETIME.as_secs(),
    })
    .expect("a string and a number serialize");
    let response = Response::builder()
        .status(StatusCode::CREATED)
        .header(CONTENT_TYPE, "application/json")
        .header(CACHE_CONTROL, "no-store")
        .body(body.into());
    Ok(response.expect("the headers are constants"))
}
