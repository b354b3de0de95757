//! What was typed for `bench`.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Uri};

use super::access::{token, trust};
use super::bench_feed::feed;
use super::bench_grammar::{CLIENTS, CONNECTING, DURATION, SEQUENCE, SETTLE};
use super::listen_options::url;
use super::typed::{Typed, at_least_one};
use crate::bench::{AuthorityFile, Form, Options};
use crate::config::Surroundings;
use crate::config::units::duration;
use crate::listen::USUAL_CA;
use crate::trust::authorities;

/// What to measure; none if that can't be told.
pub(super) fn read(typed: &mut Typed<'_>, around: &Surroundings) -> Option<Options> {
    let url = url(typed, around);
    let headers = headers(typed, around);
    let subprotocol = subprotocol(typed);
    let hello = hello(typed);
    let clients = typed.parsed("clients", CLIENTS, at_least_one::<NonZeroUsize>);
    if let (Some(clients), Some(most)) = (clients, around.open_files) {
        enough_files(typed, clients, most);
    }
    let connecting = typed.parsed("connecting", CONNECTING, at_least_one);
    let server = typed.once("server");
    let pid = pid(typed, server.is_some());
    let feed = feed(typed, around, server.is_some());
    let sequence = typed
        .once("sequence")
        .unwrap_or_else(|| SEQUENCE.to_owned());
    let settle = typed.parsed("settle", SETTLE, duration);
    let duration = typed.parsed("duration", DURATION, duration);
    let form = if typed.is_there("json") {
        Form::Json
    } else {
        Form::Text
    };
    let tls = authority(typed, around, url.as_ref()?)?;
    Some(Options {
        url: url?,
        tls,
        headers: headers?,
        subprotocol: subprotocol?,
        hello: hello?,
        clients: clients?,
        connecting: connecting?,
        server,
        pid: pid?,
        feed: feed?,
        duration: duration?,
        settle: settle?,
        sequence,
        form,
    })
}

/// Whose certificates are believed, as with `listen`; none inside without TLS. A server that is
/// started may be about to make its authority.
fn authority(
    typed: &mut Typed<'_>,
    around: &Surroundings,
    url: &Uri,
) -> Option<Option<AuthorityFile>> {
    let named = trust(typed, around, url, |ca| {
        authorities(ca).map(|_| ca.map(Path::to_owned))
    })?;
    let usual = || around.folder.join(USUAL_CA);
    Some(named.map(|named| AuthorityFile(named.unwrap_or_else(usual))))
}

fn headers(typed: &mut Typed<'_>, around: &Surroundings) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let token = token(typed, around);
    let mut headers: Option<Vec<_>> = Some(Vec::new());
    for text in typed.many("header") {
        let parts = text.split_once(':').and_then(|(name, value)| {
            Some((name.trim().parse().ok()?, value.trim().parse().ok()?))
        });
        if parts.is_none() {
            // What it holds may be secret, and so may all of it be.
            typed.refuse(
                "--header",
                "is no header",
                "write one such as 'X-Api-Key: abc'",
            );
        }
        headers = headers.zip(parts).map(|(mut headers, header)| {
            headers.push(header);
            headers
        });
    }
    let mut headers = headers?;
    if let Some(token) = token.ok()? {
        headers.push((AUTHORIZATION, token));
    }
    Some(headers)
}

fn subprotocol(typed: &mut Typed<'_>) -> Option<Option<String>> {
    let Some(name) = typed.once("subprotocol") else {
        return Some(None);
    };
    // A token of HTTP, as names of headers are.
    if name.parse::<HeaderName>().is_err() {
        typed.refuse(
            "--subprotocol",
            &format!("{name:?} can't be one"),
            "write one such as signalcast.v2",
        );
        return None;
    }
    Some(Some(name))
}

fn hello(typed: &mut Typed<'_>) -> Option<Option<Vec<u8>>> {
    let Some(text) = typed.once("hello") else {
        return Some(None);
    };
    let Some(encoded) = text.strip_prefix("base64:") else {
        return Some(Some(text.into_bytes()));
    };
    let decoded = BASE64_STANDARD.decode(encoded).ok();
    if decoded.is_none() {
        typed.refuse(
            "--hello",
            "is no base64",
            "write what `base64 -w0` prints behind base64:",
        );
    }
    decoded.map(Some)
}

fn enough_files(typed: &mut Typed<'_>, clients: NonZeroUsize, most: u64) {
    let needed = (clients.get() as u64).saturating_add(FILES_BESIDES);
    if needed > most {
        typed.refuse(
            "--clients",
            &format!("{clients} need {needed} open files, and {most} are allowed"),
            &format!(
                "raise the limit (ulimit -n), or write {} at most",
                most.saturating_sub(FILES_BESIDES)
            ),
        );
    }
}

/// Open files besides the connections.
const FILES_BESIDES: u64 = 50;

fn pid(typed: &mut Typed<'_>, has_server: bool) -> Option<Option<NonZeroU32>> {
    if has_server && typed.once("pid").is_some() {
        typed.refuse("--pid", "is there beside --server", "leave one");
    }
    typed.optional("pid", at_least_one)
}
