use std::borrow::Cow;

use super::escape::{InvalidEscape, Text, unescape_one};
use super::excerpt::Excerpt;
use super::invalid::{InvalidSignal, Reason};
use super::number::Number;
use super::value::{Nested, Value};

/// Reads one JSON text (RFC 8259) from left to right and believes nothing.
///
/// On top of the grammar it refuses what readers disagree about: keys that stand twice in one
/// object, at any depth and after unescaping; lone surrogates; and more than 32 levels, which also
/// bounds the recursion. Values are handed out as slices of the text: nothing is converted here.
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// Bytes of white space passed so far.
    blanks: usize,
    /// Those of [any](Key::Any) name of all objects that are open, the innermost object's last.
    keys: Vec<Cow<'a, str>>,
}

/// Who looks whether a key stands twice in its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Whoever reads the object, since each name that it knows has a place of its own.
    Known,
    /// The scanner.
    Any,
}

impl<'a> Scanner<'a> {
    /// Most levels of objects and arrays in one another.
    const MOST_LEVELS: usize = 32;

    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
            blanks: 0,
            keys: Vec::new(),
        }
    }

    /// An object: `member` is called at each value, with its key, and has to read the value.
    pub(super) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, Text<'a>) -> Result<Key, InvalidSignal>,
    ) -> Result<(), InvalidSignal> {
        let outer_keys = self.keys.len();
        let mut has_more = self.open(b'}')?;
        while has_more {
            let key = self.key()?;
            if member(self, key)? == Key::Any {
                self.keys.push(key.unescape());
            }
            has_more = self.another(b'}', "a comma or }")?;
        }
        self.depth -= 1;
        if let Some(key) = repeated(&mut self.keys[outer_keys..]) {
            return Err(Reason::RepeatedKey(Excerpt::of(key)).into());
        }
        self.keys.truncate(outer_keys);
        Ok(())
    }

    /// An object that may have any keys.
    pub(super) fn any_object(&mut self) -> Result<(), InvalidSignal> {
        self.object(|scanner, _| {
            scanner.value()?;
            Ok(Key::Any)
        })
    }

    /// A value of any kind.
    pub(super) fn value(&mut self) -> Result<Value<'a>, InvalidSignal> {
        match self.peek() {
            Some(b'"') => self.string().map(Value::String),
            Some(b'{' | b'[') => self.nested().map(Value::Nested),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            _ => self.literal(),
        }
    }

    /// The end of the text: only white space may be left.
    pub(super) fn end(&mut self) -> Result<(), InvalidSignal> {
        self.skip_blanks();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.expected("nothing after the object (one signal a line)")),
        }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn nested(&mut self) -> Result<Nested<'a>, InvalidSignal> {
        let (start, blanks) = (self.at, self.blanks);
        if self.peek() == Some(b'{') {
            self.any_object()?;
        } else {
            self.array(|scanner| scanner.value().map(drop))?;
        }
        Ok(Nested {
            raw: &self.text[start..self.at],
            has_blanks: self.blanks > blanks,
        })
    }

    /// An array: `element` is called at each value and has to read it.
    pub(super) fn array(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), InvalidSignal>,
    ) -> Result<(), InvalidSignal> {
        let mut has_more = self.open(b']')?;
        while has_more {
            element(self)?;
            has_more = self.another(b']', "a comma or ]")?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Enters an object or array; whether there is anything in it.
    fn open(&mut self, close: u8) -> Result<bool, InvalidSignal> {
        self.depth += 1;
        if self.depth > Self::MOST_LEVELS {
            let most = Self::MOST_LEVELS;
            return Err(Reason::TooDeep { most }.into());
        }
        self.at += 1;
        self.skip_blanks();
        let is_empty = self.peek() == Some(close);
        self.at += usize::from(is_empty);
        Ok(!is_empty)
    }

    /// After a member or an element: whether another one follows.
    fn another(&mut self, close: u8, expected: &'static str) -> Result<bool, InvalidSignal> {
        self.skip_blanks();
        let found = self.peek();
        if found != Some(b',') && found != Some(close) {
            return Err(self.expected(expected));
        }
        self.at += 1;
        if found == Some(close) {
            return Ok(false);
        }
        self.skip_blanks();
        if self.peek() == Some(close) {
            return Err(self.expected("no comma before the end"));
        }
        Ok(true)
    }

    /// A key and its colon.
    fn key(&mut self) -> Result<Text<'a>, InvalidSignal> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a key in double quotes"));
        }
        let key = self.string()?;
        self.skip_blanks();
        if self.peek() != Some(b':') {
            return Err(self.expected("a colon after the key"));
        }
        self.at += 1;
        self.skip_blanks();
        Ok(key)
    }

    fn string(&mut self) -> Result<Text<'a>, InvalidSignal> {
        self.at += 1;
        let start = self.at;
        let mut is_escaped = false;
        loop {
            self.at += plain(&self.text.as_bytes()[self.at..]);
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    is_escaped = true;
                    self.at += self.escape()?;
                }
                Some(_) => {
                    return Err(self.expected(r"an escape such as \n for a control character"));
                }
                None => return Err(self.expected("a closing double quote")),
            }
        }
        let raw = &self.text[start..self.at];
        self.at += 1;
        Ok(Text { raw, is_escaped })
    }

    /// The length of the escape that stands here.
    fn escape(&self) -> Result<usize, InvalidSignal> {
        let rest = &self.text[self.at..];
        unescape_one(rest)
            .map(|(_, length)| length)
            .map_err(|why| match why {
                InvalidEscape::LoneSurrogate => {
                    // It was read as a `\u` and four digits, so these are six ASCII bytes.
                    Reason::LoneSurrogate(Excerpt::of(&rest[..6])).into()
                }
                InvalidEscape::Unknown => {
                    self.expected(r#"an escape: \" \\ \/ \b \f \n \r \t or \u and four hex digits"#)
                }
            })
    }

    fn number(&mut self) -> Result<Number<'a>, InvalidSignal> {
        let rest = &self.text[self.at..];
        match Number::starting(rest) {
            Ok(number) => {
                self.at += number.text.len();
                Ok(number)
            }
            Err(_) if rest[1..].starts_with(['I', 'i', 'N', 'n']) => Err(self.not_a_value()),
            Err(why) => {
                self.at += why.at;
                Err(self.expected(why.expected))
            }
        }
    }

    fn literal(&mut self) -> Result<Value<'a>, InvalidSignal> {
        let literals = [
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("null", Value::Null),
        ];
        for (word, value) in literals {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.not_a_value())
    }

    /// What other writers print where JSON has no word for it, and a hint what to do.
    fn not_a_value(&self) -> InvalidSignal {
        let rest = &self.text[self.at..];
        let is_sign = |c| c == '-' || c == '+';
        let letters = rest.trim_start_matches(is_sign);
        let end = letters.find(|c: char| !c.is_ascii_alphabetic());
        let word = &letters[..end.unwrap_or(letters.len())];
        match word.to_ascii_lowercase().as_str() {
            "nan" | "inf" | "infinity" => Reason::NotFinite(Excerpt::of(word)).into(),
            "true" | "false" | "null" | "none" => {
                self.expected("true, false or null, in lower case")
            }
            _ => self.expected("a JSON value (text needs double quotes)"),
        }
    }

    fn skip_blanks(&mut self) {
        let start = self.at;
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
        self.blanks += self.at - start;
    }

    fn expected(&self, expected: &'static str) -> InvalidSignal {
        let Some(found) = self.text[self.at..].chars().next() else {
            return Reason::CutOff { expected }.into();
        };
        Reason::NotJson {
            character: self.text[..self.at].chars().count() + 1,
            found: Excerpt::of(found.encode_utf8(&mut [0; 4])),
            expected,
        }
        .into()
    }
}

