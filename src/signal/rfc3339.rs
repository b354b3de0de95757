use jiff::civil::{DateTime, date};
use jiff::tz::Offset;

/// Why a text is no RFC 3339 time.
pub(super) enum NotRfc3339 {
    /// All is well but for the missing offset, so it could be any of a day's times.
    NoOffset,
    Malformed,
}

/// Unix seconds of an RFC 3339 time (section 5.6), the fraction cut.
///
/// As there, `T` may be a blank, `T` and `Z` lower case, the fraction any length, and second 60 a
/// leap second (which Unix time does not count: it is read as 59). jiff's own reader takes far
/// more of ISO 8601 than this, and no more than nine digits of a fraction.
pub(super) fn unix_seconds(text: &str) -> Result<i64, NotRfc3339> {
    seconds_and_fraction(text).map(|(seconds, _)| seconds)
}

/// Unix microseconds of an RFC 3339 time; of what is finer, the next one.
pub(super) fn unix_micros(text: &str) -> Result<i64, NotRfc3339> {
    let (seconds, fraction) = seconds_and_fraction(text)?;
    let (micros, finer) = fraction.split_at(fraction.len().min(MICROS_DIGITS));
    let digits = micros.iter().chain(&[b'0'; MICROS_DIGITS]);
    let micros = digits
        .take(MICROS_DIGITS)
        .fold(0, |micros, digit| micros * 10 + i64::from(digit - b'0'));
    let next = i64::from(finer.iter().any(|&digit| digit != b'0'));
    Ok(seconds * 1_000_000 + micros + next)
}

const MICROS_DIGITS: usize = 6;

/// Unix seconds, and the digits of the fraction.
fn seconds_and_fraction(text: &str) -> Result<(i64, &[u8]), NotRfc3339> {
    let (time, rest) = civil(text.as_bytes()).ok_or(NotRfc3339::Malformed)?;
    let (fraction, rest) = fraction(rest).ok_or(NotRfc3339::Malformed)?;
    if rest.is_empty() {
        return Err(NotRfc3339::NoOffset);
    }
    // jiff's own timestamps end a day before the year 9999 does.
    let offset = offset(rest).ok_or(NotRfc3339::Malformed)?;
    let since_1970 = time.duration_since(date(1970, 1, 1).at(0, 0, 0, 0));
    Ok((since_1970.as_secs() - i64::from(offset.seconds()), fraction))
}

/// `2024-07-03T09:46:40`, and what follows.
fn civil(text: &[u8]) -> Option<(DateTime, &[u8])> {
    let (time, rest) = text.split_at_checked(19)?;
    let separators = [time[4], time[7], time[10], time[13], time[16]];
    let [b'-', b'-', b'T' | b't' | b' ', b':', b':'] = separators else {
        return None;
    };
    let two = |at: usize| two_digits(&time[at..at + 2]);
    let year = i16::from(two(0)?) * 100 + i16::from(two(2)?);
    let second = match two(17)? {
        60 => 59,
        second => second,
    };
    let time = DateTime::new(year, two(5)?, two(8)?, two(11)?, two(14)?, second, 0).ok()?;
    Some((time, rest))
}

/// The digits of a fraction, and what follows.
fn fraction(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let Some(fraction) = rest.strip_prefix(b".") else {
        return Some((&[], rest));
    };
    let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit());
    match digits.count() {
        0 => None,
        length => Some(fraction.split_at(length)),
    }
}

fn offset(text: &[u8]) -> Option<Offset> {
    match *text {
        [b'Z' | b'z'] => Some(Offset::UTC),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let hours = two_digits(&[h1, h2]).filter(|&hours| hours < 24)?;
            let minutes = two_digits(&[m1, m2]).filter(|&minutes| minutes < 60)?;
            let seconds = (i32::from(hours) * 60 + i32::from(minutes)) * 60;
            Offset::from_seconds(if sign == b'-' { -seconds } else { seconds }).ok()
        }
        _ => None,
    }
}

fn two_digits(text: &[u8]) -> Option<i8> {
    let [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] = *text else {
        return None;
    };
    i8::try_from((tens - b'0') * 10 + (ones - b'0')).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_of_the_rfc_is_read() {
        for (text, expected) in [
            ("2024-07-03T09:46:40Z", 1_720_000_000),
            ("2024-07-03t09:46:40z", 1_720_000_000),
            ("2024-07-03 09:46:40Z", 1_720_000_000),
            ("2024-07-03T09:46:40.5Z", 1_720_000_000),
            ("2024-07-03T11:46:40.000001+02:00", 1_720_000_000),
            ("2024-07-02T22:16:40-11:30", 1_720_000_000),
            ("2024-07-04T09:45:40+23:59", 1_720_000_000),
            ("2024-07-03T09:46:40-00:00", 1_720_000_000),
            ("2016-12-31T23:59:60Z", 1_483_228_799),
            ("2024-02-29T00:00:00Z", 1_709_164_800),
            ("0000-01-01T00:00:00Z", -62_167_219_200),
            ("0000-01-01T00:00:00+23:59", -62_167_305_540),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
            ("9999-12-31T23:59:59-23:59", 253_402_387_139),
        ] {
            assert_eq!(unix_seconds(text).ok(), Some(expected), "{text}");
        }
    }

    #[test]
    fn nothing_else_is_read() {
        for text in [
            "",
            "2024-07-03",
            "2024-07-03T09:46Z",
            "2024-7-3T9:46:40Z",
            "2024-07-03T09:46:40.Z",
            "2024-07-03T09:46:40,5Z",
            "2024-07-03T09:46:40+0200",
            "2024-07-03T09:46:40+02",
            "2024-07-03T09:46:40+24:00",
            "2024-07-03T09:46:40+02:60",
            "2024-07-03T09:46:40Z ",
            "2024-07-03T09:46:40Z[UTC]",
            "2024-07-03T24:00:00Z",
            "2024-07-03T09:60:00Z",
            "2024-07-03T09:46:61Z",
            "2024-02-30T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "20240703T094640Z",
            "+002024-07-03T09:46:40Z",
            "２024-07-03T09:46:40Z",
        ] {
            assert!(unix_seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn microseconds_are_exact_and_what_is_finer_counts_as_the_next_one() {
        for (fraction, micros) in [
            ("", 0),
            (".1", 100_000),
            (".000001", 1),
            (".123456", 123_456),
            (".123456000", 123_456),
            (".123456001", 123_457),
            (".999999999999", 1_000_000),
        ] {
            let text = format!("2024-07-03T11:46:40{fraction}+02:00");
            let expected = 1_720_000_000_000_000 + micros;
            assert_eq!(unix_micros(&text).ok(), Some(expected), "{text}");
        }
        assert_eq!(unix_micros("1969-12-31T23:59:59.5Z").ok(), Some(-500_000));
    }

    proptest! {
        #[test]
        fn a_printed_time_is_read_back(seconds in 0..253_402_207_200_i64) {
            let text = jiff::Timestamp::from_second(seconds).unwrap().to_string();
            prop_assert_eq!(unix_seconds(&text).ok(), Some(seconds));
        }
    }
}
