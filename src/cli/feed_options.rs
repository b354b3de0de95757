//! What was typed for `feed`.

use hyper::Uri;

use super::access::{token, trust};
use super::typed::Typed;
use crate::config::{Surroundings, URL_VARIABLE};
use crate::feed::Options;
use crate::trust::trusting;

/// Where to publish, and as whom; none if that can't be told.
pub(super) fn read(typed: &mut Typed<'_>, around: &Surroundings) -> Option<Options> {
    let url = url(typed, around);
    let token = token(typed, around);
    let url = url?;
    let tls = trust(typed, around, &url, trusting)?;
    Some(Options::new(url, token.ok()?, tls, around.folder.clone()))
}

fn url(typed: &mut Typed<'_>, around: &Surroundings) -> Option<Uri> {
    let given = typed.once("url");
    let Some(text) = given.or_else(|| around.variable(URL_VARIABLE).map(str::to_owned)) else {
        typed.refuse(
            "URL",
            "is missing",
            "write one such as https://127.0.0.1:8080",
        );
        return None;
    };
    // The same server is wss:// to those who listen.
    let text = match text.split_once("://") {
        Some(("wss", rest)) => format!("https://{rest}"),
        Some(("ws", rest)) => format!("http://{rest}"),
        _ => text,
    };
    let url: Option<Uri> = text.parse().ok();
    let fits = |url: &Uri| {
        let authority = url.authority().map_or("", |authority| authority.as_str());
        matches!(url.scheme_str(), Some("https" | "http"))
            && url.host().is_some_and(|host| !host.is_empty())
            && !authority.contains('@')
            && url.query().is_none()
    };
    if let Some(url) = url.filter(fits) {
        return Some(url);
    }
    // Neither a password nor a token that stands in it is for the screen.
    let place = text.split(['?', '#']).next().unwrap_or_default();
    let shown = if place.contains('@') { "URL" } else { place };
    typed.refuse(
        shown,
        "is not the address of a server, without user and query",
        "write one such as https://127.0.0.1:8080, and show a token with --token",
    );
    None
}
