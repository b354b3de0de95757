//! `/clients`: who is connected, and letting somebody go, for whoever may.

use std::sync::Arc;

use hyper::body::Bytes;
use serde::Serialize;
use serde_json::json;
use tokio::task::spawn_blocking;
use tracing::info;
use uuid::Uuid;
use warp::Filter;
use warp::http::{Method, Response, StatusCode};

use crate::auth::Scope;
use crate::hub::{Framing, Tests};
use crate::server::answer;
use crate::server::call::{Call, Route, call};
use crate::server::crowd::Crowd;
use crate::server::gate::Gate;
use crate::server::refusal::Refusal;
use crate::server::upgrade;
use crate::shard::Listed;
use crate::signal::SymbolFilter;

pub(super) fn route(gate: &Arc<Gate>, crowd: Crowd) -> Route {
    list_route(Arc::clone(gate), crowd.clone())
        .or(send_away_route(Arc::clone(gate), crowd))
        .unify()
        .boxed()
}

fn list_route(gate: Arc<Gate>, crowd: Crowd) -> Route {
    warp::path!("clients")
        .and(call(&[Method::GET]))
        .then(move |call: Call| {
            let (gate, crowd) = (Arc::clone(&gate), crowd.clone());
            async move {
                let outcome = list(&gate, &crowd, &call).await;
                answer::of(&gate, outcome)
            }
        })
        .boxed()
}

fn send_away_route(gate: Arc<Gate>, crowd: Crowd) -> Route {
    warp::path!("clients" / String)
        .and(call(&[Method::DELETE]))
        .then(move |id: String, call: Call| {
            let (gate, crowd) = (Arc::clone(&gate), crowd.clone());
            async move {
                let outcome = send_away(&gate, &crowd, &call, &id).await;
                answer::of(&gate, outcome)
            }
        })
        .boxed()
}

async fn list(gate: &Gate, crowd: &Crowd, call: &Call) -> Result<Response<Bytes>, Refusal> {
    // A drain lasts as long as there is somebody to list.
    gate.authorise_to_the_end(call, Scope::Admin).await?;
    let listed = call.visit.opening.while_ours(crowd.list()).await?;
    // Of many clients it takes a while.
    let written = spawn_blocking(move || {
        let clients = listed.iter().map(Client::of).collect();
        serde_json::to_vec(&Clients { clients }).expect("strings and numbers serialize")
    });
    let text = written.await.map_err(|_| Refusal::Internal)?;
    let answer = answer::json_text(StatusCode::OK, text.into());
    Ok(answer::not_stored(answer))
}

async fn send_away(
    gate: &Gate,
    crowd: &Crowd,
    call: &Call,
    id: &str,
) -> Result<Response<Bytes>, Refusal> {
    // What a drain still delivers can be kept from somebody.
    let principal = gate.authorise_to_the_end(call, Scope::Admin).await?;
    let unknown = Refusal::Unknown("there is no client of this id; GET /clients lists them");
    let id = Uuid::try_parse(id).map_err(|_| unknown.clone())?;
    // From now on a drain waits for the answer: it may be the last client that is let go.
    let answering = call.visit.answering.token();
    if !call.visit.opening.while_ours(crowd.send_away(id)).await? {
        return Err(unknown);
    }
    info!(by = principal.subject(), client = %id, "client disconnected");
    let body = json!({ "disconnected": id.to_string() });
    Ok(answer::awaited(
        answer::json(StatusCode::OK, &body),
        answering,
    ))
}

#[derive(Serialize)]
struct Clients<'a> {
    clients: Vec<Client<'a>>,
}

#[derive(Serialize)]
struct Client<'a> {
    id: String,
    subject: &'a str,
    address: String,
    protocol: &'static str,
    connected_at: String,
    /// What it asked for; its token may allow less.
    symbols: Vec<&'a str>,
    tests: bool,
    /// All up to there that it gets was sent.
    last_seq: u64,
    lag: u64,
    sent_bytes: u64,
}

impl<'a> Client<'a> {
    fn of(listed: &'a Listed) -> Self {
        Self {
            id: listed.id.to_string(),
            subject: &listed.subject,
            address: listed.address.to_string(),
            protocol: match listed.view.framing {
                Framing::WebSocket => upgrade::name(listed.view.protocol),
                Framing::Events => "events",
            },
            connected_at: listed.since.to_string(),
            symbols: match &listed.view.symbols {
                SymbolFilter::All => vec!["*"],
                SymbolFilter::Matching(patterns) => patterns.iter().map(AsRef::as_ref).collect(),
            },
            tests: listed.view.tests == Tests::Sent,
            last_seq: listed.cursor.get() - 1,
            lag: listed.lag,
            sent_bytes: listed.sent_bytes,
        }
    }
}
