use std::borrow::Cow;
use std::fmt::Display;
use std::time::Duration;

use futures::Stream;
use hyper::body::Buf;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::body::Bodies;
use super::call::Call;
use super::gate::Gate;
use super::refusal::Refusal;
use crate::auth::Principal;

/// Longer than any instruction: a token has up to 8 KiB.
const MOST_BYTES: usize = 16 * 1024;

/// For what comes of a body. Whoever gives an instruction has it ready.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads a small body as JSON, whatever its type is said to be; `form` shows what it has to look
/// like. By then `by` may have lost the right to give instructions, which is a refusal, too. It
/// needs no room among the bodies of those who publish: they must not keep anybody from halting.
pub(super) async fn read<T: DeserializeOwned, B: Buf, E: Display>(
    gate: &Gate,
    call: &Call,
    by: &Principal,
    body: impl Stream<Item = Result<B, E>>,
    form: &str,
) -> Result<T, Refusal> {
    call.visit.opening.is_known();
    let body = Bodies::new(MOST_BYTES / 1024, PATIENCE)
        .read(&call.headers, body, MOST_BYTES)
        .await?;
    gate.still_admits(by, call)?;
    // Where the fault is, but nothing of what was sent: that may be a token.
    serde_json::from_slice(&body.bytes).map_err(|why| {
        let (line, column) = (why.line(), why.column());
        let what = match why.classify() {
            Category::Data => "is not what is expected",
            _ => "is not JSON",
        };
        let problem = format!("the body {what} (line {line}, column {column}); send {form}");
        Refusal::BadRequest(Cow::Owned(problem))
    })
}
