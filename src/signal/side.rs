use std::fmt;
use std::str::FromStr;

use super::excerpt::Excerpt;

/// What the signal says to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Buy, or go long.
    Buy,
    /// Sell, or go short.
    Sell,
}

/// A word that is no side.
#[derive(Debug, thiserror::Error)]
#[error(r#"{0} is not a side; write "buy" or "sell""#)]
pub struct InvalidSide(Excerpt);

impl Side {
    /// The word on the wire: `buy` or `sell`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
        }
    }
}

/// `buy`, `sell`, `long` and `short`, in any letter case.
impl FromStr for Side {
    type Err = InvalidSide;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is = |word| text.eq_ignore_ascii_case(word);
        if is("buy") || is("long") {
            Ok(Self::Buy)
        } else if is("sell") || is("short") {
            Ok(Self::Sell)
        } else {
            Err(InvalidSide(Excerpt::of(text)))
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_has_two_words_in_any_letter_case() {
        for word in ["buy", "Buy", "BUY", "bUy", "long", "LONG"] {
            assert_eq!(word.parse::<Side>().unwrap(), Side::Buy, "{word}");
        }
        for word in ["sell", "Sell", "SELL", "short", "Short"] {
            assert_eq!(word.parse::<Side>().unwrap(), Side::Sell, "{word}");
        }
        for word in ["", "hold", "buy ", " buy", "b", "buyy", "ｂｕｙ", "ſell"] {
            assert!(word.parse::<Side>().is_err(), "{word}");
        }
    }
}
