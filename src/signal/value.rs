use super::escape::Text;
use super::number::Number;

/// A JSON value as it stands in the line.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Number(Number<'a>),
    String(Text<'a>),
    Nested(Nested<'a>),
}

/// An object or an array, braces included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nested<'a> {
    pub(super) raw: &'a str,
    /// Whether there is white space between its tokens.
    pub(super) has_blanks: bool,
}

impl Value<'_> {
    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Nested(nested) if nested.raw.starts_with('{') => "an object",
            Self::Nested(_) => "an array",
        }
    }

    /// Writes it without white space between tokens, and every token byte for byte.
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Number(number) => out.push_str(number.text),
            Self::String(text) => write_string(*text, out),
            Self::Nested(nested) if nested.has_blanks => write_compact(nested.raw, out),
            Self::Nested(nested) => out.push_str(nested.raw),
        }
    }
}

/// Writes a string or key as it stood, quotes included.
pub(super) fn write_string(text: Text<'_>, out: &mut String) {
    out.push('"');
    out.push_str(text.raw);
    out.push('"');
}

fn write_compact(raw: &str, out: &mut String) {
    let mut is_in_string = false;
    let mut is_escaped = false;
    out.extend(raw.chars().filter(|c| {
        let is_kept = is_in_string || !matches!(c, ' ' | '\t' | '\n' | '\r');
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_in_string = !is_in_string,
            _ => {}
        }
        is_kept
    }));
}

#[cfg(test)]
mod tests {
    use crate::signal::json::Scanner;

    #[test]
    fn only_white_space_between_tokens_goes() {
        for (text, expected) in [
            ("[ 1 ,\t[ ] , { } ]", "[1,[],{}]"),
            (r#"{ "a b" : " c \" d " }"#, r#"{"a b":" c \" d "}"#),
            (r#"[ "\\" , " " ]"#, r#"["\\"," "]"#),
            (r#"[1.50,"\u0041\/ é",null]"#, r#"[1.50,"\u0041\/ é",null]"#),
            ("-0.0E+00", "-0.0E+00"),
            (r#""\u0041 ""#, r#""\u0041 ""#),
            ("false", "false"),
        ] {
            let mut out = String::new();
            let value = Scanner::new(text).value().unwrap();
            value.write(&mut out);
            assert_eq!(out, expected);
        }
    }
}
