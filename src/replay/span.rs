use std::fmt;
use std::str::FromStr;

use super::ReplayError;
use crate::config::Problem;
use crate::journal::{ReadError, Reader};
use crate::signal::{ReceivedAt, Seq};

/// A place in the log, as people name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// A signal.
    Seq(Seq),
    /// The time at which one was received.
    Time(ReceivedAt),
}

/// A seq, or RFC 3339 with any offset.
impl FromStr for Point {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let seq = text.parse().ok().and_then(Seq::new);
            return seq.map(Self::Seq).ok_or_else(|| {
                Problem::new(format!("{text} is no seq"), "write 1 for the first signal")
            });
        }
        text.parse().map(Self::Time).map_err(|_| {
            Problem::new(
                format!("{text:?} is neither a seq nor a time"),
                "write one such as 1024 or 2026-11-20T10:00:00Z",
            )
        })
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seq(seq) => seq.fmt(f),
            Self::Time(time) => time.fmt(f),
        }
    }
}

/// The signals between two places, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: Seq,
    pub(super) last: Seq,
}

impl Span {
    /// Finds the places in a log that keeps what is within these bounds; up to its end if no other
    /// is named. `None`: there is nothing in between.
    pub(super) fn find(
        log: &mut dyn Reader,
        (oldest, newest): (Seq, Seq),
        from: Point,
        to: Option<Point>,
    ) -> Result<Option<Self>, ReplayError> {
        let gone = |error| match error {
            ReadError::Gone { oldest } => ReplayError::Gone { from, oldest },
            ReadError::Failed(why) => ReplayError::Log(why),
        };
        let first = match from {
            Point::Seq(seq) if seq < oldest => return Err(ReplayError::Gone { from, oldest }),
            Point::Seq(seq) => Some(seq).filter(|&seq| seq <= newest),
            Point::Time(time) => log.received_since(time).map_err(gone)?,
        };
        let first = first.ok_or(ReplayError::Beyond { from, newest })?;
        let last = match to {
            None => Some(newest),
            Some(Point::Seq(seq)) => Some(seq.min(newest)),
            Some(Point::Time(time)) => {
                let after = ReceivedAt::from_micros(time.micros().saturating_add(1));
                match log.received_since(after) {
                    Ok(None) => Some(newest),
                    Ok(Some(later)) => Seq::new(later.get() - 1).map(|last| last.min(newest)),
                    Err(ReadError::Gone { .. }) => None,
                    Err(ReadError::Failed(why)) => return Err(ReplayError::Log(why)),
                }
            }
        };
        let last = last.filter(|&last| last >= first);
        Ok(last.map(|last| Self { first, last }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Shelf;
    use super::*;

    fn point(text: &str) -> Point {
        text.parse().unwrap()
    }

    #[test]
    fn a_place_is_a_seq_or_a_time() {
        for (text, shown) in [
            ("1", Some("1")),
            ("1024", Some("1024")),
            (
                "2026-11-20T11:00:00+01:00",
                Some("2026-11-20T10:00:00.000000Z"),
            ),
            ("0", None),
            ("18446744073709551616", None),
            ("-1", None),
            ("2026-11-20", None),
            ("2026-11-20T11:00:00", None),
            ("", None),
        ] {
            let read = text.parse::<Point>().ok().map(|point| point.to_string());
            assert_eq!(read.as_deref(), shown, "{text}");
        }
    }

    #[test]
    fn both_ends_belong_to_it() {
        // Seqs 3 to 7, received in the seconds 30, 40, 40, 50 and 60.
        let mut log = Shelf::of(3, &[30, 40, 40, 50, 60]);
        let bounds = log.bounds();
        for (from, to, expected) in [
            ("3", None, Some((3, 7))),
            ("4", Some("5"), Some((4, 5))),
            ("5", Some("5"), Some((5, 5))),
            ("5", Some("900"), Some((5, 7))),
            ("5", Some("4"), None),
            ("1970-01-01T00:00:40Z", None, Some((4, 7))),
            (
                "1970-01-01T00:00:30.5Z",
                Some("1970-01-01T00:00:40Z"),
                Some((4, 5)),
            ),
            (
                "1970-01-01T00:00:40Z",
                Some("1970-01-01T00:00:50Z"),
                Some((4, 6)),
            ),
            ("1970-01-01T00:00:41Z", Some("1970-01-01T00:00:49Z"), None),
            (
                "1970-01-01T00:01:00Z",
                Some("2030-01-01T00:00:00Z"),
                Some((7, 7)),
            ),
            ("3", Some("1970-01-01T00:00:10Z"), None),
        ] {
            let found = Span::find(&mut log, bounds, point(from), to.map(point)).unwrap();
            let found = found.map(|span| (span.first.get(), span.last.get()));
            assert_eq!(found, expected, "{from} {to:?}");
        }
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let mut log = Shelf::of(3, &[30, 40, 40, 50, 60]);
        let bounds = log.bounds();
        for (from, expected) in [
            ("2", "2 is not kept any more; the oldest signal is 3"),
            (
                "1970-01-01T00:00:20Z",
                "1970-01-01T00:00:20.000000Z is not kept any more; the oldest signal is 3",
            ),
            ("8", "8 is beyond the newest signal, which is 7"),
            (
                "1970-01-01T00:01:01Z",
                "1970-01-01T00:01:01.000000Z is beyond the newest signal, which is 7",
            ),
        ] {
            let error = Span::find(&mut log, bounds, point(from), None).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }
}
