use std::borrow::Cow;

/// A JSON string or key as it stands in the line, without its quotes.
///
/// Only the scanner makes one, so every escape in it is sound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    pub(super) raw: &'a str,
    pub(super) is_escaped: bool,
}

impl<'a> Text<'a> {
    /// The characters it stands for; allocates only if there are escapes.
    #[inline]
    pub(super) fn unescape(self) -> Cow<'a, str> {
        if self.is_escaped {
            Cow::Owned(self.unescaped())
        } else {
            Cow::Borrowed(self.raw)
        }
    }

    fn unescaped(self) -> String {
        let mut text = String::with_capacity(self.raw.len());
        let mut rest = self.raw;
        while let Some(at) = rest.find('\\') {
            text.push_str(&rest[..at]);
            let (c, length) = unescape_one(&rest[at..]).expect("the scanner has read this escape");
            text.push(c);
            rest = &rest[at + length..];
        }
        text.push_str(rest);
        text
    }
}

/// Why a backslash does not begin an escape.
#[derive(Debug)]
pub(super) enum InvalidEscape {
    Unknown,
    /// `\ud800` to `\udfff` without its other half: no character, so nothing can be done with it.
    LoneSurrogate,
}

/// The character that the escape at the start of this text stands for, and the escape's length in
/// bytes. A pair of surrogates is one escape.
pub(super) fn unescape_one(text: &str) -> Result<(char, usize), InvalidEscape> {
    let c = match text.as_bytes().get(1) {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unescape_hex(text),
        _ => return Err(InvalidEscape::Unknown),
    };
    Ok((c, 2))
}

fn unescape_hex(text: &str) -> Result<(char, usize), InvalidEscape> {
    let first = hex_unit(text).ok_or(InvalidEscape::Unknown)?;
    let second = text.get(6..).and_then(hex_unit);
    let mut characters = char::decode_utf16([first].into_iter().chain(second));
    match characters.next() {
        Some(Ok(c)) => Ok((c, 6 * c.len_utf16())),
        _ => Err(InvalidEscape::LoneSurrogate),
    }
}

fn hex_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    // `from_str_radix` would take a sign.
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unescape(raw: &str) -> String {
        let text = Text {
            raw,
            is_escaped: true,
        };
        text.unescape().into_owned()
    }

    #[test]
    fn escapes_stand_for_characters() {
        for (raw, expected) in [
            (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r"BTC\/USDT", "BTC/USDT"),
            (r"\u0070rice", "price"),
            (r"\u00e9\u00E9é", "ééé"),
            (r"\ud83d\ude00!", "😀!"),
            (r"\u20ac\ud83d\ude00", "€😀"),
            (r"\\u0041", r"\u0041"),
        ] {
            assert_eq!(unescape(raw), expected);
        }
    }

    #[test]
    fn half_a_pair_is_no_character() {
        for raw in [
            r"\ud800",
            r"\udc00",
            r"\ud800x",
            r"\ud800\n",
            r"\ud800\u0041",
            r"\ud800\ud800",
            r"\udc00\ud800",
        ] {
            let why = unescape_one(raw);
            assert!(matches!(why, Err(InvalidEscape::LoneSurrogate)), "{raw}");
        }
        for raw in [r"\", r"\x", r"\u", r"\u12", r"\u+123", r"\u12é4", r"\U0041"] {
            let why = unescape_one(raw);
            assert!(matches!(why, Err(InvalidEscape::Unknown)), "{raw}");
        }
    }
}
