//! `/sources`: how the sources are; pausing one, and letting it go on.

use std::sync::Arc;
use std::time::Instant;

use hyper::body::Bytes;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use tracing::info;
use warp::filters::path::Tail;
use warp::http::{Method, Response, StatusCode};
use warp::{Filter, Rejection};

use crate::auth::Scope;
use crate::server::answer;
use crate::server::call::{Call, Route, call};
use crate::server::gate::Gate;
use crate::server::refusal::Refusal;
use crate::source::{Standing, States};

/// What is to become of which source.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    name: String,
    turn: Turn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Pause,
    Resume,
}

#[derive(Serialize)]
struct List<'a> {
    sources: Vec<Source<'a>>,
}

#[derive(Serialize)]
struct Source<'a> {
    name: &'a str,
    state: &'static str,
    last_signal_age_ms: Option<u128>,
    signals: u64,
    dead_letters: u64,
}

#[derive(Serialize)]
struct Done<'a> {
    name: &'a str,
    state: &'static str,
}

pub(super) fn route(gate: &Arc<Gate>, sources: &States) -> Route {
    list(Arc::clone(gate), sources.clone())
        .or(pause_or_resume(Arc::clone(gate), sources.clone()))
        .unify()
        .boxed()
}

fn list(gate: Arc<Gate>, sources: States) -> Route {
    warp::path!("sources")
        .and(call(&[Method::GET]))
        .then(move |call: Call| {
            let (gate, sources) = (Arc::clone(&gate), sources.clone());
            async move {
                let admitted = gate.authorise(&call, Scope::Admin).await;
                let answer = admitted.map(|_| answer::json(StatusCode::OK, &listed(&sources)));
                answer::of(&gate, answer)
            }
        })
        .boxed()
}

fn pause_or_resume(gate: Arc<Gate>, sources: States) -> Route {
    warp::path("sources")
        .and(asked())
        .and(call(&[Method::POST]))
        .then(move |asked: Asked, call: Call| {
            let (gate, sources) = (Arc::clone(&gate), sources.clone());
            async move {
                let outcome = turn(&gate, &sources, &asked, &call).await;
                answer::of(&gate, outcome)
            }
        })
        .boxed()
}

fn listed(sources: &States) -> List<'_> {
    let sources = sources.standings(Instant::now());
    List {
        sources: sources.map(Source::from).collect(),
    }
}

async fn turn(
    gate: &Gate,
    sources: &States,
    asked: &Asked,
    call: &Call,
) -> Result<Response<Bytes>, Refusal> {
    let principal = gate.authorise(call, Scope::Admin).await?;
    let Asked { name, turn } = asked;
    let state = match turn {
        Turn::Pause => sources.pause(name).await,
        Turn::Resume => sources.resume(name),
    };
    let state = state.ok_or(Refusal::Unknown(
        "there is no such source; GET /sources names them",
    ))?;
    let by = principal.subject();
    match turn {
        Turn::Pause => info!(source = %name, by, "source paused"),
        Turn::Resume => info!(source = %name, by, "source goes on"),
    }
    let done = Done {
        name,
        state: state.as_str(),
    };
    Ok(answer::json(StatusCode::OK, &done))
}

/// The rest of the path: a source's name, in which slashes may stand as they are, and what is to
/// become of it.
fn asked() -> impl Filter<Extract = (Asked,), Error = Rejection> + Clone {
    warp::path::tail().and_then(async |tail: Tail| {
        Asked::parse(tail.as_str()).ok_or_else(warp::reject::not_found)
    })
}

impl Asked {
    fn parse(tail: &str) -> Option<Self> {
        let (name, turn) = tail.rsplit_once('/')?;
        let turn = match turn {
            "pause" => Turn::Pause,
            "resume" => Turn::Resume,
            _ => return None,
        };
        let name = percent_decode_str(name).decode_utf8().ok()?;
        (!name.is_empty()).then(|| Self {
            name: name.into_owned(),
            turn,
        })
    }
}

impl<'a> From<Standing<'a>> for Source<'a> {
    fn from(source: Standing<'a>) -> Self {
        Self {
            name: source.name.as_str(),
            state: source.state.as_str(),
            last_signal_age_ms: source.last_signal_age.map(|age| age.as_millis()),
            signals: source.signals,
            dead_letters: source.dead_letters,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_be_encoded_and_may_hold_slashes() {
        let asked = |tail| {
            let asked = Asked::parse(tail)?;
            Some((asked.name, asked.turn))
        };
        for (tail, name, turn) in [
            ("stdin/pause", "stdin", Turn::Pause),
            ("stdin/resume", "stdin", Turn::Resume),
            (
                "file:signals/a.jsonl/pause",
                "file:signals/a.jsonl",
                Turn::Pause,
            ),
            (
                "file%3Asignals%2F%2A.jsonl/pause",
                "file:signals/*.jsonl",
                Turn::Pause,
            ),
            ("exec:date%20+%25s/resume", "exec:date +%s", Turn::Resume),
            ("file:pause/pause", "file:pause", Turn::Pause),
        ] {
            assert_eq!(asked(tail), Some((name.to_owned(), turn)), "{tail}");
        }
        for tail in [
            "",
            "stdin",
            "pause",
            "/pause",
            "stdin/",
            "stdin/Pause",
            "%ff/pause",
        ] {
            assert_eq!(asked(tail), None, "{tail}");
        }
    }
}
