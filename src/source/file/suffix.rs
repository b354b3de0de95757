//! What a rotation adds to a file's name, and which of two such names is the newer one.

use std::path::{Path, PathBuf};

/// The end of a rotated file's name: `.1`, `-20261120`, `_2026-11-20.gz`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Suffix {
    kind: Kind,
    /// How it is written: only names that are written alike are of one rotation.
    shape: String,
    /// It was compressed.
    pub(super) is_packed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// Grows with each rotation: the newest has the lowest.
    Number(u32),
    /// Of the rotation: its digits and what stands between them.
    Date(String),
}

impl Suffix {
    /// What the name of this file has more than that of `feed`, if it is what rotations add.
    pub(super) fn of(path: &Path, feed: &Path) -> Option<Self> {
        let (name, feed) = (path.file_name()?.to_str()?, feed.file_name()?.to_str()?);
        let rest = name.strip_prefix(feed)?;
        let packed = PACKED.iter().find_map(|packed| rest.strip_suffix(packed));
        let text = packed.unwrap_or(rest);
        let is_digit = |c: char| c.is_ascii_digit();
        let digits = text.strip_prefix(SEPARATORS)?;
        if !digits.starts_with(is_digit)
            || !digits.ends_with(is_digit)
            || !digits
                .chars()
                .all(|c| is_digit(c) || SEPARATORS.contains(&c))
        {
            return None;
        }
        let shape: String = text
            .chars()
            .map(|c| if is_digit(c) { '0' } else { c })
            .collect();
        let (kind, shape) = match digits.parse() {
            Ok(number) if digits.len() <= LONGEST_NUMBER => {
                (Kind::Number(number), text[..1].to_owned())
            }
            _ if digits.matches(is_digit).count() >= DIGITS_OF_DATE => {
                (Kind::Date(digits.to_owned()), shape)
            }
            _ => return None,
        };
        Some(Self {
            kind,
            shape,
            is_packed: packed.is_some(),
        })
    }

    /// The path that a file with such a name had before it was rotated.
    pub(super) fn feed_of(path: &Path) -> Option<PathBuf> {
        let name = path.file_name()?.to_str()?;
        let feeds = name.match_indices(SEPARATORS).map(|(end, _)| &name[..end]);
        feeds
            .map(|feed| path.with_file_name(feed))
            .find(|feed| Self::of(path, feed).is_some())
    }

    /// Whether both are written as one rotation writes them.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.shape == other.shape
    }

    /// Whether it came after that one.
    pub(super) fn is_newer_than(&self, other: &Self) -> bool {
        self.is_like(other) && self.rank() > other.rank()
    }

    /// Higher for one that came later, among those of one rotation.
    pub(super) fn rank(&self) -> i128 {
        match &self.kind {
            Kind::Number(number) => -i128::from(*number),
            // With leading zeros, as all rotations write them.
            Kind::Date(text) => digits(text).parse().unwrap_or(i128::MAX),
        }
    }

    /// Its number, if it is none of a date.
    pub(super) fn number(&self) -> Option<u32> {
        match self.kind {
            Kind::Number(number) => Some(number),
            Kind::Date(_) => None,
        }
    }

    /// The year, month and day that it begins with.
    pub(super) fn date(&self) -> Option<jiff::civil::Date> {
        let Kind::Date(text) = &self.kind else {
            return None;
        };
        let digits = digits(text);
        let (year, month, day) = (
            digits.get(..4)?.parse().ok()?,
            digits.get(4..6)?.parse().ok()?,
            digits.get(6..8)?.parse().ok()?,
        );
        jiff::civil::Date::new(year, month, day).ok()
    }
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

const SEPARATORS: [char; 3] = ['.', '-', '_'];

/// What compressed files are called.
const PACKED: [&str; 4] = [".gz", ".zst", ".bz2", ".xz"];

/// More digits are a date.
const LONGEST_NUMBER: usize = 4;

/// Year, month and day; a Unix time has more.
const DIGITS_OF_DATE: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn suffix(name: &str) -> Option<Suffix> {
        Suffix::of(Path::new(name), Path::new("a/live.jsonl"))
    }

    #[test]
    fn rotations_add_numbers_and_dates() {
        for (name, packed) in [
            ("live.jsonl.1", false),
            ("live.jsonl-0", false),
            ("live.jsonl.12.gz", true),
            ("live.jsonl-20261120", false),
            ("live.jsonl-20261120-1700000000.zst", true),
            ("live.jsonl_1700000000", false),
            ("live.jsonl.2026-11-20_10-00", false),
        ] {
            let suffix = suffix(name);
            assert_eq!(
                suffix.map(|suffix| suffix.is_packed),
                Some(packed),
                "{name}"
            );
        }
        for name in [
            "live.jsonl",
            "live.jsonl.gz",
            "live.jsonl.bak",
            "live.jsonl.1.bak",
            "live.jsonl~",
            "live.jsonl1",
            "live.jsonl.1.",
            "live.jsonl..1",
            "live.jsonl.12345",
            "live.jsonl.1.2",
            "live-1.jsonl",
            "other.jsonl.1",
        ] {
            assert_eq!(suffix(name), None, "{name}");
        }
    }

    #[test]
    fn the_feed_of_a_rotated_file_is_told() {
        for (name, feed) in [
            ("a/live.jsonl.1", Some("a/live.jsonl")),
            ("live.jsonl-20261120-1700000000.zst", Some("live.jsonl")),
            ("live-1.jsonl.2", Some("live-1.jsonl")),
            ("a.1/live.jsonl", None),
            (".1", None),
        ] {
            let expected = feed.map(PathBuf::from);
            assert_eq!(Suffix::feed_of(Path::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn the_lowest_number_and_the_latest_date_are_the_newest() {
        for (newer, older) in [
            (".1", ".2"),
            (".9", ".10"),
            ("-20261120", "-20261119"),
            ("-20261120-1700000001", "-20261120-1700000000"),
            (".2027-01-01", ".2026-12-31"),
        ] {
            let name = |end| suffix(&format!("live.jsonl{end}")).unwrap();
            let (newer, older) = (name(newer), name(older));
            assert!(newer.is_like(&older));
            assert!(newer.is_newer_than(&older) && !older.is_newer_than(&newer));
            assert!(!newer.is_newer_than(&newer));
        }
        assert!(
            !suffix("live.jsonl.1")
                .unwrap()
                .is_like(&suffix("live.jsonl-1").unwrap())
        );
    }

    #[test]
    fn a_date_is_told() {
        let date = |end: &str| suffix(&format!("live.jsonl{end}")).unwrap().date();
        let expected = jiff::civil::date(2026, 11, 20);
        assert_eq!(date("-20261120"), Some(expected));
        assert_eq!(date(".2026-11-20_10-00.gz"), Some(expected));
        assert_eq!(date("-20112026"), None);
        assert_eq!(date(".1"), None);
    }
}
