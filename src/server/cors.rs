//! CORS: the pages, by their origin, whose scripts may read what HTTP answers. Without such origins
//! nothing is said of it, and browsers let none.

use std::time::Duration;

use tower_http::cors::{AllowOrigin, CorsLayer};
use warp::http::Method;
use warp::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};

use super::headers::{EPOCH, LAST_EVENT_ID, LAST_SEQ, NEXT_AFTER_SEQ};

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
        LAST_SEQ,
        EPOCH,
        NEXT_AFTER_SEQ,
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

/// How long a browser need not ask again; Chromium takes two hours at most.
const REMEMBERED: Duration = Duration::from_secs(3600);
