//! What was typed for `bench` about its feed.

use std::num::{NonZeroU16, NonZeroU64};

use tokio_tungstenite::tungstenite::http::Uri;

use super::bench_grammar::{BATCH, FILTER, FILTERED, RATE, SYMBOLS, WARM_UP};
use super::typed::{Typed, at_least_one, number};
use crate::bench::{Feed, FeedTo, Filter, PLACE_OF_SYMBOL, Pace, Symbols};
use crate::config::{Problem, Surroundings};

/// What is to be fed; none inside if nothing is.
pub(super) fn feed(
    typed: &mut Typed<'_>,
    around: &Surroundings,
    has_server: bool,
) -> Option<Option<Feed>> {
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
    let lines = typed.optional("lines", |text| at_least_one(text).map(NonZeroU64::get));
    let warm_up = typed.parsed("warm-up", WARM_UP, |text| match number(text)? {
        lines @ 0..=MOST_WARM_UP => Ok(lines),
        _ => Err(Problem::new(
            "is more than ten seconds of warming up",
            "write 1000 at most",
        )),
    });
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

const MOST_WARM_UP: u64 = 1000;

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
        (None, Some(_)) => typed.optional("window", at_least_one)?.map(Pace::Window),
        _ => typed.parsed("rate", RATE, |text| match text {
            "max" => Ok(Pace::Flood),
            text => at_least_one(text).map(Pace::Rate),
        }),
    }
}
