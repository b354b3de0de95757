use std::borrow::Cow;

use super::past::Start;
use super::refusal::Refusal;
use crate::auth::Principal;
use crate::hub::{Framing, Stale, Tests, View};
use crate::nearest::nearest;
use crate::signal::{PriceForm, Protocol, ReceivedAt, Seq, SymbolFilter, TimeUnit};

/// What a request asks for behind the question mark.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    /// Where to begin, if it says so.
    pub(super) start: Option<Start>,
    /// The log that it speaks of, if it says so.
    pub(super) epoch: Option<String>,
    /// Most signals in an answer, if it says so.
    pub(super) limit: Option<usize>,
    /// What the integers in the timestamps of signals count.
    pub(super) unit: TimeUnit,
    symbols: SymbolFilter,
    tests: Tests,
    prices: PriceForm,
    stale: Stale,
}

/// A parameter by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parameter {
    AfterSeq,
    Since,
    Epoch,
    Symbols,
    Tests,
    Prices,
    Stale,
    Limit,
    Unit,
}

/// What an upgrade takes.
pub(super) const OF_UPGRADES: &[Parameter] = &[
    Parameter::AfterSeq,
    Parameter::Since,
    Parameter::Epoch,
    Parameter::Symbols,
    Parameter::Tests,
    Parameter::Prices,
    Parameter::Stale,
];

/// What a request for past signals takes.
pub(super) const OF_PAGES: &[Parameter] = &[
    Parameter::AfterSeq,
    Parameter::Since,
    Parameter::Epoch,
    Parameter::Symbols,
    Parameter::Tests,
    Parameter::Prices,
    Parameter::Stale,
    Parameter::Limit,
];

/// What somebody may say who publishes.
pub(super) const OF_PUBLISHING: &[Parameter] = &[Parameter::Unit];

/// Most signals in one answer.
pub(super) const MOST_LIMIT: usize = 10_000;

impl Query {
    /// Reads a query. Whatever is not understood is refused: a mistyped `after_seq` that was passed
    /// over would lose signals in silence.
    pub(super) fn parse(query: &str, takes: &[Parameter]) -> Result<Self, Refusal> {
        well_encoded(query)?;
        let (mut asked, mut seen) = (Self::default(), Vec::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if [&name, &value].iter().any(|text| text.contains('\u{fffd}')) {
                return refuse("the query must be UTF-8, percent-encoded");
            }
            let parameter = Parameter::named(&name, takes)?;
            if seen.contains(&parameter) {
                let name = parameter.name();
                return refuse(format!("{name} is given more than once; write it once"));
            }
            seen.push(parameter);
            asked.take(parameter, &value)?;
        }
        Ok(asked)
    }

    /// Whether all of it can be had in this protocol.
    pub(super) fn fits(&self, protocol: Protocol) -> Result<(), Refusal> {
        if protocol == Protocol::V1 && self.stale == Stale::Marked {
            return refuse(
                "stale signals can only be marked in signalcast.v2; ask for that subprotocol, \
                 or leave out stale=true",
            );
        }
        Ok(())
    }

    /// What somebody gets who speaks this protocol and may see what this principal may.
    pub(super) fn view(&self, protocol: Protocol, principal: &Principal) -> Result<View, Refusal> {
        self.fits(protocol)?;
        Ok(View {
            protocol,
            framing: Framing::default(),
            prices: self.prices,
            allowed: principal.symbols().clone(),
            symbols: self.symbols.clone(),
            tests: self.tests,
            stale: self.stale,
        })
    }

