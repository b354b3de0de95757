//! What was typed for `bench`.

use std::num::{NonZeroU16, NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::Path;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Uri};

use super::bench_grammar::{
    BATCH, CLIENTS, CONNECTING, DURATION, FILTER, FILTERED, RATE, SEQUENCE, SETTLE, SYMBOLS,
    WARM_UP,
};
use super::listen_options::{token, trust, url};
use super::typed::Typed;
use crate::bench::{
    AuthorityFile, Feed, FeedTo, Filter, Form, Options, PLACE_OF_SYMBOL, Pace, Symbols,
};
use crate::config::units::duration;
use crate::config::{Problem, Surroundings};
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
            // What it holds may be secret.
            let name = text.split(':').next().unwrap_or_default();
            typed.refuse(
                format!("--header {name}"),
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
    let needed = clients.get() as u64 + FILES_BESIDES;
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
    match typed.once("pid") {
        None => Some(None),
        Some(_) => typed.parsed("pid", "", at_least_one).map(Some),
    }
}

/// What is to be fed; none inside if nothing is.
fn feed(typed: &mut Typed<'_>, around: &Surroundings, has_server: bool) -> Option<Option<Feed>> {
    let Some(text) = typed.once("feed-to") else {
        for name in OF_FEED {
            if typed.once(name).is_some() {
                typed.refuse(
                    format!("--{name}"),
                    "is about a feed, and nothing is fed",
                    "say where to with --feed-to",
                );
            }
        }
        return Some(None);
    };
    if typed.once("sequence").is_some() {
        typed.refuse(
            "--sequence",
            "is there beside --feed-to, whose lines are numbered",
            "leave one",
        );
    }
    let to = feed_to(typed, &text, around, has_server);
    let pace = pace(typed);
    let lines = match typed.once("lines") {
        None => Some(None),
        Some(_) => typed
            .parsed("lines", "", at_least_one::<NonZeroU64>)
            .map(|lines| Some(lines.get())),
    };
    let warm_up = typed.parsed("warm-up", WARM_UP, number);
    let batch = typed.parsed("batch", BATCH, at_least_one);
    let line_bytes = typed.parsed("line-bytes", "0", |text| {
        number(text).and_then(|bytes| match bytes {
            0..=LONGEST_LINE => Ok(bytes),
            _ => Err(Problem::new(
                "is more than a line may have",
                "write 65536 at most",
            )),
        })
    });
    let symbols = typed.parsed("symbols", SYMBOLS, |text| {
        at_least_one::<NonZeroU16>(text).map(Symbols)
    });
    let filter = filter(typed, symbols);
    Some(Some(Feed {
        to: to?,
        pace: pace?,
        lines: lines?,
        warm_up: warm_up?,
        batch: batch?,
        line_bytes: line_bytes?,
        symbols: symbols?,
        filter: filter?,
    }))
}

/// Options that say nothing without a feed.
const OF_FEED: [&str; 9] = [
    "rate",
    "window",
    "batch",
    "lines",
    "line-bytes",
    "symbols",
    "filtered",
    "filter",
    "warm-up",
];

/// Who gets one symbol only; none inside if nobody does.
fn filter(typed: &mut Typed<'_>, symbols: Option<Symbols>) -> Option<Option<Filter>> {
    let query = typed.once("filter").unwrap_or_else(|| FILTER.to_owned());
    let can_ask = query.contains(PLACE_OF_SYMBOL)
        && format!("/?{}", query.replace(PLACE_OF_SYMBOL, "X"))
            .parse::<Uri>()
            .is_ok();
    if !can_ask {
        typed.refuse(
            "--filter",
            &format!("{query:?} asks for no symbol"),
            &format!("write {PLACE_OF_SYMBOL} where it is to stand, as in {FILTER}"),
        );
    }
    let percent = typed.parsed("filtered", FILTERED, |text| match number::<u8>(text)? {
        percent @ 0..=100 => Ok(percent),
        _ => Err(Problem::new(
            "is more than all clients",
            "write 100 at most",
        )),
    })?;
    Some((percent > 0).then_some(Filter {
        percent,
        symbols: symbols?,
        query: can_ask.then_some(query)?,
    }))
}

const LONGEST_LINE: usize = 65_536;

fn feed_to(
    typed: &mut Typed<'_>,
    text: &str,
    around: &Surroundings,
    has_server: bool,
) -> Option<FeedTo> {
    match text.split_once(':') {
        None if text == "stdin" && has_server => Some(FeedTo::Server),
        None if text == "stdin" => {
            typed.refuse(
                "--feed-to",
                "stdin is that of a server which is started",
                "add --server COMMAND, or write file:PATH or exec:COMMAND",
            );
            None
        }
        Some(("file", path)) if !path.is_empty() => Some(FeedTo::File(around.folder.join(path))),
        Some(("exec", command)) if !command.trim().is_empty() => {
            Some(FeedTo::Command(command.to_owned()))
        }
        _ => {
            typed.refuse(
                "--feed-to",
                &format!("{text:?} says not where"),
                "write stdin, file:PATH or exec:COMMAND",
            );
            None
        }
    }
}

fn pace(typed: &mut Typed<'_>) -> Option<Pace> {
    match (typed.once("rate"), typed.once("window")) {
        (Some(_), Some(_)) => {
            typed.refuse("--window", "is there beside --rate", "leave one");
            None
        }
        (None, Some(_)) => typed.parsed("window", "", at_least_one).map(Pace::Window),
        _ => typed.parsed("rate", RATE, |text| match text {
            "max" => Ok(Pace::Flood),
            text => at_least_one(text).map(Pace::Rate),
        }),
    }
}

/// A number that may be 0.
fn number<T: FromStr>(text: &str) -> Result<T, Problem> {
    parsed(text, "write a whole number, as in 100")
}

/// One that may not.
fn at_least_one<T: FromStr>(text: &str) -> Result<T, Problem> {
    parsed(text, "write a whole number from 1 on, as in 100")
}

fn parsed<T: FromStr>(text: &str, remedy: &str) -> Result<T, Problem> {
    text.parse()
        .map_err(|_| Problem::new(format!("can't be {text:?}"), remedy))
}
