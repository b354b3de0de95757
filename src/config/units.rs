//! Durations and sizes as people write them.

use std::time::Duration;

use super::refusal::Problem;

/// `10s`, `500ms`, `2m`, `1h`, `30d`: a whole number and one unit.
///
/// # Errors
/// Anything else, and more than [`LONGEST`].
pub fn duration(text: &str) -> Result<Duration, Problem> {
    let (number, unit) = number_and_unit(text);
    let wrong = |why: &str| {
        Problem::new(
            format!("{text:?} {why}"),
            "write a whole number and ms, s, m, h or d, as in 10s",
        )
    };
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" if !number.is_empty() => return Err(wrong("has no unit")),
        _ => return Err(wrong("is not a duration")),
    };
    if number.is_empty() {
        return Err(wrong("is not a duration"));
    }
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(milliseconds))
        .map(Duration::from_millis)
        .filter(|duration| *duration <= LONGEST)
        .ok_or_else(|| wrong("is longer than 36500d"))
}

/// `64MiB`, `8MB`, `65536`: a whole number of bytes, or of KB, MB, GB, TB (powers of 1000) or
/// KiB, MiB, GiB, TiB (powers of 1024), in any letter case.
///
/// # Errors
/// Anything else, and what does not fit 63 bits.
pub fn bytes(text: &str) -> Result<u64, Problem> {
    let (number, unit) = number_and_unit(text);
    let wrong = |why: &str| {
        Problem::new(
            format!("{text:?} {why}"),
            "write a whole number of bytes, or one with KB, MB, GB, TB, KiB, MiB, GiB or TiB, as in 64MiB",
        )
    };
    let size: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1000 * 1000,
        "gb" => 1000 * 1000 * 1000,
        "tb" => 1000 * 1000 * 1000 * 1000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(wrong("is not a size")),
    };
    if number.is_empty() {
        return Err(wrong("is not a size"));
    }
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(size))
        .filter(|bytes| *bytes <= u64::MAX >> 1)
        .ok_or_else(|| wrong("is more than can be counted"))
}

/// A hundred years: no wait is longer, and adding it to any clock is safe.
pub const LONGEST: Duration = Duration::from_secs(36_500 * 86_400);

/// The leading ASCII digits, and what follows them without the blanks between.
fn number_and_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("30d", 2_592_000_000),
            ("0s", 0),
            (" 7 s ", 7_000),
            ("36500d", 36_500 * 86_400_000),
        ] {
            assert_eq!(
                duration(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
    }

    #[test]
    fn other_durations_are_refused_with_the_reason() {
        for (text, reason) in [
            ("10", r#""10" has no unit"#),
            ("", r#""" is not a duration"#),
            ("s", r#""s" is not a duration"#),
            ("1.5s", r#""1.5s" is not a duration"#),
            ("-1s", r#""-1s" is not a duration"#),
            ("+1s", r#""+1s" is not a duration"#),
            ("10 seconds", r#""10 seconds" is not a duration"#),
            ("10S", r#""10S" is not a duration"#),
            ("36501d", r#""36501d" is longer than 36500d"#),
            (
                "99999999999999999999s",
                r#""99999999999999999999s" is longer than 36500d"#,
            ),
        ] {
            assert_eq!(duration(text).unwrap_err().reason, reason);
        }
    }

    #[test]
    fn sizes_are_bytes_with_or_without_a_unit() {
        for (text, size) in [
            ("65536", 65_536),
            ("0", 0),
            ("7B", 7),
            ("8MB", 8_000_000),
            ("64MiB", 64 << 20),
            ("64 mib", 64 << 20),
            ("1kB", 1000),
            ("2GiB", 2 << 30),
            ("3TB", 3_000_000_000_000),
            ("1TiB", 1 << 40),
            ("5GB", 5_000_000_000),
            ("4KiB", 4096),
        ] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in [
            "",
            "MiB",
            "1.5MiB",
            "-1",
            "64M",
            "9223372036854775808",
            "8388608TiB",
        ] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused_without_panic(text in "\\PC*|[0-9]{0,25} ?[a-zA-Z]{0,4}") {
            let _ = duration(&text);
            let _ = bytes(&text);
        }

        #[test]
        fn whole_seconds_and_bytes_come_back_exactly(number in 0_u64..3_000_000_000) {
            prop_assert_eq!(duration(&format!("{number}s")), Ok(Duration::from_secs(number)));
            prop_assert_eq!(bytes(&number.to_string()), Ok(number));
        }
    }
}