    fn take(&mut self, parameter: Parameter, value: &str) -> Result<(), Refusal> {
        match parameter {
            Parameter::AfterSeq => self.begin(after_seq(parameter.name(), value)?)?,
            Parameter::Since => self.begin(since(value)?)?,
            Parameter::Epoch => self.epoch = Some(value.to_owned()),
            Parameter::Symbols => self.symbols = symbols(value)?,
            Parameter::Tests => {
                self.tests = choice(
                    parameter,
                    value,
                    [("true", Tests::Sent), ("false", Tests::LeftOut)],
                )?;
            }
            Parameter::Prices => {
                let forms = [("string", PriceForm::String), ("number", PriceForm::Number)];
                self.prices = choice(parameter, value, forms)?;
            }
            Parameter::Stale => {
                self.stale = choice(
                    parameter,
                    value,
                    [("true", Stale::Marked), ("false", Stale::LeftOut)],
                )?;
            }
            Parameter::Limit => self.limit = Some(limit(value)?),
            Parameter::Unit => {
                let units = [("s", TimeUnit::Seconds), ("ms", TimeUnit::Milliseconds)];
                self.unit = choice(parameter, value, units)?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, start: Start) -> Result<(), Refusal> {
        if self.start.replace(start).is_some() {
            return refuse("after_seq and since are both given; write one of them");
        }
        Ok(())
    }
}

impl Parameter {
    fn name(self) -> &'static str {
        match self {
            Self::AfterSeq => "after_seq",
            Self::Since => "since",
            Self::Epoch => "epoch",
            Self::Symbols => "symbols",
            Self::Tests => "tests",
            Self::Prices => "prices",
            Self::Stale => "stale",
            Self::Limit => "limit",
            Self::Unit => "unit",
        }
    }

    fn named(name: &str, takes: &[Self]) -> Result<Self, Refusal> {
        if let Some(parameter) = takes.iter().find(|known| known.name() == name) {
            return Ok(*parameter);
        }
        if CREDENTIALS.contains(&name) {
            return refuse(format!(
                "the parameter {name} is not taken; send Authorization: Bearer TOKEN instead"
            ));
        }
        let known = nearest(name, takes.iter().map(|known| known.name())).unwrap_or_default();
        // What is longer may be a token that lacks its name.
        if name.chars().count() > MOST_SHOWN {
            return refuse(format!(
                "there is an unknown parameter; the nearest known one is {known}"
            ));
        }
        refuse(format!(
            "there is no parameter {name:?}; the nearest known one is {known}"
        ))
    }
}

/// Where other servers take a credential.
const CREDENTIALS: &[&str] = &["token", "ticket", "access_token"];

/// Most characters of what a client wrote that an answer repeats: no token is that short.
const MOST_SHOWN: usize = 40;

fn refuse<T>(problem: impl Into<Cow<'static, str>>) -> Result<T, Refusal> {
    Err(Refusal::BadRequest(problem.into()))
}

/// The parser takes what is wrongly encoded for something else.
fn well_encoded(query: &str) -> Result<(), Refusal> {
    let mut pieces = query.split('%');
    pieces.next();
    let hex = |piece: &str| {
        let digits = piece.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !pieces.all(hex) {
        return refuse("a % in the query must be followed by two hex digits; write %25 for a %");
    }
    Ok(())
}

/// The seq of the last signal that somebody has, by the name of where it says so; 0: it has none.
pub(super) fn after_seq(name: &str, value: &str) -> Result<Start, Refusal> {
    whole(value).map_or_else(
        || {
            refuse(format!(
                "{name} must be a whole number: the seq of the last signal you have, or 0 for all \
                 from the first"
            ))
        },
        |last| Ok(Start::After(Seq::new(last))),
    )
}

fn since(value: &str) -> Result<Start, Refusal> {
    // A plus that is not written %2B arrives as a blank, and nothing else can be meant before an
    // offset.
    let mut time = value.to_owned();
    if let Some(sign) = time.len().checked_sub("+02:00".len())
        && time.as_bytes()[sign] == b' '
    {
        time.replace_range(sign..=sign, "+");
    }
    time.parse::<ReceivedAt>()
        .map(Start::Since)
        .or_else(|problem| {
            if value.chars().count() > MOST_SHOWN {
                return refuse(
                    "since must be a time in RFC 3339 such as 2026-11-20T10:00:00.123456Z",
                );
            }
            refuse(format!("since: {problem}"))
        })
}

fn symbols(value: &str) -> Result<SymbolFilter, Refusal> {
    let patterns: Vec<&str> = value.split(',').map(str::trim).collect();
    if patterns.iter().any(|pattern| pattern.is_empty()) {
        return refuse(
            "symbols has an empty pattern; write patterns with commas between, such as \
             symbols=BTC*,ETHUSDT, or leave it out",
        );
    }
    if patterns.iter().any(|pattern| pattern.contains(' ')) {
        return refuse("symbols has a blank, which no symbol has; write %2B for a +");
    }
    SymbolFilter::matching(patterns).or_else(|problem| refuse(problem.to_string()))
}

fn limit(value: &str) -> Result<usize, Refusal> {
    whole(value)
        .and_then(|limit| usize::try_from(limit).ok())
        .filter(|limit| (1..=MOST_LIMIT).contains(limit))
        .map_or_else(
            || {
                refuse(format!(
                    "limit must be a whole number from 1 to {MOST_LIMIT}"
                ))
            },
            Ok,
        )
}

/// Decimal digits and nothing else.
fn whole(value: &str) -> Option<u64> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| digits)
}

