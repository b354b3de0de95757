use std::fmt;

/// A piece of input, cut and escaped so that it can stand in a message or a log.
#[derive(Debug)]
pub(super) struct Excerpt(Box<str>);

impl Excerpt {
    /// Most characters of the input that are shown.
    const MOST: usize = 64;

    pub(super) fn of(text: &str) -> Self {
        let mut shown = String::from("\"");
        for c in text.chars().take(Self::MOST) {
            match c {
                '\'' => shown.push(c),
                _ => shown.extend(c.escape_debug()),
            }
        }
        shown.push('"');
        if text.chars().nth(Self::MOST).is_some() {
            shown.push('…');
        }
        Self(shown.into())
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_echoed_is_short_and_escaped() {
        for (text, expected) in [
            ("hold", r#""hold""#),
            ("it's \"so\"", r#""it's \"so\"""#),
            ("\u{1b}[31m\u{202e}", r#""\u{1b}[31m\u{202e}""#),
            (&"x".repeat(64), &format!("\"{}\"", "x".repeat(64))),
            (&"é".repeat(65), &format!("\"{}\"…", "é".repeat(64))),
        ] {
            assert_eq!(Excerpt::of(text).to_string(), expected);
        }
    }
}
