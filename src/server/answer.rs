use hyper::body::Bytes;
use serde::Serialize;
use tokio_util::task::task_tracker::TaskTrackerToken;
use warp::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use warp::http::{Response, StatusCode};

use super::gate::Gate;
use super::refusal::Refusal;

/// An answer in JSON. The body holds nothing but strings, numbers and the like.
pub(super) fn json(code: StatusCode, body: &impl Serialize) -> Response<Bytes> {
    let body = serde_json::to_vec(body).expect("strings and numbers serialize");
    json_text(code, body.into())
}

/// The same of JSON that is written already.
pub(super) fn json_text(code: StatusCode, text: Bytes) -> Response<Bytes> {
    Response::builder()
        .status(code)
        .header(CONTENT_TYPE, "application/json")
        .body(text)
        .expect("the headers are constants")
}

/// The same answer, for which a drain waits until it is on its way.
pub(super) fn awaited(answer: Response<Bytes>, answering: TaskTrackerToken) -> Response<Bytes> {
    answer.map(|text| {
        Bytes::from_owner(Awaited {
            text,
            _answering: answering,
        })
    })
}

struct Awaited {
    text: Bytes,
    _answering: TaskTrackerToken,
}

impl AsRef<[u8]> for Awaited {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

/// The same answer, for nobody on the way to keep.
pub(super) fn not_stored(mut answer: Response<Bytes>) -> Response<Bytes> {
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// What a route has to say to somebody. Whoever is turned away is counted.
pub(super) fn of(gate: &Gate, outcome: Result<Response<Bytes>, Refusal>) -> Response<Bytes> {
    outcome.unwrap_or_else(|refusal| {
        gate.metrics.refused(refusal.code());
        refusal.response().map(Bytes::from)
    })
}
