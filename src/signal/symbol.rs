use std::fmt;
use std::str::FromStr;

use smol_str::SmolStr;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

use super::excerpt::Excerpt;

/// What is traded, as the source calls it: `BTCUSDT`, `BTC/USDT:USDT`, `EURUSD=X`, `^GSPC`.
///
/// 1 to 64 Unicode scalar values, none of them white space, a control or a format character
/// (general categories Zs, Zl, Zp, Cc, Cf). Letter case counts. Up to 23 bytes, as nearly all have,
/// take no memory of their own; a clone of a longer one shares the text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Symbol(SmolStr);

/// A text that is no symbol.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct InvalidSymbol(#[from] Reason);

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("an empty symbol; write 1 to {} characters", Symbol::MOST)]
    Empty,
    #[error("{0} is too long; write 1 to {most} characters", most = Symbol::MOST)]
    TooLong(Excerpt),
    #[error(
        "{text} holds U+{:04X}; leave out white space, control and format characters",
        u32::from(*.refused)
    )]
    Character { text: Excerpt, refused: char },
}

impl Symbol {
    /// Most Unicode scalar values in a symbol.
    pub const MOST: usize = 64;

    /// The symbol as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Symbol {
    type Err = InvalidSymbol;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(Reason::Empty.into());
        }
        // As nearly all are.
        if text.len() <= Self::MOST && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Self(text.into()));
        }
        if text.chars().nth(Self::MOST).is_some() {
            return Err(Reason::TooLong(Excerpt::of(text)).into());
        }
        if let Some(refused) = text.chars().find(|&c| is_refused(c)) {
            let text = Excerpt::of(text);
            return Err(Reason::Character { text, refused }.into());
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

fn is_refused(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_graphic();
    }
    matches!(
        c.general_category(),
        GeneralCategory::SpaceSeparator
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::Control
            | GeneralCategory::Format
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_is_taken_as_it_is_given() {
        for text in [
            "BTCUSDT",
            "BTC/USDT:USDT",
            "EURUSD=X",
            "^GSPC",
            "btcusdt",
            "\"\\'",
            "<script>",
            "日経225",
            "e\u{301}",
            "💰",
            "\u{e000}",
            &"x".repeat(23),
            &"x".repeat(24),
            "xxxxxxxxxxxxxxxxxxxxxxé",
            &"x".repeat(64),
            &"💰".repeat(64),
        ] {
            assert_eq!(text.parse::<Symbol>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_cannot_be_seen_is_refused() {
        for (text, category) in [
            ("", "empty"),
            ("BTC USDT", "Zs"),
            ("BTC\u{a0}USDT", "Zs"),
            ("BTC\u{3000}", "Zs"),
            ("\u{2028}", "Zl"),
            ("\u{2029}", "Zp"),
            ("BTC\t", "Cc"),
            ("BTC\0", "Cc"),
            ("\u{7f}", "Cc"),
            ("\u{85}", "Cc"),
            ("BTC\u{200b}", "Cf"),
            ("\u{feff}BTC", "Cf"),
            ("\u{202e}BTC", "Cf"),
            ("\u{ad}", "Cf"),
            ("\u{e0041}", "Cf"),
            (&"x".repeat(65), "65 characters"),
        ] {
            assert!(text.parse::<Symbol>().is_err(), "{category}");
        }
    }
}
