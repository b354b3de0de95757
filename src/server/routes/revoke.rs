//! `POST /tokens/revoke`: what `signalcast token revoke` does, for whoever may.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::Stream;
use hyper::body::{Buf, Bytes};
use serde::Deserialize;
use serde_json::json;
use tracing::{error, info};
use warp::Filter;
use warp::http::{Method, Response, StatusCode};

use crate::auth::{NotRevoked, RevokeError, Scope, Target, Token};
use crate::server::answer;
use crate::server::call::{Call, Route, call};
use crate::server::gate::Gate;
use crate::server::json_body;
use crate::server::refusal::Refusal;
use crate::server::revocation::{NotHeld, Revoke};

pub(super) fn route(gate: Arc<Gate>, revoker: Arc<dyn Revoke>) -> Route {
    warp::path!("tokens" / "revoke")
        .and(call(&[Method::POST]))
        .and(warp::body::stream())
        .then(move |call: Call, body| {
            let (gate, revoker) = (Arc::clone(&gate), Arc::clone(&revoker));
            async move {
                let outcome = revoke(&gate, revoker, &call, body).await;
                answer::of(&gate, outcome)
            }
        })
        .boxed()
}

/// One of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Instruction {
    token: Option<String>,
    jti: Option<String>,
    sub: Option<String>,
}

const FORM: &str = r#"{"token":"…"}, {"jti":"…"} or {"sub":"…"}"#;

/// A command that changes the file may hold it for some seconds.
const PATIENCE: Duration = Duration::from_secs(10);

const HANGS: &str = "the file of tokens hangs, and with it the revocation: ask again";

async fn revoke<B: Buf>(
    gate: &Gate,
    revoker: Arc<dyn Revoke>,
    call: &Call,
    body: impl Stream<Item = Result<B, warp::Error>>,
) -> Result<Response<Bytes>, Refusal> {
    // What a drain still delivers can be kept from somebody.
    let principal = gate.authorise_to_the_end(call, Scope::Admin).await?;
    let instruction = json_body::read(gate, call, &principal, body, FORM);
    let target = target(instruction.await?)?;
    // From now on a drain waits for the answer: it may be the last client that is let go.
    let answering = call.visit.answering.token();
    let by = principal.subject().to_owned();
    let revoking = move || {
        let revoked = revoker.revoke(&target, SystemTime::now());
        // Said here, for nobody may wait for it any more.
        if let Ok(what) = &revoked {
            info!(by, what, "revoked");
        }
        revoked
    };
    let revoked = call.visit.block(PATIENCE, HANGS, revoking).await?;
    let words = revoked.map_err(|why| refusal(&why))?;
    let answer = answer::json(StatusCode::OK, &json!({ "revoked": words }));
    Ok(answer::awaited(answer, answering))
}

fn target(instruction: Instruction) -> Result<Target, Refusal> {
    let Instruction { token, jti, sub } = instruction;
    let target = match (token, jti, sub) {
        (Some(token), None, None) => Some((Target::Token(Token::new(token.trim())), token)),
        (None, Some(jti), None) => Some((Target::Jti(jti.clone()), jti)),
        (None, None, Some(sub)) => Some((Target::Subject(sub.clone()), sub)),
        _ => None,
    };
    match target {
        Some((target, text)) if !text.trim().is_empty() => Ok(target),
        _ => Err(Refusal::BadRequest(
            format!("name one thing to revoke: {FORM}").into(),
        )),
    }
}

fn refusal(why: &NotHeld) -> Refusal {
    let words = match why {
        NotHeld::NotRevoked(NotRevoked::Target(why)) => match why {
            RevokeError::Unknown => return Refusal::Unknown("there is no such token"),
            RevokeError::NotAToken => "token is neither a token nor the id of an opaque one".into(),
            RevokeError::Ambiguous => {
                "token is the beginning of several ids; write a longer one".into()
            }
            RevokeError::Unreadable(why) => {
                format!("token can't be read: {why}; send it whole, or its jti or sub").into()
            }
        },
        NotHeld::NotRevoked(NotRevoked::File(file)) => {
            error!(%file, "a token could not be revoked");
            return Refusal::Unfinished(format!("nothing is revoked: {file}").into());
        }
        NotHeld::NotRead => return Refusal::Unfinished(why.to_string().into()),
    };
    Refusal::BadRequest(words)
}
