use std::str::FromStr;

use super::side::{InvalidSide, Side};

/// What a sender says for buy and sell, beside the words that everybody may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SideWords(Vec<SideWord>);

/// One of these words, written `exit=sell`. Letter case does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideWord {
    /// In lower case.
    word: Box<str>,
    side: Side,
}

/// A text that is no such word.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSideWord {
    /// It does not have both parts.
    #[error("is not a word and a side; write one such as exit=sell")]
    Form,
    /// What stands behind the `=` is something else.
    #[error("does not end with a side; write buy or sell behind the =")]
    Side,
    /// Everybody means the other side by it.
    #[error("contradicts what the word always means, {0}; leave it out")]
    Contrary(Side),
}

impl SideWords {
    /// Those that everybody may use, alone.
    pub const NONE: Self = Self(Vec::new());

    /// These words. Of a word that is there twice the first counts.
    pub fn new(words: impl IntoIterator<Item = SideWord>) -> Self {
        Self(words.into_iter().collect())
    }

    /// The first word that stands there for both sides.
    pub fn ambiguous(&self) -> Option<&str> {
        let other = |word: &&SideWord| {
            let mut all = self.0.iter();
            all.any(|other| other.word == word.word && other.side != word.side)
        };
        self.0.iter().find(other).map(|word| &*word.word)
    }

    /// The side that a word stands for.
    ///
    /// # Errors
    /// Neither here nor to everybody does it stand for one.
    pub fn side(&self, text: &str) -> Result<Side, InvalidSide> {
        text.parse::<Side>().or_else(|why| {
            let text = text.to_lowercase();
            let known = self.0.iter().find(|known| *known.word == *text);
            known.map(|known| known.side).ok_or(why)
        })
    }
}

impl FromStr for SideWord {
    type Err = InvalidSideWord;

    /// The word may have blanks and `=` in it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (word, side) = text.rsplit_once('=').ok_or(InvalidSideWord::Form)?;
        let word = word.trim().to_lowercase();
        if word.is_empty() {
            return Err(InvalidSideWord::Form);
        }
        let side: Side = side.trim().parse().map_err(|_| InvalidSideWord::Side)?;
        match word.parse::<Side>() {
            Ok(usual) if usual != side => Err(InvalidSideWord::Contrary(usual)),
            _ => Ok(Self {
                word: word.into(),
                side,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(texts: &[&str]) -> SideWords {
        SideWords::new(texts.iter().map(|text| text.parse().unwrap()))
    }

    #[test]
    fn a_sender_has_words_of_his_own_beside_the_usual_ones() {
        let words = words(&[
            "exit=sell",
            " Close Short = buy ",
            "a=b=BUY",
            "ÄUS=short",
            "1=long",
        ]);
        for (text, side) in [
            ("buy", Some(Side::Buy)),
            ("Short", Some(Side::Sell)),
            ("EXIT", Some(Side::Sell)),
            ("close short", Some(Side::Buy)),
            ("A=B", Some(Side::Buy)),
            ("äus", Some(Side::Sell)),
            ("1", Some(Side::Buy)),
            ("exi", None),
            ("flat", None),
            ("", None),
        ] {
            assert_eq!(words.side(text).ok(), side, "{text}");
        }
        assert!(SideWords::NONE.side("exit").is_err());
    }

    #[test]
    fn what_is_no_word_and_a_side_is_refused() {
        for (text, why) in [
            ("exit", InvalidSideWord::Form),
            ("=sell", InvalidSideWord::Form),
            ("exit=", InvalidSideWord::Side),
            ("exit=hold", InvalidSideWord::Side),
            ("sell=buy", InvalidSideWord::Contrary(Side::Sell)),
            ("LONG=sell", InvalidSideWord::Contrary(Side::Buy)),
        ] {
            assert_eq!(text.parse::<SideWord>(), Err(why), "{text}");
        }
        assert_eq!(words(&["long=buy"]).side("long").ok(), Some(Side::Buy));
        assert_eq!(words(&["a=buy", "A=long"]).ambiguous(), None);
        assert_eq!(words(&["b=buy", "a=buy", "A=sell"]).ambiguous(), Some("a"));
    }
}
