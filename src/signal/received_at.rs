use std::fmt;
use std::str::FromStr;

use super::excerpt::Excerpt;
use super::rfc3339::{self, NotRfc3339};

/// When a signal was received, in microseconds since 1970. In the log it never decreases.
///
/// `Display`: RFC 3339 with six digits of a second, `2026-11-20T10:00:00.123456Z`. `FromStr`: RFC
/// 3339 with any offset and any fraction; of what is finer than a microsecond, the next one, so
/// that nothing received before a time is received since it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReceivedAt(i64);

impl ReceivedAt {
    /// The last one: the end of the year 9999, after which RFC 3339 has no form.
    pub const MAX: Self = Self(253_402_207_200_000_000 - 1);

    /// 1970, which is before everything that was received.
    pub const MIN: Self = Self(0);

    /// A time in microseconds since 1970, or the nearest that can be written.
    pub fn from_micros(micros: i64) -> Self {
        Self(micros).clamp(Self::MIN, Self::MAX)
    }

    /// Microseconds since 1970.
    pub fn micros(self) -> i64 {
        self.0
    }

    /// The text that is shown, by plain arithmetic: every frame of `signalcast.v2` has one.
    pub(crate) fn text(self) -> [u8; TEXT.len()] {
        let seconds = self.0 / 1_000_000;
        let (year, month, day) = date(seconds / 86_400);
        let mut text = *TEXT;
        write_digits(&mut text[0..4], year);
        write_digits(&mut text[5..7], month);
        write_digits(&mut text[8..10], day);
        write_digits(&mut text[11..13], seconds / 3600 % 24);
        write_digits(&mut text[14..16], seconds / 60 % 60);
        write_digits(&mut text[17..19], seconds % 60);
        write_digits(&mut text[20..26], self.0 % 1_000_000);
        text
    }
}

const TEXT: &[u8; 27] = b"0000-00-00T00:00:00.000000Z";

/// Year, month and day so many days after 1970 began, in the Gregorian calendar, which repeats
/// itself every 400 years. Counted in years that begin in March, so that the leap day is the last.
fn date(days: i64) -> (i64, i64, i64) {
    const CYCLE: i64 = 146_097;
    const MARCH_OF_YEAR_0: i64 = 719_468;
    let days = days + MARCH_OF_YEAR_0;
    let (cycle, day) = (days / CYCLE, days % CYCLE);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Five months from March on have 153 days, and so have the next five.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, after) = match month {
        0..=9 => (month + 3, 0),
        _ => (month - 9, 1),
    };
    (cycle * 400 + year + after, month, day)
}

fn write_digits(text: &mut [u8], mut number: i64) {
    for digit in text.iter_mut().rev() {
        // Below ten.
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
}

impl fmt::Display for ReceivedAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).map_err(|_| fmt::Error)?)
    }
}

/// A text that is no time with an offset.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct InvalidTime(#[from] Reason);

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("{0} is not a time; write RFC 3339 such as 2026-11-20T10:00:00.123456Z")]
    NotATime(Excerpt),
    #[error("{0} has no offset; add Z for UTC, or one such as +02:00")]
    NoOffset(Excerpt),
}

impl FromStr for ReceivedAt {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let micros = rfc3339::unix_micros(text).map_err(|why| match why {
            NotRfc3339::NoOffset => Reason::NoOffset(Excerpt::of(text)),
            NotRfc3339::Malformed => Reason::NotATime(Excerpt::of(text)),
        })?;
        Ok(Self::from_micros(micros))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_time_is_shown_as_the_calendar_has_it(micros in 0..=ReceivedAt::MAX.0) {
            let calendar = jiff::Timestamp::from_microsecond(micros).unwrap();
            prop_assert_eq!(ReceivedAt(micros).to_string(), format!("{calendar:.6}"));
        }
    }

    #[test]
    fn every_day_of_400_years_is_shown_as_the_calendar_has_it() {
        for day in 0..400 * 366 {
            let calendar = jiff::Timestamp::from_second(day * 86_400).unwrap();
            let shown = ReceivedAt(day * 86_400_000_000).to_string();
            assert_eq!(shown, format!("{calendar:.6}"));
        }
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for micros in [0, 1_720_000_000_123_456, ReceivedAt::MAX.micros()] {
            let time = ReceivedAt::from_micros(micros);
            assert_eq!(time.to_string().parse::<ReceivedAt>().unwrap(), time);
        }
        for text in ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.9999999-23:59"] {
            assert_eq!(text.parse::<ReceivedAt>().unwrap(), ReceivedAt::MAX);
        }
        let early: ReceivedAt = "1960-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(early, ReceivedAt::MIN);
    }

    #[test]
    fn what_is_no_time_is_told_what_to_write() {
        for (text, said) in [
            (
                "2026-11-20T10:00:00",
                r#""2026-11-20T10:00:00" has no offset; add Z for UTC, or one such as +02:00"#,
            ),
            (
                "1720000000",
                r#""1720000000" is not a time; write RFC 3339 such as 2026-11-20T10:00:00.123456Z"#,
            ),
        ] {
            let error = text.parse::<ReceivedAt>().unwrap_err();
            assert_eq!(error.to_string(), said);
        }
    }

    #[test]
    fn it_is_shown_to_the_microsecond() {
        for (micros, shown) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (1_720_000_000_000_000, "2024-07-03T09:46:40.000000Z"),
            (1_720_000_000_123_456, "2024-07-03T09:46:40.123456Z"),
            (i64::MAX, "9999-12-30T21:59:59.999999Z"),
            (-1, "1970-01-01T00:00:00.000000Z"),
        ] {
            assert_eq!(ReceivedAt::from_micros(micros).to_string(), shown);
        }
    }
}
