use std::fmt;

/// Which symbols somebody gets: all of them, or those that match one of a few patterns.
///
/// In a pattern `*` matches any run of characters, also none; everything else matches itself,
/// case-sensitive. No pattern at all matches no symbol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum SymbolFilter {
    /// Every symbol.
    #[default]
    All,
    /// The symbols that match at least one of these patterns.
    Matching(Box<[Box<str>]>),
}

/// A list of patterns is longer than is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{count} symbol patterns; at most {} are allowed, so combine some with *",
    SymbolFilter::MOST
)]
pub struct InvalidPattern {
    count: usize,
}

impl SymbolFilter {
    /// Most patterns in one filter: each is tried against each new symbol.
    pub const MOST: usize = 256;

    /// A filter of these patterns, in any order.
    ///
    /// # Errors
    /// More than [`Self::MOST`] of them.
    pub fn matching<I: IntoIterator<Item = S>, S: Into<Box<str>>>(
        patterns: I,
    ) -> Result<Self, InvalidPattern> {
        let mut patterns: Vec<Box<str>> = patterns
            .into_iter()
            .map(|pattern| with_single_stars(pattern.into()))
            .collect();
        if patterns.len() > Self::MOST {
            return Err(InvalidPattern {
                count: patterns.len(),
            });
        }
        // Sorted, so that equal filters are equal and their clients share one group.
        patterns.sort_unstable();
        patterns.dedup();
        Ok(Self::Matching(patterns.into()))
    }

    /// Whether a signal of this symbol passes.
    pub fn matches(&self, symbol: &str) -> bool {
        match self {
            Self::All => true,
            Self::Matching(patterns) => patterns
                .iter()
                .any(|pattern| pattern_matches(pattern, symbol)),
        }
    }
}

impl fmt::Display for SymbolFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Matching(patterns) => f.write_str(&patterns.join(",")),
        }
    }
}

/// A run of stars means what one star does. Without such runs a match takes no more steps than the
/// text has bytes, however long the pattern.
fn with_single_stars(pattern: Box<str>) -> Box<str> {
    if !pattern.contains("**") {
        return pattern;
    }
    let mut single = String::new();
    for c in pattern.chars() {
        if c != '*' || !single.ends_with('*') {
            single.push(c);
        }
    }
    single.into()
}

/// Linear for each star: what stands before the first star must begin the text, what stands after
/// the last must end it, and the pieces between are found leftmost first.
fn pattern_matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    for piece in middle.split('*') {
        match text.find(piece) {
            Some(at) => text = &text[at + piece.len()..],
            None => return false,
        }
    }
    text.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        for (pattern, text, expected) in [
            ("BTC*", "BTCUSDT", true),
            ("BTC*", "BTC", true),
            ("BTC*", "ETHBTC", false),
            ("*USDT", "BTCUSDT", true),
            ("*USDT", "USDT", true),
            ("*USDT", "BTCUSD", false),
            ("B*C*T", "BTCUSDT", true),
            ("B*C*T", "BTCUSD", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("*", "", true),
            ("**", "x", true),
            ("BTCUSDT", "btcusdt", false),
            ("", "", true),
            ("", "x", false),
            ("*ab*ab*", "ab", false),
            ("*ab*ab*", "abab", true),
        ] {
            assert_eq!(
                pattern_matches(pattern, text),
                expected,
                "{pattern} against {text}"
            );
        }
    }

    #[test]
    fn a_run_of_stars_is_one_star() {
        let filter = |pattern: &str| SymbolFilter::matching([pattern]).unwrap();
        assert_eq!(filter("**B***T****"), filter("*B*T*"));
        assert_eq!(filter(&"*".repeat(60_000)), filter("*"));
        assert_ne!(filter("*B*"), filter("B"));
    }

    #[test]
    fn no_pattern_matches_nothing_and_too_many_are_refused() {
        assert!(
            !SymbolFilter::matching(Vec::<String>::new())
                .unwrap()
                .matches("X")
        );
        assert!(SymbolFilter::matching(vec!["*"; 256]).is_ok());
        assert!(SymbolFilter::matching(vec!["*"; 257]).is_err());
    }
}
