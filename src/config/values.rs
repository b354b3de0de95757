//! Texts of settings to the types they stand for. What belongs to another module of the crate
//! ([`source`], [`symbol`], [`price`]) is that module's to judge; here is only the way there.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderValue;
use ipnet::IpNet;
use tracing_subscriber::EnvFilter;

use super::Jwks;
use super::refusal::Problem;
use super::units;
use crate::nearest::nearest;
use crate::signal::{Price, Side, Symbol};
use crate::source::Spec;

type Parsed<T> = Result<T, Problem>;

/// Where signals come from.
pub(super) fn source(text: &str) -> Parsed<Spec> {
    text.parse().map_err(Problem::said)
}

/// The symbol of test signals.
pub(super) fn symbol(text: &str) -> Parsed<Symbol> {
    text.parse().map_err(Problem::said)
}

/// Buy or sell.
pub(super) fn side(text: &str) -> Parsed<Side> {
    text.parse().map_err(Problem::said)
}

/// The price of test signals, exact to the digit.
pub(super) fn price(text: &str) -> Parsed<Price> {
    text.parse().map_err(Problem::said)
}

/// An address with its port. `localhost` is 127.0.0.1: other names would mean asking the network
/// before the first check.
pub(super) fn address(text: &str) -> Parsed<SocketAddr> {
    if let Some(port) = text.strip_prefix("localhost:").and_then(plain_number) {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    text.parse().map_err(|_| {
        Problem::new(
            format!("{text:?} is not an address with a port"),
            "write one such as 127.0.0.1:8080, 0.0.0.0:8080 or [::1]:8080",
        )
    })
}

pub(super) fn address_or_off(text: &str) -> Parsed<Option<SocketAddr>> {
    if text == "off" {
        return Ok(None);
    }
    address(text).map(Some).map_err(|problem| Problem {
        remedy: format!("{}, or off", problem.remedy),
        ..problem
    })
}

/// One address is a network of one. Addresses are compared in their IPv4 form where they have one,
/// so a network must be in it too.
pub(super) fn network(text: &str) -> Parsed<IpNet> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_canonical().into());
    }
    let network: IpNet = text.parse().map_err(|_| {
        Problem::new(
            format!("{text:?} is neither an IP address nor a network"),
            "write one such as 10.0.0.7, 10.0.0.0/8 or fd00::/8",
        )
    })?;
    if let IpNet::V6(mapped) = network
        && let Some(address) = mapped.addr().to_ipv4_mapped()
    {
        return Err(Problem::new(
            format!("{text:?} is an IPv4 network written as IPv6"),
            format!(
                "write it as one such as {address}/{}",
                mapped.prefix_len().saturating_sub(96)
            ),
        ));
    }
    // Of `10.0.0.7/8` nobody knows whether one address or sixteen million were meant.
    if network != network.trunc() {
        return Err(Problem::new(
            format!("{text:?} has bits set beyond its length"),
            format!(
                "write {} for the network, or {} for the one address",
                network.trunc(),
                network.addr()
            ),
        ));
    }
    Ok(network)
}

/// Where a page comes from, as browsers write it (RFC 6454 section 6.2): anything else they would
/// find to be another one. `*` stands for all.
pub(super) fn origin(text: &str) -> Parsed<HeaderValue> {
    let none = || {
        Problem::new(
            format!("{text:?} is no origin"),
            "write one such as https://app.example.org, or *",
        )
    };
    if text == "*" {
        return Ok(HeaderValue::from_static("*"));
    }
    let url: Uri = text.parse().map_err(|_| none())?;
    let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else {
        return Err(none());
    };
    let port = match (scheme.to_ascii_lowercase().as_str(), authority.port_u16()) {
        ("http", Some(80)) | ("https", Some(443)) | (_, None) => String::new(),
        (_, Some(port)) => format!(":{port}"),
    };
    let written = format!("{scheme}://{}{port}", authority.host()).to_ascii_lowercase();
    if written != text {
        return Err(Problem::new(
            format!("{text:?} is not how a browser writes an origin"),
            format!("write {written}"),
        ));
    }
    HeaderValue::try_from(written).map_err(|_| none())
}

/// A URL is told from a path by its `://`.
pub(super) fn jwks(text: &str) -> Parsed<Jwks> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return path(text).map(Jwks::File);
    };
    if !scheme.eq_ignore_ascii_case("https") {
        return Err(match scheme.to_ascii_lowercase().as_str() {
            "http" => Problem::new(
                "whoever is on the way could put keys of his own into http://",
                "write https:// instead, or fetch it to a file and name that",
            ),
            "file" => Problem::new("is a file:// URL", format!("write {rest}")),
            _ => Problem::new(
                format!("{scheme}:// can't be fetched"),
                "write an https:// URL, or fetch it to a file and name that",
            ),
        });
    }
    let url: Option<Uri> = text.parse().ok();
    let fits = |url: &Uri| {
        url.authority().is_some_and(|authority| {
            !authority.host().is_empty() && !authority.as_str().contains('@')
        })
    };
    url.filter(fits).map(Jwks::Url).ok_or_else(|| {
        Problem::new(
            "is not a URL with a host and without a password",
            "write one such as https://id.example.org/jwks.json",
        )
    })
}

