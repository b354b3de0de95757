//! `/halt`: the halt switch, for whoever may throw it.

use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use hyper::body::{Buf, Bytes};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};
use warp::Filter;
use warp::http::{Method, Response, StatusCode};

use crate::auth::{Principal, Scope};
use crate::clock;
use crate::halt::{Reason, Stand, Switch, Unfinished};
use crate::server::answer;
use crate::server::call::{Call, Route, Visit, call};
use crate::server::gate::Gate;
use crate::server::json_body;
use crate::server::refusal::Refusal;

pub(super) fn route(gate: Arc<Gate>, switch: Switch) -> Route {
    warp::path!("halt")
        .and(call(&[Method::GET, Method::POST, Method::DELETE]))
        .and(warp::method())
        .and(warp::body::stream())
        .then(move |call: Call, method: Method, body| {
            let (gate, switch) = (Arc::clone(&gate), switch.clone());
            async move {
                let outcome = handle(&gate, &switch, &call, &method, body).await;
                answer::of(&gate, outcome)
            }
        })
        .boxed()
}

/// `{"reason":"…"}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Instruction {
    reason: String,
}

const FORM: &str = r#"{"reason":"why"}"#;

/// The switch itself waits less long. Beyond this a disk hangs.
const PATIENCE: Duration = Duration::from_secs(5);

async fn handle<B: Buf>(
    gate: &Gate,
    switch: &Switch,
    call: &Call,
    method: &Method,
    body: impl Stream<Item = Result<B, warp::Error>>,
) -> Result<Response<Bytes>, Refusal> {
    // What a drain still delivers can be stopped. A lift can wait for the next start.
    let by = gate.authorise_to_the_end(call, Scope::Admin).await?;
    let visit = &call.visit;
    let reason = match *method {
        Method::POST => Some(reason(gate, call, &by, body).await?),
        _ => None,
    };
    // From now on a drain waits for the answer: there may be nobody else for whom it would.
    let answering = visit.answering.token();
    let stand = match (reason, method) {
        (Some(reason), _) => halt(switch, visit, &by, reason).await?,
        (None, &Method::DELETE) => {
            gate.is_open()?;
            lift(switch, visit, &by).await?
        }
        (None, _) => switch.stand(),
    };
    let answer = answer::json(StatusCode::OK, &Said::of(&stand));
    Ok(answer::awaited(answer, answering))
}

async fn reason<B: Buf>(
    gate: &Gate,
    call: &Call,
    by: &Principal,
    body: impl Stream<Item = Result<B, warp::Error>>,
) -> Result<Reason, Refusal> {
    let Instruction { reason } = json_body::read(gate, call, by, body, FORM).await?;
    Reason::try_from(reason).map_err(|why| Refusal::BadRequest(why.to_string().into()))
}

async fn halt(
    switch: &Switch,
    visit: &Visit,
    by: &Principal,
    reason: Reason,
) -> Result<Stand, Refusal> {
    warn!(by = by.subject(), %reason, "halted: nothing is broadcast until that is lifted");
    // At once, whatever becomes of whoever asked for it.
    let number = switch.throw(reason, clock::received_now());
    let switch = switch.clone();
    wait(visit, move || switch.keep(number)).await
}

async fn lift(switch: &Switch, visit: &Visit, by: &Principal) -> Result<Stand, Refusal> {
    let (switch, by) = (switch.clone(), by.subject().to_owned());
    wait(visit, move || {
        let was_halted = switch.halt().is_some();
        let outcome = switch.lift();
        // Said here, for nobody may wait for it any more.
        if was_halted && switch.halt().is_none() {
            info!(by, "the halt is lifted");
        }
        outcome
    })
    .await
}

async fn wait(
    visit: &Visit,
    what: impl FnOnce() -> Result<Stand, Unfinished> + Send + 'static,
) -> Result<Stand, Refusal> {
    let outcome = visit.block(PATIENCE, HANGS, what).await?;
    outcome.map_err(|why| Refusal::Unfinished(why.to_string().into()))
}

const HANGS: &str = "the data folder hangs, and with it what is to outlive a restart: ask again";

/// `{"halted":true,"reason":"…","since":"…","from_seq":1025}`, `{"halted":false,"to_seq":1030}`
#[derive(Serialize)]
struct Said<'a> {
    halted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_seq: Option<u64>,
}

impl<'a> Said<'a> {
    fn of(stand: &'a Stand) -> Self {
        match stand {
            Stand::Halted { halt, from } => Self {
                halted: true,
                reason: Some(halt.reason.as_str()),
                since: Some(halt.since.to_string()),
                from_seq: from.map(|from| from.get()),
                to_seq: None,
            },
            Stand::Lifted { to } => Self {
                halted: false,
                reason: None,
                since: None,
                from_seq: None,
                to_seq: *to,
            },
        }
    }
}
