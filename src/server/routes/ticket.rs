//! `POST /ticket`: a ticket for a page that can't set headers.

use std::sync::Arc;

use hyper::body::Bytes;
use serde::Serialize;
use tokio::time::Instant;
use tracing::error;
use warp::Filter;
use warp::http::{Method, Response, StatusCode};

use crate::server::answer;
use crate::server::call::{Call, Route, call};
use crate::server::gate::Gate;
use crate::server::refusal::Refusal;
use crate::server::tickets::{LIFETIME, NoTicket};

pub(super) fn route(gate: Arc<Gate>) -> Route {
    warp::path!("ticket")
        .and(call(&[Method::POST]))
        .then(move |call: Call| {
            let gate = Arc::clone(&gate);
            async move {
                let outcome = issue(&gate, &call).await;
                answer::of(&gate, outcome)
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
    let body = Body {
        ticket: ticket.reveal(),
        expires_in: LIFETIME.as_secs(),
    };
    let answer = answer::json(StatusCode::CREATED, &body);
    Ok(answer::not_stored(answer))
}
