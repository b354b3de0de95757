use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::digits;
use super::excerpt::Excerpt;
use super::number::Number;
use super::rfc3339::{self, NotRfc3339};

/// When a signal was made: Unix time in whole seconds, 0 to 99999999999 (the year 5138).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

/// What the integers in a feed count. RFC 3339 means the same with both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TimeUnit {
    /// Seconds, as on the wire. What looks like milliseconds is refused.
    #[default]
    Seconds,
    /// Milliseconds (`?unit=ms`), cut to seconds.
    Milliseconds,
}

/// A text that is no timestamp.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct InvalidTimestamp(#[from] Reason);

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error(
        "{0} is not a time; write Unix seconds such as 1720000000 \
         or RFC 3339 such as 2024-07-03T09:46:40Z"
    )]
    NotATime(Excerpt),
    #[error("{0} is not an integer; leave out the fraction and the exponent")]
    NotWhole(Excerpt),
    #[error("{0} looks like milliseconds; write seconds, or add ?unit=ms to the source")]
    Milliseconds(Excerpt),
    #[error("{0} is before 1970; write a time from 1970-01-01T00:00:00Z on")]
    Before1970(Excerpt),
    #[error("{0} is after the year 5138; write Unix seconds, nothing finer")]
    TooLate(Excerpt),
    #[error("{0} has no offset; add Z for UTC, or one such as +02:00")]
    NoOffset(Excerpt),
}

impl Timestamp {
    /// The first one: 1970 begins.
    pub const MIN: Self = Self(0);

    /// The last one: eleven nines. One digit more and it would be milliseconds.
    pub const MAX: Self = Self(99_999_999_999);

    /// `None` beyond [`Self::MAX`].
    pub fn new(seconds: u64) -> Option<Self> {
        (seconds <= Self::MAX.0).then_some(Self(seconds))
    }

    /// Seconds since 1970.
    pub fn get(self) -> u64 {
        self.0
    }

    /// An integer in this unit, or RFC 3339 with any offset, its fraction cut.
    ///
    /// # Errors
    /// Anything else, and times outside the range.
    pub fn parse(text: &str, unit: TimeUnit) -> Result<Self, InvalidTimestamp> {
        match Number::parse(text) {
            Some(number) => Self::of(&number, unit),
            None => Ok(Self::rfc3339(text)?),
        }
    }

    /// An integer in this unit.
    pub(super) fn of(number: &Number<'_>, unit: TimeUnit) -> Result<Self, InvalidTimestamp> {
        Ok(Self::integer(number, unit)?)
    }

    /// This much later, in whole seconds, but not beyond [`Self::MAX`].
    #[must_use]
    pub fn saturating_add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later.as_secs())).min(Self::MAX)
    }

    fn integer(number: &Number<'_>, unit: TimeUnit) -> Result<Self, Reason> {
        let text = number.text;
        if !number.fraction().is_empty() || !number.exponent().is_empty() {
            return Err(Reason::NotWhole(Excerpt::of(text)));
        }
        if number.is_negative() {
            return Err(Reason::Before1970(Excerpt::of(text)));
        }
        let count = match number.whole() {
            digits if digits.len() <= digits::MOST_OF_U64 => digits::read(digits.iter().copied()),
            _ => u64::MAX,
        };
        match (unit, Self::new(count), Self::new(count / 1000)) {
            (TimeUnit::Seconds, Some(seconds), _) => Ok(seconds),
            (TimeUnit::Milliseconds, _, Some(seconds)) => Ok(seconds),
            (TimeUnit::Seconds, None, Some(_)) => Err(Reason::Milliseconds(Excerpt::of(text))),
            (_, _, None) => Err(Reason::TooLate(Excerpt::of(text))),
        }
    }

    fn rfc3339(text: &str) -> Result<Self, Reason> {
        let seconds = rfc3339::unix_seconds(text).map_err(|why| match why {
            NotRfc3339::NoOffset => Reason::NoOffset(Excerpt::of(text)),
            NotRfc3339::Malformed => Reason::NotATime(Excerpt::of(text)),
        })?;
        let seconds = u64::try_from(seconds).map_err(|_| Reason::Before1970(Excerpt::of(text)))?;
        Self::new(seconds).ok_or_else(|| Reason::TooLate(Excerpt::of(text)))
    }
}

/// Unix seconds or RFC 3339.
impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text, TimeUnit::Seconds)
    }
}

/// Unix seconds, as on the wire.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, unit: TimeUnit) -> Result<u64, String> {
        Timestamp::parse(text, unit)
            .map(Timestamp::get)
            .map_err(|why| why.to_string())
    }

    #[test]
    fn integers_count_seconds_or_what_the_source_says() {
        for (text, unit, expected) in [
            ("0", TimeUnit::Seconds, 0),
            ("1720000000", TimeUnit::Seconds, 1_720_000_000),
            ("99999999999", TimeUnit::Seconds, 99_999_999_999),
            ("1720000000999", TimeUnit::Milliseconds, 1_720_000_000),
            ("999", TimeUnit::Milliseconds, 0),
            ("99999999999999", TimeUnit::Milliseconds, 99_999_999_999),
        ] {
            assert_eq!(read(text, unit), Ok(expected), "{text}");
        }
    }

    #[test]
    fn rfc_3339_is_cut_to_seconds_whatever_the_unit() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2024-07-03T09:46:40Z", 1_720_000_000),
            ("2024-07-03T09:46:40.999999999999Z", 1_720_000_000),
            ("2024-07-03T15:16:40+05:30", 1_720_000_000),
        ] {
            assert_eq!(read(text, TimeUnit::Seconds), Ok(expected), "{text}");
            assert_eq!(read(text, TimeUnit::Milliseconds), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_refused_time_says_what_to_write() {
        for (text, hint) in [
            ("1720000000000", "?unit=ms"),
            ("100000000000", "?unit=ms"),
            ("1720000000000000", "5138"),
            ("99999999999999999999999999", "5138"),
            ("1720000000.0", "fraction"),
            ("172e7", "exponent"),
            ("-1", "1970"),
            ("1969-12-31T23:59:59.999Z", "1970"),
            ("1970-01-01T00:00:00+00:01", "1970"),
            ("5138-11-16T09:46:40Z", "5138"),
            ("9999-12-31T23:59:59Z", "5138"),
            ("2024-07-03T09:46:40", "offset"),
            ("yesterday", "RFC 3339"),
            ("", "RFC 3339"),
            ("01720000000", "RFC 3339"),
            ("+1720000000", "RFC 3339"),
        ] {
            let why = read(text, TimeUnit::Seconds).unwrap_err();
            assert!(why.contains(hint), "{text}: {why}");
        }
        assert!(read("100000000000000", TimeUnit::Milliseconds).is_err());
    }

    #[test]
    fn time_does_not_run_over() {
        let start = Timestamp::new(10).unwrap();
        let later = |seconds| start.saturating_add(Duration::from_secs(seconds)).get();
        assert_eq!(later(5), 15);
        assert_eq!(later(u64::MAX), Timestamp::MAX.get());
    }
}
