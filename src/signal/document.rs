use std::borrow::Cow;

use super::excerpt::Excerpt;
use super::json::{Key, Scanner};
use super::value::{Nested, Value};
use super::{InvalidSignal, test_mark};

/// A JSON text that was read and found sound, as strictly as a line of a feed is: no key stands
/// twice in an object, and no half of a surrogate pair in a string.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a>(Value<'a>);

/// What stands at one place of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// `null`
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as it was written: no digit is lost.
    Number(&'a str),
    /// The characters that a string stands for.
    Text(Cow<'a, str>),
    /// An object.
    Object,
    /// An array.
    Array,
}

impl<'a> Document<'a> {
    /// The document that a text is, all of it but for white space around it.
    ///
    /// # Errors
    /// It is no JSON, or says something twice.
    pub fn parse(text: &'a str) -> Result<Self, InvalidSignal> {
        let mut scanner = Scanner::new(text.trim_ascii_start());
        let value = scanner.value()?;
        scanner.end()?;
        Ok(Self(value))
    }

    /// Whether the text is one document or, if it is broken, begins one that does not end: then it
    /// is not lines with a document on each.
    pub fn is_all_of(text: &str) -> bool {
        let mut scanner = Scanner::new(text.trim_ascii_start());
        scanner.value().is_err() || scanner.end().is_ok()
    }

    /// What stands where these keys of objects and places in arrays (RFC 6901) lead to; none if
    /// there is nothing.
    pub fn at<'p>(&self, path: impl IntoIterator<Item = &'p str>) -> Option<Found<'a>> {
        let mut value = self.0;
        for token in path {
            let Value::Nested(nested) = value else {
                return None;
            };
            value = nested.at(token)?;
        }
        Some(value.found())
    }

    /// The key, in quotes, that seems to say that this is a test: `is_test` or one that reads like
    /// it, and does not say no, in an object that has in it what this path leads to. That is
    /// the document itself, and all that the path passes through.
    pub fn test_mark_around<'p>(&self, path: impl IntoIterator<Item = &'p str>) -> Option<String> {
        let mut path = path.into_iter();
        let mut around = Some(self.0);
        while let Some(Value::Nested(nested)) = around {
            if let Some(mark) = nested.test_mark() {
                return Some(mark);
            }
            around = path.next().and_then(|token| nested.at(token));
        }
        None
    }
}

impl Found<'_> {
    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::Object => "an object",
            Self::Array => "an array",
        }
    }
}

impl<'a> Nested<'a> {
    fn at(&self, token: &str) -> Option<Value<'a>> {
        let mut found = None;
        if self.raw.starts_with('{') {
            self.members(|key, value| {
                if key == token {
                    found = Some(value);
                }
            });
            return found;
        }
        let (wanted, mut place) = (place(token), 0);
        let read = Scanner::new(self.raw).array(|scanner| {
            let value = scanner.value()?;
            if wanted == Some(place) {
                found = Some(value);
            }
            place += 1;
            Ok(())
        });
        read.ok()?;
        found
    }

    fn test_mark(&self) -> Option<String> {
        let mut mark = None;
        self.members(|key, value| {
            if mark.is_none() && test_mark::is_in(key, &value) {
                mark = Some(Excerpt::of(key).to_string());
            }
        });
        mark
    }

    /// Shows each key of an object with its value; none of an array. That it is sound was seen when
    /// the document was read.
    fn members(&self, mut see: impl FnMut(&str, Value<'a>)) {
        let read = Scanner::new(self.raw).object(|scanner, key| {
            see(&key.unescape(), scanner.value()?);
            Ok(Key::Known)
        });
        debug_assert!(read.is_ok() || self.raw.starts_with('['));
    }
}

/// Digits without a zero before them. `-`, the place behind the last, has nothing.
fn place(token: &str) -> Option<usize> {
    let is_number = token.bytes().all(|byte| byte.is_ascii_digit());
    let has_zero = token.len() > 1 && token.starts_with('0');
    (is_number && !has_zero)
        .then(|| token.parse().ok())
        .flatten()
}

impl<'a> Value<'a> {
    fn found(self) -> Found<'a> {
        match self {
            Self::Null => Found::Null,
            Self::Bool(is) => Found::Bool(is),
            Self::Number(number) => Found::Number(number.text),
            Self::String(text) => Found::Text(text.unescape()),
            Self::Nested(nested) if nested.raw.starts_with('{') => Found::Object,
            Self::Nested(_) => Found::Array,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'a>(text: &'a str, path: &[&str]) -> Option<Found<'a>> {
        Document::parse(text).unwrap().at(path.iter().copied())
    }

    #[test]
    fn a_path_leads_through_objects_and_arrays_to_what_was_written() {
        let text =
            r#" { "a" : { "b\/c" : [ 1e-5 , { "" : "\u0041" } ] , "d" : null } , "e" : true } "#;
        for (path, expected) in [
            (&["a", "b/c", "0"][..], Some(Found::Number("1e-5"))),
            (&["a", "b/c", "1", ""], Some(Found::Text("A".into()))),
            (&["a", "d"], Some(Found::Null)),
            (&["e"], Some(Found::Bool(true))),
            (&["a"], Some(Found::Object)),
            (&["a", "b/c"], Some(Found::Array)),
            (&[], Some(Found::Object)),
            (&["b"], None),
            (&["a", "b/c", "2"], None),
            (&["a", "b/c", "00"], None),
            (&["a", "b/c", "-"], None),
            (&["a", "b/c", "+0"], None),
            (&["a", "b/c", ""], None),
            (&["e", "f"], None),
            (&["E"], None),
        ] {
            assert_eq!(at(text, path), expected, "{path:?}");
        }
    }

    #[test]
    fn what_a_feed_refuses_is_no_document() {
        for text in [
            "",
            "{",
            "{} {}",
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"["\ud800"]"#,
            "[NaN]",
            &"[".repeat(33),
        ] {
            assert!(Document::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_test_mark_counts_in_all_that_a_path_passes_through() {
        let text = r#"{"a":[{"x":1,"isTest":true},{"b":{"c":1}}],"d":{"is_test":false},"e":{"f":{"test":1}}}"#;
        let document = Document::parse(text).unwrap();
        for (path, mark) in [
            (&["a", "0", "x"][..], Some("isTest")),
            (&["a", "0", "nothing"], Some("isTest")),
            (&["a", "1", "b", "c"], None),
            (&["d", "g"], None),
            (&["e", "f", "g", "h"], Some("test")),
            (&["e", "h", "f"], None),
            (&[], None),
        ] {
            let found = document.test_mark_around(path.iter().copied());
            let mark = mark.map(|key| format!("\"{key}\""));
            assert_eq!(found, mark, "{path:?}");
        }
        let document = Document::parse(r#"{"is_test":"A","a":{"b":1}}"#).unwrap();
        for path in [&["a", "b"][..], &["b"], &[]] {
            assert!(document.test_mark_around(path.iter().copied()).is_some());
        }
    }

    #[test]
    fn documents_on_lines_are_told_from_one_on_several() {
        for (text, is_one) in [
            ("{}", true),
            (" {\r\n \"a\": 1\n}\n\n", true),
            ("{\"a\": \n", true),
            ("{a}\n{}", true),
            ("{}\n{}", false),
            ("{}\n{", false),
            ("[1]\nbuy A 1", false),
        ] {
            assert_eq!(Document::is_all_of(text), is_one, "{text}");
        }
    }
}
