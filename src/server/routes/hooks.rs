//! `POST /hooks/{name}/{secret}`: signals from senders that can't set headers, such as alerts of
//! TradingView.

use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use hyper::body::{Buf, Bytes};
use percent_encoding::percent_decode_str;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{debug, info, warn};
use warp::Filter;
use warp::http::{Method, Response, StatusCode};
use warp::path::Tail;

use crate::clock;
use crate::hook::{Hook, Hooks};
use crate::ingest::{Refused, Signals};
use crate::server::answer;
use crate::server::body::Body;
use crate::server::call::{Call, Route, call};
use crate::server::gate::Gate;
use crate::server::intake::Intake;
use crate::server::query::{self, Query};
use crate::server::refusal::Refusal;
use crate::signal::RefusedLine;
use crate::source::Position;

pub(super) fn route(gate: Arc<Gate>, intake: Intake, hooks: watch::Receiver<Hooks>) -> Route {
    warp::path!("hooks" / String / ..)
        .and(warp::path::tail())
        .and(call(&[Method::POST]))
        .and(warp::body::stream())
        .then(move |name: String, secret: Tail, call: Call, body| {
            let (gate, intake) = (Arc::clone(&gate), intake.clone());
            let hooks = hooks.clone();
            async move {
                let at_door = || find(&gate, &hooks.borrow(), &name, secret.as_str(), &call);
                let outcome = take(&gate, &intake, at_door, &call, body).await;
                answer::of(&gate, outcome)
            }
        })
        .boxed()
}

/// Longest body. TradingView's have some 4 KiB at most.
const MOST_BODY: usize = 64 * 1024;

/// Longest wait for the log: TradingView gives up on a post after 3 s, and then never posts it
/// again. After a 503 it does.
const WITHIN: Duration = Duration::from_secs(2);

/// The hook that somebody may use. Whatever is wrong, the answer is that of a path that is not
/// there, and it counts as a try to get in.
fn find(
    gate: &Gate,
    hooks: &Hooks,
    name: &str,
    secret: &str,
    call: &Call,
) -> Result<Hook, Refusal> {
    let address = call.visit.address;
    let secret: Vec<u8> = percent_decode_str(secret).collect();
    hooks.find(name, &secret, address).cloned().map_err(|why| {
        // The name is the sender's word, and somebody may take the secret for it.
        debug!(reason = why.reason(), %address, "hook refused");
        gate.failed(address, why.reason(), Refusal::NotFound)
    })
}

/// Takes what somebody brings, and answers when the log has it. The hook is the one that he may use
/// `at_door`, and still may when the body has come.
async fn take<B: Buf>(
    gate: &Gate,
    intake: &Intake,
    at_door: impl Fn() -> Result<Hook, Refusal>,
    call: &Call,
    body: impl Stream<Item = Result<B, warp::Error>>,
) -> Result<Response<Bytes>, Refusal> {
    let hook = at_door()?;
    call.visit.opening.is_known();
    gate.is_open()?;
    let read = async {
        let unit = Query::parse(&call.query, query::OF_PUBLISHING)?.unit;
        let body = intake.posts.read(&call.headers, body, MOST_BODY).await?;
        Ok::<_, Refusal>((unit, body))
    };
    // What was not read can't be kept, and nobody else tells.
    let (unit, body) = read.await.inspect_err(|refusal| {
        let code = refusal.code();
        warn!(hook = %hook.name, code, "the body of a post was not taken");
    })?;
    // Its secret may be another one by now, or its settings.
    let hook = at_door()?;
    match hook.read(&body.bytes, unit, clock::now()) {
        Ok(signals) => {
            let (lines, signals): (Vec<_>, Vec<_>) = signals.into_iter().unzip();
            let signals = Signals::from(signals).keeping(body.room);
            let (source, still_admitted) = (hook.source(), || at_door().map(drop));
            let published = intake.publish(&call.visit, source, signals, WITHIN, still_admitted);
            let published = published.await?;
            if published.are_repeated() {
                info!(hook = %hook.name, "a post brought nothing that was not there before");
            }
            Ok(published.answer(StatusCode::OK, &lines))
        }
        Err(refused) => Err(bury(intake, &hook, body, refused).await),
    }
}

/// Has a body that holds no signals kept: its sender can't be asked for a better one.
async fn bury(intake: &Intake, hook: &Hook, body: Body, refused: Vec<RefusedLine>) -> Refusal {
    let letter = Refused {
        source: hook.source(),
        position: Position {
            file: None,
            line: 1,
            offset: 0,
        },
        reason: reason(&refused),
        line: body.bytes,
    };
    match timeout(WITHIN, intake.publisher.refuse(letter)).await {
        Ok(Ok(())) => Refusal::InvalidSignals(refused),
        Ok(Err(_stopped)) => Refusal::Draining,
        // Posted again, it may be kept.
        Err(_late) => Refusal::NoRoom,
    }
}

/// Why a body was refused, in one line.
fn reason(refused: &[RefusedLine]) -> String {
    if let [RefusedLine { line: 1, reason }] = refused {
        return reason.clone();
    }
    let said = refused.iter().take(MOST_REASONS);
    let mut said: Vec<String> = said
        .map(|RefusedLine { line, reason }| format!("line {line}: {reason}"))
        .collect();
    let more = refused.len().saturating_sub(MOST_REASONS);
    if more > 0 {
        said.push(format!("and {more} more"));
    }
    said.join("; ")
}

/// Lines of which a dead letter says why they were refused.
const MOST_REASONS: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_says_why_in_one_line() {
        let refused = |lines: &[usize]| -> String {
            let lines = lines.iter().map(|&line| RefusedLine {
                line,
                reason: "wrong".to_owned(),
            });
            reason(&lines.collect::<Vec<_>>())
        };
        assert_eq!(refused(&[1]), "wrong");
        assert_eq!(refused(&[3]), "line 3: wrong");
        assert_eq!(refused(&[1, 2]), "line 1: wrong; line 2: wrong");
        assert!(refused(&[1, 2, 3, 4, 5, 6, 7]).ends_with("; line 5: wrong; and 2 more"));
    }
}
