use hyper::body::Bytes;
use warp::http::header::CONTENT_TYPE;
use warp::http::{Response, StatusCode};

use super::refusal::Refusal;
use crate::metrics::Doors;

/// An answer in JSON.
pub(super) fn json(code: StatusCode, body: &serde_json::Value) -> Response<Bytes> {
    Response::builder()
        .status(code)
        .header(CONTENT_TYPE, "application/json")
        .body(body.to_string().into())
        .expect("the headers are constants")
}

/// What somebody gets who is turned away; it is counted.
pub(super) fn turn_away(metrics: &Doors, refusal: &Refusal) -> Response<Bytes> {
    metrics.refused(refusal.code());
    refusal.response().map(Bytes::from)
}
