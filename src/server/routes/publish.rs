//! `POST /signals`: signals from whoever may publish, taken all together or not at all.

use std::sync::Arc;

use futures::Stream;
use hyper::body::{Buf, Bytes};
use tracing::debug;
use warp::Filter;
use warp::http::{Method, Response, StatusCode};

use super::fetch::OF_SIGNALS;
use crate::auth::{Principal, Scope};
use crate::ingest::Signals;
use crate::printable::printable;
use crate::server::answer;
use crate::server::call::{Call, Route, call_by};
use crate::server::gate::Gate;
use crate::server::intake::Intake;
use crate::server::lines::{self, Form};
use crate::server::query::{self, Query};
use crate::server::refusal::Refusal;
use crate::source::SourceName;

pub(super) fn route(gate: Arc<Gate>, intake: Intake) -> Route {
    warp::path!("signals")
        .and(call_by(Method::POST, OF_SIGNALS))
        .and(warp::body::stream())
        .then(move |call: Call, body| {
            let (gate, intake) = (Arc::clone(&gate), intake.clone());
            async move {
                let outcome = publish(&gate, &intake, &call, body).await;
                answer::of(&gate, outcome)
            }
        })
        .boxed()
}

/// Longest body.
const MOST_BODY: usize = 16 * 1024 * 1024;

/// Takes what somebody brings, and answers when the log has it.
async fn publish<B: Buf>(
    gate: &Gate,
    intake: &Intake,
    call: &Call,
    body: impl Stream<Item = Result<B, warp::Error>>,
) -> Result<Response<Bytes>, Refusal> {
    let principal = gate.authorise(call, Scope::SignalsPublish).await?;
    call.visit.opening.is_known();
    let unit = Query::parse(&call.query, query::OF_PUBLISHING)?.unit;
    let form = Form::of(&call.headers)?;
    let still_admitted = || gate.still_admits(&principal, call);
    let body = intake.read(&principal, &call.headers, body, MOST_BODY, still_admitted);
    let body = body.await?;
    // Until the answer, or until he has gone: what he left behind waits for the log like all else.
    let _share = body.share;
    let read = lines::read(&body.bytes, form, unit).await?;
    let (lines, signals): (Vec<_>, Vec<_>) = read.into_iter().unzip();
    let source = source(&principal);
    debug!(%source, signals = signals.len(), "publishing");
    let signals = Signals::from(signals).keeping(body.room);
    drop(body.bytes);
    let within = intake.patience;
    let published = intake.publish(&call.visit, source, signals, within, still_admitted);
    Ok(published.await?.answer(StatusCode::CREATED, &lines))
}

/// Who has published, as clients see it.
fn source(principal: &Principal) -> SourceName {
    let subject = printable(principal.subject());
    let cut: String = subject.chars().take(MOST_SUBJECT).collect();
    SourceName::from(format!("http:{cut}").as_str())
}

/// Characters of a subject that a source is named after.
const MOST_SUBJECT: usize = 64;
