/// A number of the JSON grammar (RFC 8259, section 6), taken apart but not yet worked out.
pub(super) struct Number<'a> {
    pub(super) is_negative: bool,
    /// Digits before the point: `0`, or no leading zero.
    pub(super) whole: &'a str,
    /// Digits after the point; empty without a point.
    pub(super) fraction: &'a str,
    /// What stands after the `e`, sign included; empty without one.
    pub(super) exponent: &'a str,
}

/// Where a number breaks the grammar, and what should stand there.
pub(super) struct InvalidNumber {
    pub(super) at: usize,
    pub(super) expected: &'static str,
}

impl<'a> Number<'a> {
    /// The number that the text is, all of it.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (number, length) = Self::starting(text).ok()?;
        (length == text.len()).then_some(number)
    }

    /// The number that the text starts with, and its length in bytes.
    pub(super) fn starting(text: &'a str) -> Result<(Self, usize), InvalidNumber> {
        let bytes = text.as_bytes();
        let is_negative = bytes.first() == Some(&b'-');
        let start = usize::from(is_negative);
        let whole = digits(text, start)?;
        if whole.len() > 1 && whole.starts_with('0') {
            let expected = "a number without leading zeros";
            return Err(InvalidNumber {
                at: start,
                expected,
            });
        }
        let mut at = start + whole.len();
        let mut fraction = "";
        if bytes.get(at) == Some(&b'.') {
            fraction = digits(text, at + 1)?;
            at += 1 + fraction.len();
        }
        let mut exponent = "";
        if let Some(b'e' | b'E') = bytes.get(at) {
            let sign = matches!(bytes.get(at + 1), Some(b'+' | b'-'));
            let power = digits(text, at + 1 + usize::from(sign))?;
            let end = at + 1 + usize::from(sign) + power.len();
            exponent = &text[at + 1..end];
            at = end;
        }
        let number = Self {
            is_negative,
            whole,
            fraction,
            exponent,
        };
        Ok((number, at))
    }
}

/// The digits from this place on, at least one.
fn digits(text: &str, at: usize) -> Result<&str, InvalidNumber> {
    let bytes = &text.as_bytes()[at..];
    let length = bytes
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(bytes.len());
    if length == 0 {
        let expected = "a digit";
        return Err(InvalidNumber { at, expected });
    }
    Ok(&text[at..at + length])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_follows_the_grammar_of_json() {
        for text in [
            "0", "-0", "7", "-12.50", "0.0", "1e5", "1E+05", "1e-0", "10.0e-1",
        ] {
            assert!(Number::parse(text).is_some(), "{text}");
        }
        for text in [
            "", "-", "+1", ".5", "5.", "-.5", "00", "007", "-01", "1e", "1e+", "1e1.5", "1_000",
            "1,000", " 1", "1 ", "0x10", "1d", "NaN", "Infinity", "١",
        ] {
            assert!(Number::parse(text).is_none(), "{text}");
        }
    }
}