/// How many of these bytes stand for themselves in a string: those before the first quote,
/// backslash or control character. Looks at eight at a time.
pub(super) fn plain(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks();
    let mut words = words.iter().zip((0..).step_by(8));
    let found = words.find_map(|(word, before)| {
        let special = special_bytes(u64::from_le_bytes(*word));
        (special != 0).then(|| before + special.trailing_zeros() as usize / 8)
    });
    found.unwrap_or_else(|| {
        let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
        let plain = rest.iter().position(is_special).unwrap_or(rest.len());
        bytes.len() - rest.len() + plain
    })
}

/// The highest bit of each byte that is a quote, a backslash or a control character. Bits above the
/// lowest of these may be wrong, for each subtraction may borrow from the byte above.
fn special_bytes(word: u64) -> u64 {
    const EACH: u64 = u64::MAX / 0xff;
    let below = |word: u64, limit: u8| word.wrapping_sub(EACH * u64::from(limit)) & !word;
    let is = |byte: u8| below(word ^ (EACH * u64::from(byte)), 1);
    (is(b'"') | is(b'\\') | below(word, 0x20)) & (EACH * 0x80)
}

/// A key that stands twice among these.
fn repeated<'k>(keys: &'k mut [Cow<'_, str>]) -> Option<&'k str> {
    // Up to here comparing each with each is the fastest; a line may hold thousands.
    const FEW: usize = 16;
    if keys.len() > FEW {
        keys.sort_unstable();
        let pairs = keys.windows(2).find(|pair| pair[0] == pair[1]);
        return pairs.map(|pair| &*pair[0]);
    }
    let mut places = 1..keys.len();
    let place = places.find(|&place| keys[..place].contains(&keys[place]));
    place.map(|place| &*keys[place])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a whole text that is one object.
    fn read(text: &str) -> Result<(), String> {
        let mut scanner = Scanner::new(text);
        scanner
            .any_object()
            .and_then(|()| scanner.end())
            .map_err(|why| why.to_string())
    }

    #[test]
    fn the_grammar_is_that_of_json() {
        for text in [
            "{}",
            "{ \t\r\n} ",
            r#"{"":""}"#,
            r#"{"a":[],"b":[1,[2,{}],"]"],"c":{"d":{}}}"#,
            r#"{ "a" : [ 1 , 2 ] , "b" : null }"#,
            r#"{"a":1e999999,"b":-0.0E+00,"c":123456789012345678901234567890}"#,
            r#"{"é":"💰 \ud83d\ude00 \u0000 \/","\"":"\\"}"#,
        ] {
            assert_eq!(read(text), Ok(()), "{text}");
        }
        for text in [
            "{",
            "{}}",
            "{} {}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{,}"#,
            r#"{"a":1 "b":2}"#,
            r#"{"a":[1,]}"#,
            r#"{"a":[1}"#,
            r#"{"a":[1"#,
            r#"{a:1}"#,
            r#"{'a':1}"#,
            r#"{"a":'b'}"#,
            r#"{"a":01}"#,
            r#"{"a":+1}"#,
            r#"{"a":1.}"#,
            r#"{"a":.1}"#,
            r#"{"a":1e}"#,
            r#"{"a":-}"#,
            r#"{"a":0x1}"#,
            r#"{"a":truely}"#,
            r#"{"a":tru"#,
            r#"{"a":"\x"}"#,
            r#"{"a":"\u12"}"#,
            r#"{"a":"b"#,
            r#"{"a":"b\"#,
            "{\"a\":\"\n\"}",
            "{\"a\":\"\u{1f}\"}",
            "{\"a\":\u{a0}1}",
            r#"{"a":1}//"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_stands_once_in_its_object_however_it_is_written() {
        let many: String = (0..40).map(|n| format!("\"k{n}\":0,")).collect();
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"b":2,"\u0061":3}"#,
            r#"{"a":{"b":[{"c":0,"d":0,"c":0}]}}"#,
            r#"{"/":1,"\/":1}"#,
            r#"{"😀":1,"\ud83d\ude00":1}"#,
            &format!("{{{many}\"k17\":0}}"),
            &format!("{{\"x\":{{{many}\"\\u006b39\":0}}}}"),
        ] {
            assert!(read(text).unwrap_err().contains("stands twice"), "{text}");
        }
        for text in [
            r#"{"a":{"a":{"a":1}},"b":{"a":1}}"#,
            r#"{"a":1,"A":1,"":1," ":1}"#,
            r#"{"e\u0301":1,"é":1}"#,
            &format!("{{{many}\"k\":0}}"),
        ] {
            assert_eq!(read(text), Ok(()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_stands_for_itself_ends_at_the_first_byte_that_does_not(
            bytes in prop::collection::vec(prop_oneof![Just(b'x'), any::<u8>()], 0..40),
            repeated in 0..40_usize,
        ) {
            let bytes = [vec![b'x'; repeated], bytes].concat();
            let first = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
            prop_assert_eq!(plain(&bytes), first.unwrap_or(bytes.len()));
        }
    }

    #[test]
    fn thirty_two_levels_are_read_and_no_more() {
        let arrays = |levels| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        let objects = |levels| format!("{}0{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        assert_eq!(read(&arrays(31)), Ok(()));
        assert_eq!(read(&objects(32)), Ok(()));
        assert!(read(&arrays(32)).unwrap_err().contains("32 levels"));
        assert!(read(&objects(33)).unwrap_err().contains("32 levels"));
        assert!(read(&"{\"a\":".repeat(10_000)).is_err());
        let wide = format!("{{\"a\":[{}[]]}}", "[],".repeat(1000));
        assert_eq!(read(&wide), Ok(()));
    }

    #[test]
    fn half_a_surrogate_pair_is_refused_in_keys_and_in_values() {
        for text in [
            r#"{"a":"\ud800"}"#,
            r#"{"a":["\udc00x"]}"#,
            r#"{"\ud800\u0041":1}"#,
        ] {
            assert!(read(text).unwrap_err().contains("surrogate"), "{text}");
        }
    }
}
