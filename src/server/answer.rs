use hyper::body::Bytes;
use serde::Serialize;
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
