use std::str::FromStr;

use super::made_id;
use super::name::HookName;
use super::pointer::Pointer;
use crate::signal::{
    Document, Found, Id, InvalidSignal, Price, Side, SideWords, Signal, Symbol, TimeUnit, Timestamp,
};

/// Where the parts of a signal stand in the JSON of a sender that has a shape of its own. What is
/// named has to be there; what nobody names is not passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// What is traded.
    pub symbol: Place<Symbol>,
    /// Buy or sell.
    pub side: Place<Side>,
    /// At which price.
    pub price: Place<Price>,
    /// When it was made. None: when it was received.
    pub timestamp: Option<Place<Timestamp>>,
    /// What tells one signal from another. None: the whole body.
    pub id: Option<Pointer>,
    /// Whether nobody may trade on it. None: no signal is a test, and a body that seems to say
    /// otherwise is refused.
    pub is_test: Option<Place<bool>>,
}

/// Where one part is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place<T> {
    /// There in the body.
    At(Pointer),
    /// The same in all signals of the hook, written `=BTCUSDT`.
    Constant(T),
}

/// Why a body can't be mapped, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Unmapped {
    /// It is no JSON.
    #[error(transparent)]
    Json(#[from] InvalidSignal),
    /// One of the parts is not there, or is something else.
    #[error("{part} at {pointer}: {why}")]
    Part {
        /// Which one, as the settings name it.
        part: &'static str,
        /// Where it should be.
        pointer: Box<str>,
        /// What is wrong, and what to write.
        why: Box<str>,
    },
    /// It seems to be a test, and nobody has said whether that counts.
    #[error(
        "{key} seems to say that it is a test, and the hook does not look for that; name the place in \
         its map.is_test, or set that to =false if this says nothing of the kind"
    )]
    Test {
        /// The key, in quotes, at the top of the body or beside what leads to a part.
        key: Box<str>,
    },
}

impl Mapping {
    /// The signal in a JSON text.
    ///
    /// # Errors
    /// It is no JSON, one of the parts is not there or is something else, or it seems to be a test
    /// and nobody has said whether that counts.
    pub fn read(
        &self,
        text: &str,
        name: &HookName,
        words: &SideWords,
        unit: TimeUnit,
        received_at: Timestamp,
    ) -> Result<Signal, Unmapped> {
        let document = Document::parse(text)?;
        let side = self
            .side
            .read("side", &document, |found| side(found, words))?;
        let symbol = self.symbol.read("symbol", &document, symbol)?;
        let price = self.price.read("price", &document, price)?;
        let timestamp = match &self.timestamp {
            Some(place) => place.read("timestamp", &document, |found| timestamp(found, unit))?,
            None => received_at,
        };
        let is_test = match &self.is_test {
            Some(place) => place.read("is_test", &document, boolean)?,
            None => match self.test_mark(&document) {
                Some(key) => return Err(Unmapped::Test { key: key.into() }),
                None => false,
            },
        };
        let signal = Signal::live(side, symbol, price, timestamp).test_if(is_test);
        let Some(pointer) = &self.id else {
            return Ok(signal);
        };
        let id = at("id", pointer, &document, |found| id(found, name))?;
        Ok(signal.or_id(|| id))
    }

    /// The key that seems to say that this is a test: at the top, or in what a part is taken from,
    /// as the sender may have wrapped up all of the signal.
    fn test_mark(&self, document: &Document<'_>) -> Option<String> {
        let pointers = [
            self.symbol.pointer(),
            self.side.pointer(),
            self.price.pointer(),
            self.timestamp.as_ref().and_then(Place::pointer),
            self.id.as_ref(),
        ];
        let mut pointers = pointers.into_iter().flatten();
        document
            .test_mark_around([])
            .or_else(|| pointers.find_map(|pointer| pointer.test_mark(document)))
    }
}

impl<T> Place<T> {
    fn pointer(&self) -> Option<&Pointer> {
        match self {
            Self::At(pointer) => Some(pointer),
            Self::Constant(_) => None,
        }
    }
}

impl<T: Clone> Place<T> {
    fn read(
        &self,
        part: &'static str,
        document: &Document<'_>,
        read: impl FnOnce(&Found<'_>) -> Result<T, String>,
    ) -> Result<T, Unmapped> {
        match self {
            Self::Constant(value) => Ok(value.clone()),
            Self::At(pointer) => at(part, pointer, document, read),
        }
    }
}

fn at<T>(
    part: &'static str,
    pointer: &Pointer,
    document: &Document<'_>,
    read: impl FnOnce(&Found<'_>) -> Result<T, String>,
) -> Result<T, Unmapped> {
    let found = pointer.find(document);
    let read = found.as_ref().map_or_else(
        || Err("there is nothing; send it, or change where the hook looks for it".to_owned()),
        read,
    );
    read.map_err(|why| Unmapped::Part {
        part,
        pointer: pointer.to_string().into(),
        why: why.into(),
    })
}

/// Senders have numbers for the sides, too.
fn side(found: &Found<'_>, words: &SideWords) -> Result<Side, String> {
    let word: &str = match found {
        Found::Text(text) => text,
        Found::Number(number) => number,
        Found::Bool(true) => "true",
        Found::Bool(false) => "false",
        _ => return Err(unexpected(found, r#""buy" or "sell""#)),
    };
    let said = words.side(word);
    said.map_err(|why| format!("{why}, or name the word in the hook's words"))
}

fn symbol(found: &Found<'_>) -> Result<Symbol, String> {
    match found {
        Found::Text(text) => parsed(text),
        _ => Err(unexpected(found, "a string")),
    }
}

/// A number, also in quotes.
fn price(found: &Found<'_>) -> Result<Price, String> {
    match found {
        Found::Number(number) => parsed(number),
        Found::Text(text) => parsed(text),
        _ => Err(unexpected(found, "a number")),
    }
}

/// An integer, also in quotes, or RFC 3339.
fn timestamp(found: &Found<'_>, unit: TimeUnit) -> Result<Timestamp, String> {
    let text: &str = match found {
        Found::Number(number) => number,
        Found::Text(text) => text,
        _ => return Err(unexpected(found, "Unix seconds, or RFC 3339 in quotes")),
    };
    Timestamp::parse(text, unit).map_err(|why| why.to_string())
}

fn boolean(found: &Found<'_>) -> Result<bool, String> {
    match found {
        Found::Bool(is) => Ok(*is),
        _ => Err(unexpected(found, "true or false, without quotes")),
    }
}

/// What is fit for an id is the id. Of anything else one is made, always the same of the same.
fn id(found: &Found<'_>, name: &HookName) -> Result<Id, String> {
    let text: &str = match found {
        // The same each time, it would make all signals but the first repeated ones.
        Found::Text(text) if text.trim().is_empty() => {
            return Err("the text is empty; send what tells signals apart".to_owned());
        }
        Found::Text(text) if text.contains("{{") => {
            let problem = "a placeholder that was not filled in; send what tells signals apart";
            return Err(format!("the text holds {{{{, {problem}"));
        }
        Found::Text(text) => text,
        Found::Number(number) => number,
        _ => return Err(unexpected(found, "a string or a number")),
    };
    Ok(text
        .parse::<Id>()
        .unwrap_or_else(|_| made_id::of_value(name, text)))
}

fn parsed<T: FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|why: T::Err| why.to_string())
}

fn unexpected(found: &Found<'_>, expected: &str) -> String {
    format!("found {}; write {expected}", found.kind())
}
