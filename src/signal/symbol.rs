use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

use super::excerpt::Excerpt;

/// What is traded, as the source calls it: `BTCUSDT`, `BTC/USDT:USDT`, `EURUSD=X`, `^GSPC`.
///
/// 1 to 64 Unicode scalar values, none of them white space, a control or a format character
/// (general categories Zs, Zl, Zp, Cc, Cf). Letter case counts. A clone of a long one shares the
/// text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Symbol(Text);

/// A short text, as nearly all are, lies in place: then no signal takes memory for it, and no
/// thread waits for a count that another one changes.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Text {
    /// Padded with zeros, which no symbol contains.
    Short([u8; Symbol::SHORT]),
    /// Longer than a short one may be.
    Long(Arc<str>),
}

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

    /// Most bytes of a short one: with its tag it takes as much as three machine words.
    const SHORT: usize = 23;

    /// The symbol as it was given.
    pub fn as_str(&self) -> &str {
        str::from_utf8(self.as_bytes()).expect("a symbol is made of a whole text")
    }

    /// The same, for those who only copy it.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Text::Short(bytes) => {
                let end = bytes.iter().position(|&byte| byte == 0);
                &bytes[..end.unwrap_or(Self::SHORT)]
            }
            Text::Long(text) => text.as_bytes(),
        }
    }

    /// What was found to be one.
    fn of(text: &str) -> Self {
        let mut bytes = [0; Self::SHORT];
        Self(match bytes.get_mut(..text.len()) {
            Some(place) => {
                place.copy_from_slice(text.as_bytes());
                Text::Short(bytes)
            }
            None => Text::Long(text.into()),
        })
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
            return Ok(Self::of(text));
        }
        if text.chars().nth(Self::MOST).is_some() {
            return Err(Reason::TooLong(Excerpt::of(text)).into());
        }
        if let Some(refused) = text.chars().find(|&c| is_refused(c)) {
            let text = Excerpt::of(text);
            return Err(Reason::Character { text, refused }.into());
        }
        Ok(Self::of(text))
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
