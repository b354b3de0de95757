use std::fmt;

/// When a signal was received, in microseconds since 1970. In the log it never decreases.
///
/// `Display`: RFC 3339 with six digits of a second, `2026-11-20T10:00:00.123456Z`.
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
}

impl fmt::Display for ReceivedAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_microsecond(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{time:.6}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