fn choice<T>(parameter: Parameter, value: &str, of: [(&str, T); 2]) -> Result<T, Refusal> {
    let name = parameter.name();
    let [one, other] = [of[0].0, of[1].0];
    of.into_iter().find(|(word, _)| *word == value).map_or_else(
        || refuse(format!("write {name}={one} or {name}={other}")),
        |(_, meant)| Ok(meant),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Query, Refusal> {
        Query::parse(query, OF_PAGES)
    }

    #[test]
    fn each_parameter_is_understood() {
        let time = |text: &str| Some(Start::Since(text.parse().unwrap()));
        for (query, start) in [
            ("", None),
            ("&&", None),
            ("after_seq=0", Some(Start::After(None))),
            ("after_seq=12", Some(Start::After(Seq::new(12)))),
            ("%61fter_seq=1%32", Some(Start::After(Seq::new(12)))),
            (
                "since=2026-11-20T10:00:00.000001Z",
                time("2026-11-20T10:00:00.000001Z"),
            ),
            (
                "since=2026-11-20%2010%3A00%3A00%2B02%3A00",
                time("2026-11-20T10:00:00+02:00"),
            ),
            (
                "since=2026-11-20T10:00:00+02:00",
                time("2026-11-20T10:00:00+02:00"),
            ),
        ] {
            assert_eq!(parse(query).unwrap().start, start, "{query}");
        }
        assert_eq!(parse("limit=10000").unwrap().limit, Some(10_000));
        let asked = parse("symbols=BTC%2A,%20^GSPC,ETH%2BX&tests=false&prices=string&stale=true");
        let asked = asked.unwrap();
        assert_eq!(
            asked.symbols,
            SymbolFilter::matching(["BTC*", "^GSPC", "ETH+X"]).unwrap()
        );
        assert_eq!(asked.tests, Tests::LeftOut);
        assert_eq!(asked.prices, PriceForm::String);
        assert_eq!(asked.stale, Stale::Marked);
        assert_eq!(
            parse("tests=true&prices=number&stale=false").unwrap(),
            Query::default()
        );
    }

    #[test]
    fn what_is_not_understood_is_told_what_to_write() {
        let long = format!("{}=1", "x".repeat(47));
        let patterns = format!("symbols={}", vec!["X"; 257].join(","));
        let said: Vec<String> = [
            "after_sec=5",
            "utm_source=x",
            "token=secret",
            long.as_str(),
            "after_seq=",
            "after_seq=-1",
            "after_seq=1.0",
            "after_seq=+1",
            "after_seq=%2B1",
            "after_seq=18446744073709551616",
            "after_seq=1&after_seq=1",
            "after_seq=1&since=2026-11-20T10:00:00Z",
            "since=yesterday",
            "since=2026-11-20T10:00:00",
            "since=1720000000",
            "symbols=",
            "symbols=BTC*,,X",
            "symbols=A+B",
            patterns.as_str(),
            "tests=1",
            "prices=text",
            "stale=TRUE",
            "limit=0",
            "limit=10001",
            "symbols=50%",
            "symbols=%zz",
            "symbols=%ff",
        ]
        .into_iter()
        .map(|query| match parse(query) {
            Err(Refusal::BadRequest(problem)) => {
                let query: String = query.chars().take(40).collect();
                format!("{query}: {problem}")
            }
            other => panic!("{query}: {other:?}"),
        })
        .collect();
        insta::assert_snapshot!(said.join("\n"));
    }

    #[test]
    fn an_upgrade_takes_no_limit() {
        assert!(Query::parse("limit=5", OF_UPGRADES).is_err());
    }
}
