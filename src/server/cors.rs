//! CORS: the pages, by their origin, whose scripts may read what HTTP answers. Without such origins
//! nothing is said of it, and browsers let none.

use std::time::Duration;

use tower_http::cors::{AllowOrigin, CorsLayer};
use warp::http::Method;
use warp::http::header::{
    AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};

use super::page::NEXT_AFTER_SEQ;
use super::upgrade::{EPOCH, LAST_SEQ};

/// What adds to each answer what browsers want to know, and answers what they ask first; `None`
/// for no origins. Credentials in the sense of browsers are none of it: no cookie is ever used.
pub(super) fn layer(origins: &[HeaderValue]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().cloned())
    };
    let exposed = [
        HeaderName::from_static(LAST_SEQ),
        HeaderName::from_static(EPOCH),
        HeaderName::from_static(NEXT_AFTER_SEQ),
        RETRY_AFTER,
        WWW_AUTHENTICATE,
    ];
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, LAST_EVENT_ID])
        .expose_headers(exposed)
        .max_age(REMEMBERED);
    Some(layer)
}

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How long a browser need not ask again; Chromium takes two hours at most.
const REMEMBERED: Duration = Duration::from_secs(3600);
