use hyper::body::Bytes;
use serde::Serialize;
use warp::http::header::CONTENT_TYPE;
use warp::http::{Response, StatusCode};

use super::refusal::Refusal;
use crate::metrics::Doors;

/// An answer in JSON. The body holds nothing but strings, numbers and the like.
pub(super) fn json(code: StatusCode, body: &impl Serialize) -> Response<Bytes> {
    let body = serde_json::to_string(body).expect("strings and numbers serialize");
    Response::builder()
        .status(code)
        .header(CONTENT_TYPE, "application/json")
        .body(body.into())
        .expect("the headers are constants")
}

/// What somebody gets who is turned away; it is counted.
pub(super) fn turn_away(metrics: &Doors, refusal: &Refusal) -> Response<Bytes> {
    metrics.refused(refusal.code());
    refusal.response().map(Bytes::from)
}
