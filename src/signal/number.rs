/// A number of the JSON grammar (RFC 8259, section 6), taken apart but not yet worked out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number<'a> {
    /// All of it.
    pub(super) text: &'a str,
    /// Where the digits before the point end.
    whole_end: usize,
    /// Where the digits after the point end; the same without a point.
    fraction_end: usize,
}

/// Where a number breaks the grammar, and what should stand there.
pub(super) struct InvalidNumber {
    pub(super) at: usize,
    pub(super) expected: &'static str,
}

impl<'a> Number<'a> {
    /// The number that the text is, all of it.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let number = Self::starting(text).ok()?;
        (number.text.len() == text.len()).then_some(number)
    }

    /// The number that the text starts with.
    pub(super) fn starting(text: &'a str) -> Result<Self, InvalidNumber> {
        let bytes = text.as_bytes();
        let start = usize::from(bytes.first() == Some(&b'-'));
        let whole_end = after_digits(bytes, start)?;
        if bytes[start] == b'0' && whole_end > start + 1 {
            let expected = "a number without leading zeros";
            return Err(InvalidNumber {
                at: start,
                expected,
            });
        }
        let mut end = whole_end;
        if bytes.get(end) == Some(&b'.') {
            end = after_digits(bytes, end + 1)?;
        }
        let fraction_end = end;
        if let Some(b'e' | b'E') = bytes.get(end) {
            let sign = matches!(bytes.get(end + 1), Some(b'+' | b'-'));
            end = after_digits(bytes, end + 1 + usize::from(sign))?;
        }
        Ok(Self {
            text: &text[..end],
            whole_end,
            fraction_end,
        })
    }

    pub(super) fn is_negative(&self) -> bool {
        self.text.starts_with('-')
    }

    /// Digits before the point: `0`, or no leading zero.
    pub(super) fn whole(&self) -> &'a [u8] {
        &self.text.as_bytes()[usize::from(self.is_negative())..self.whole_end]
    }

    /// Digits after the point; empty without a point.
    pub(super) fn fraction(&self) -> &'a [u8] {
        match &self.text.as_bytes()[self.whole_end..self.fraction_end] {
            [_, digits @ ..] => digits,
            [] => &[],
        }
    }

    /// What stands after the `e`, sign included; empty without one.
    pub(super) fn exponent(&self) -> &'a [u8] {
        match &self.text.as_bytes()[self.fraction_end..] {
            [_, power @ ..] => power,
            [] => &[],
        }
    }
}

/// Where the digits that begin at this place end; there must be one.
fn after_digits(bytes: &[u8], start: usize) -> Result<usize, InvalidNumber> {
    let rest = bytes.get(start..).unwrap_or_default();
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 {
        let (at, expected) = (start, "a digit");
        return Err(InvalidNumber { at, expected });
    }
    Ok(start + count)
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
