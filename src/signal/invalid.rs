use super::excerpt::Excerpt;
use super::id::InvalidId;
use super::price::InvalidPrice;
use super::side::InvalidSide;
use super::symbol::InvalidSymbol;
use super::timestamp::InvalidTimestamp;

/// Why a line is no signal, and what to write instead.
///
/// What it says is fit for dead letters and answers: a lower-case fragment in which pieces of the
/// line are escaped and cut to 64 characters.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct InvalidSignal(#[from] Reason);

#[derive(Debug, thiserror::Error)]
pub(super) enum Reason {
    #[error("not UTF-8; write the feed in UTF-8")]
    NotUtf8,
    #[error("a JSON {0} is not a signal; write an object in braces, one a line")]
    NotAnObject(&'static str),
    #[error(
        "{0} does not begin a signal; write a JSON object, or text such as buy BTCUSDT 75000.00"
    )]
    NotASignal(Excerpt),
    #[error("{0} is one word too many; write SIDE SYMBOL PRICE [TIMESTAMP] [test]")]
    ExtraWord(Excerpt),

    #[error("not JSON at character {character}: found {found}, expected {expected}")]
    NotJson {
        character: usize,
        found: Excerpt,
        expected: &'static str,
    },
    #[error("not JSON: the line ends too early, expected {expected}")]
    CutOff { expected: &'static str },
    #[error("{0} is not JSON; write a finite number, or leave the key out")]
    NotFinite(Excerpt),
    #[error("{0} is half of a surrogate pair; write both halves, or the character itself")]
    LoneSurrogate(Excerpt),
    #[error("the key {0} stands twice in one object; keep one of them")]
    RepeatedKey(Excerpt),
    #[error("nested deeper than {most} levels; flatten it")]
    TooDeep { most: usize },

    #[error("{0} is missing; add {1}")]
    Missing(&'static str, &'static str),
    #[error("{0} and {1} are two names for one thing; keep one of them")]
    TwoNames(Box<str>, Box<str>),
    #[error("unknown key {key}; did you mean {nearest}?")]
    MistypedKey { key: Excerpt, nearest: &'static str },
    #[error(
        "unknown key {0} beside content; known are type, is_test, id and valid_for, \
         and all else goes inside content"
    )]
    UnknownKey(Excerpt),
    #[error("{field}: {why}")]
    Field { field: Box<str>, why: InvalidField },
}

/// Why a value does not fit where it stands.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvalidField {
    #[error("found {found}; write {expected}")]
    Kind {
        found: &'static str,
        expected: &'static str,
    },
    #[error("{0} is not a duration; write whole seconds above 0, such as 30")]
    ValidFor(Excerpt),
    #[error(transparent)]
    Side(#[from] InvalidSide),
    #[error(transparent)]
    Symbol(#[from] InvalidSymbol),
    #[error(transparent)]
    Price(#[from] InvalidPrice),
    #[error(transparent)]
    Timestamp(#[from] InvalidTimestamp),
    #[error(transparent)]
    Id(#[from] InvalidId),
}

impl InvalidField {
    /// Says where it is.
    pub(super) fn of(self, field: &str) -> InvalidSignal {
        let field = field.into();
        Reason::Field { field, why: self }.into()
    }
}