pub(super) fn switch(text: &str) -> Parsed<bool> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Problem::new(
            format!("{text:?} is neither true nor false"),
            "write true or false",
        )),
    }
}

pub(super) fn count<T: FromStr>(text: &str) -> Parsed<T> {
    plain_number(text).ok_or_else(|| {
        Problem::new(
            format!("{text:?} is not a whole number in range"),
            "write one such as 100",
        )
    })
}

pub(super) fn at_least_one(text: &str) -> Parsed<NonZeroUsize> {
    NonZeroUsize::new(count(text)?).ok_or_else(|| Problem::new("can't be 0", "write 1 or more"))
}

pub(super) fn at_most(most: usize) -> impl Fn(&str) -> Parsed<NonZeroUsize> {
    move |text| match at_least_one(text)? {
        count if count.get() > most => Err(Problem::new(
            format!("{text:?} is too many here"),
            format!("write {most} or fewer, or leave it out"),
        )),
        count => Ok(count),
    }
}

pub(super) fn rate(text: &str) -> Parsed<NonZeroU32> {
    NonZeroU32::new(count(text)?).ok_or_else(|| Problem::new("can't be 0", "write 1 or more"))
}

/// 0 and `off`: no limit.
pub(super) fn count_or_off(text: &str) -> Parsed<Option<NonZeroU32>> {
    match text {
        "off" => Ok(None),
        _ => Ok(NonZeroU32::new(count(text)?)),
    }
}

/// A duration above zero: to wait no time at all would break what waits.
pub(super) fn wait(text: &str) -> Parsed<Duration> {
    match units::duration(text)? {
        Duration::ZERO => Err(Problem::new("can't be 0", "write how long, as in 10s")),
        duration => Ok(duration),
    }
}

/// `off`, or whole seconds, as `valid_for` of a signal is.
pub(super) fn age_or_off(text: &str) -> Parsed<Option<Duration>> {
    if text == "off" {
        return Ok(None);
    }
    match units::duration(text)? {
        age if age.is_zero() || age.subsec_nanos() != 0 => Err(Problem::new(
            format!("{text:?} is not a whole number of seconds above 0"),
            "write 1s or more, or off",
        )),
        age => Ok(Some(age)),
    }
}

/// A size of at least `least` bytes.
pub(super) fn bytes<T: TryFrom<u64>>(least: u64) -> impl Fn(&str) -> Parsed<T> {
    move |text| {
        let bytes = units::bytes(text)?;
        if bytes < least {
            return Err(Problem::new(
                format!("{text:?} is too little"),
                format!("write {least} or more"),
            ));
        }
        T::try_from(bytes).map_err(|_| Problem::new(format!("{text:?} is too much"), "write less"))
    }
}

/// `off`, or a size of at least `least` bytes.
pub(super) fn bytes_or_off(least: u64) -> impl Fn(&str) -> Parsed<Option<u64>> {
    move |text| match text {
        "off" => Ok(None),
        _ => bytes(least)(text).map(Some),
    }
}

pub(super) fn path(text: &str) -> Parsed<PathBuf> {
    some_text(text).map(PathBuf::from)
}

pub(super) fn some_text(text: &str) -> Parsed<String> {
    if text.is_empty() {
        return Err(Problem::new("is empty", "write something or leave it out"));
    }
    Ok(text.to_owned())
}

/// One of a few words that each stand for a value.
pub(super) fn word<T: Copy>(words: &'static [(&'static str, T)]) -> impl Fn(&str) -> Parsed<T> {
    move |text| {
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            Problem::new(
                format!("{text:?} is not known here"),
                format!("write {}", names.join(" or ")),
            )
        })
    }
}

/// What `tracing_subscriber` understands, less its trap: a mistyped level (`inof`) is to it the
/// name of a target, and everything else falls silent.
pub(super) fn log_level(text: &str) -> Parsed<String> {
    let lone_words = text.split(',').map(str::trim).filter(|part| {
        !part.contains(['=', '[', ']', '{', '}', '"']) && !part.starts_with(env!("CARGO_PKG_NAME"))
    });
    for word in lone_words {
        if !LEVELS.contains(&word.to_ascii_lowercase().as_str()) && !text.contains('[') {
            let near = nearest(word, LEVELS.iter().copied()).unwrap_or("info");
            return Err(Problem::new(
                format!("{word:?} is not a level"),
                format!("write one of {}; did you mean {near}?", LEVELS.join(", ")),
            ));
        }
    }
    EnvFilter::try_new(text).map_err(|error| {
        Problem::new(
            format!("{text:?} is not a filter: {error}"),
            "write a level, or directives such as info,signalcast::hub=debug",
        )
    })?;
    Ok(text.to_owned())
}

const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

/// Digits only: `FromStr` of numbers takes a plus sign too.
fn plain_number<T: FromStr>(text: &str) -> Option<T> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}
