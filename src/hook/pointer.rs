use std::fmt;
use std::str::FromStr;

use crate::signal::{Document, Found};

/// A place in a JSON document (RFC 6901), below its root: `/strategy/order/0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    written: Box<str>,
    /// Between the slashes, unescaped.
    tokens: Box<[Box<str>]>,
}

/// A text that is no pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is no JSON pointer; begin it with /, as in /symbol, and write ~0 for ~ and ~1 for / in a key"
)]
pub struct InvalidPointer;

impl Pointer {
    /// What stands there.
    pub fn find<'a>(&self, document: &Document<'a>) -> Option<Found<'a>> {
        document.at(self.tokens())
    }

    /// The key that seems to say that a test is what has in it what stands there.
    pub fn test_mark(&self, document: &Document<'_>) -> Option<String> {
        document.test_mark_around(self.tokens())
    }

    fn tokens(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().map(|token| &**token)
    }
}

impl FromStr for Pointer {
    type Err = InvalidPointer;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let path = text.strip_prefix('/').ok_or(InvalidPointer)?;
        let tokens: Option<_> = path.split('/').map(unescape).collect();
        Ok(Self {
            written: text.into(),
            tokens: tokens.ok_or(InvalidPointer)?,
        })
    }
}

/// As it was written.
impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

fn unescape(token: &str) -> Option<Box<str>> {
    let mut parts = token.split('~');
    let mut key = parts.next()?.to_owned();
    for part in parts {
        let (character, rest) = match part.as_bytes().first()? {
            b'0' => ('~', &part[1..]),
            b'1' => ('/', &part[1..]),
            _ => return None,
        };
        key.push(character);
        key.push_str(rest);
    }
    Some(key.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc_lead_where_it_says() {
        let text = r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}"#;
        let document = Document::parse(text).unwrap();
        for (pointer, expected) in [
            ("/foo", Found::Array),
            ("/foo/0", Found::Text("bar".into())),
            ("/", Found::Number("0")),
            ("/a~1b", Found::Number("1")),
            ("/c%d", Found::Number("2")),
            ("/e^f", Found::Number("3")),
            ("/g|h", Found::Number("4")),
            (r"/i\j", Found::Number("5")),
            (r#"/k"l"#, Found::Number("6")),
            ("/ ", Found::Number("7")),
            ("/m~0n", Found::Number("8")),
        ] {
            let read: Pointer = pointer.parse().unwrap();
            assert_eq!(read.find(&document), Some(expected), "{pointer}");
            assert_eq!(read.to_string(), pointer);
        }
        let read: Pointer = "/~01".parse().unwrap();
        let document = Document::parse(r#"{"~1":1,"/":2}"#).unwrap();
        assert_eq!(read.find(&document), Some(Found::Number("1")));
    }

    #[test]
    fn other_texts_are_no_pointers() {
        for text in ["", "symbol", "#/symbol", "/a~", "/a~2", "/~é"] {
            assert_eq!(text.parse::<Pointer>(), Err(InvalidPointer), "{text}");
        }
    }
}
