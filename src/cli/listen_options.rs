//! What was typed for `listen`.

use tokio_tungstenite::Connector;
use tokio_tungstenite::tungstenite::http::Uri;

use super::access::{token, trust};
use super::typed::Typed;
use crate::config::{Problem, Surroundings, URL_VARIABLE};
use crate::listen::{Form, Options, Query, Start};
use crate::signal::ReceivedAt;
use crate::trust::trusting;

/// Where to connect and what to print; none if that can't be told.
pub(super) fn read(typed: &mut Typed<'_>, around: &Surroundings) -> Option<Options> {
    let url = url(typed, around);
    let token = token(typed, around);
    let mut query = url.as_ref().map(Query::of).unwrap_or_default();
    let start = start(typed, &mut query);
    symbols(typed, &mut query);
    let connector = connector(typed, around, url.as_ref()?);
    let form = if typed.is_there("json") {
        Form::Frame
    } else {
        Form::Line
    };
    Some(Options::new(
        url?,
        query,
        start?,
        token.ok()?,
        connector?,
        form,
    ))
}

/// Where to begin, from flags or from the query of the address; it stands in that no more.
fn start(typed: &mut Typed<'_>, query: &mut Query) -> Option<Start> {
    let after = either(typed, "after-seq", query.take("after_seq"));
    let since = either(typed, "since", query.take("since"));
    let start = match (after, since) {
        (None, None) => Start::Live,
        (Some(_), Some(_)) => {
            typed.refuse("--since", "is there beside --after-seq", "leave one");
            return None;
        }
        (Some(text), None) => match text.parse() {
            Ok(seq) => Start::After(seq),
            Err(_) => {
                typed.refuse(
                    "--after-seq",
                    &format!("{text} is no seq"),
                    "write the last one that is known, or 0 for everything that is kept",
                );
                return None;
            }
        },
        (None, Some(time)) => match time.parse::<ReceivedAt>() {
            Ok(_) => Start::Since(time),
            Err(why) => {
                typed.refusals.push(Problem::said(why).with("--since"));
                return None;
            }
        },
    };
    Some(start)
}

/// Patterns of symbols go into the query.
fn symbols(typed: &mut Typed<'_>, query: &mut Query) {
    let patterns = typed.many("symbols");
    if patterns.is_empty() {
        return;
    }
    if query.take("symbols").is_some() {
        typed.refuse(
            "--symbols",
            "is there beside symbols= in the URL",
            "leave one",
        );
    }
    query.push("symbols", &patterns.join(","));
}

/// The value of a flag, or what stands in the URL instead.
fn either(typed: &mut Typed<'_>, flag: &str, in_url: Option<String>) -> Option<String> {
    let given = typed.once(flag);
    if given.is_some() && in_url.is_some() {
        let key = flag.replace('-', "_");
        typed.refuse(
            format!("--{flag}"),
            &format!("is there beside {key}= in the URL"),
            "leave one",
        );
    }
    given.or(in_url)
}

pub(super) fn url(typed: &mut Typed<'_>, around: &Surroundings) -> Option<Uri> {
    let given = typed.once("url");
    let Some(text) = given.or_else(|| around.variable(URL_VARIABLE).map(str::to_owned)) else {
        typed.refuse(
            "URL",
            "is missing",
            "write one such as wss://127.0.0.1:8080",
        );
        return None;
    };
    let url: Option<Uri> = text.parse().ok();
    // Behind a password with a slash in it, it seems to be in the path.
    if text
        .split('?')
        .next()
        .is_some_and(|place| place.contains('@'))
    {
        typed.refuse(
            "URL",
            "names a user, who would not be asked for",
            "show a token with --token; in a path, write %40 for @",
        );
        return None;
    }
    let fits = |url: &Uri| {
        matches!(url.scheme_str(), Some("ws" | "wss"))
            && url.host().is_some_and(|host| !host.is_empty())
    };
    if let Some(url) = url.filter(fits) {
        return Some(url);
    }
    let rest = text.split_once("://").map_or(&*text, |(_, rest)| rest);
    let shown = text.split('?').next().unwrap_or_default();
    typed.refuse(
        shown,
        "is not the address of a WebSocket server",
        &match rest.split(['?', '/']).next() {
            Some(host) if !host.is_empty() => format!("write wss://{host}"),
            _ => "write one such as wss://127.0.0.1:8080".to_owned(),
        },
    );
    None
}

fn connector(typed: &mut Typed<'_>, around: &Surroundings, url: &Uri) -> Option<Connector> {
    let config = trust(typed, around, url, trusting)?;
    Some(config.map_or(Connector::Plain, Connector::Rustls))
}
