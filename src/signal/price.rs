use std::fmt;
use std::hash::{Hash, Hasher};
use std::io::Write as _;
use std::iter;
use std::str::FromStr;

use rust_decimal::Decimal;

use super::digits;
use super::excerpt::Excerpt;
use super::number::Number;

/// A price, exact to the digit: `75000.00` stays `75000.00`, and no float is ever involved.
///
/// Zero and negative are prices (spreads, oil in 2020). `Display` writes what goes on the wire:
/// never an exponent, and no sign on zero. Two prices are equal when they are written alike, so
/// `1.0` is not `1.00`.
#[derive(Clone, Copy, Debug)]
pub struct Price(Decimal);

/// A text that is no price.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct InvalidPrice(#[from] Reason);

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("{0} is not a number; write a decimal such as 75000.00")]
    NotANumber(Excerpt),
    #[error("{0} is not a finite number; write a decimal, or no line when there is no price")]
    NotFinite(Excerpt),
    #[error("{0} has more than {most} decimal places; write fewer", most = Price::MOST)]
    Places(Excerpt),
    #[error("{0} has more than {most} digits written out; write fewer", most = Price::MOST)]
    Digits(Excerpt),
}

impl Price {
    /// Most digits, and most decimal places, of a price that is written out. Any such number fits
    /// into the 96 bits of a [`Decimal`].
    const MOST: usize = 28;

    /// The price that a number is, by the rules of `FromStr`.
    pub(super) fn of(number: &Number<'_>) -> Result<Self, InvalidPrice> {
        let (whole, fraction) = (number.whole(), number.fraction());
        // Digits keep their order, the exponent only says how many come after the point; less than
        // none means zeros before it. Lengths are those of a line, so nothing here overflows.
        let places = fraction.len() as i64 - saturated(number.exponent());
        if places > Self::MOST as i64 {
            return Err(Reason::Places(Excerpt::of(number.text)).into());
        }
        let scale = u32::try_from(places).unwrap_or(0);
        // A whole part has leading zeros only if it is one.
        let count = match whole {
            b"0" => fraction.iter().skip_while(|&&digit| digit == b'0').count(),
            whole => whole.len() + fraction.len(),
        };
        if count == 0 {
            return Ok(Self::exact(0, scale));
        }
        let zeros = usize::try_from(-places).unwrap_or(0);
        if count + zeros > Self::MOST {
            return Err(Reason::Digits(Excerpt::of(number.text)).into());
        }
        let digits = whole.iter().chain(fraction).copied();
        let digits = digits.chain(iter::repeat_n(b'0', zeros));
        let size = match count + zeros {
            // As nearly all are.
            ..=digits::MOST_OF_U64 => digits::read::<u64>(digits).into(),
            _ => digits::read::<i128>(digits),
        };
        let sign = if number.is_negative() { -1 } else { 1 };
        Ok(Self::exact(sign * size, scale))
    }

    /// Appends what `Display` writes, a little faster.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        let (mantissa, places) = (self.0.mantissa(), self.0.scale() as usize);
        match u64::try_from(mantissa.unsigned_abs()) {
            Ok(size) => {
                if mantissa < 0 {
                    out.push(b'-');
                }
                digits::write(out, size, places);
            }
            // Nobody has prices of more than 19 digits.
            Err(_) => write!(out, "{self}").expect("writing to memory does not fail"),
        }
    }

    fn exact(mantissa: i128, scale: u32) -> Self {
        let price = Decimal::try_from_i128_with_scale(mantissa, scale);
        Self(price.expect("the caller counted the digits and the places"))
    }
}

/// The number grammar of JSON, nothing looser (`+1`, `.5`, `007` and `1_000` are refused).
///
/// An exponent moves the point and adds the zeros it takes: `1E+3` is `1000`, `10.0e-1` is
/// `1.00`, `0e-5` is `0.00000`, and `0e5` is `0`. Then the digits are counted, leading zeros not,
/// trailing ones too: at most 28, of which any number may be decimal places, and at most 28 places
/// in all. More is refused, never rounded.
impl FromStr for Price {
    type Err = InvalidPrice;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match Number::parse(text) {
            Some(number) => Self::of(&number),
            None => Err(refuse(text).into()),
        }
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq for Price {
    fn eq(&self, other: &Self) -> bool {
        self.0.mantissa() == other.0.mantissa() && self.0.scale() == other.0.scale()
    }
}

impl Eq for Price {}

impl Hash for Price {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.mantissa().hash(state);
        self.0.scale().hash(state);
    }
}

/// The exponent, cut at a million either way: far more than any line has digits.
fn saturated(exponent: &[u8]) -> i64 {
    const BOUND: i64 = 1_000_000;
    let (sign, digits) = match exponent {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] | digits => (1, digits),
    };
    let size = digits.iter().fold(0, |sum, digit| {
        BOUND.min(sum * 10 + i64::from(digit - b'0'))
    });
    sign * size
}

fn refuse(text: &str) -> Reason {
    let word = text.trim_start_matches(['+', '-']).to_ascii_lowercase();
    match word.as_str() {
        "nan" | "inf" | "infinity" => Reason::NotFinite(Excerpt::of(text)),
        _ => Reason::NotANumber(Excerpt::of(text)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str) -> Option<String> {
        text.parse::<Price>().ok().map(|price| price.to_string())
    }

    #[test]
    fn a_price_keeps_every_digit() {
        for (text, expected) in [
            ("75000.00", "75000.00"),
            ("0.10", "0.10"),
            ("0", "0"),
            ("0.00", "0.00"),
            ("-37.63", "-37.63"),
            ("-0", "0"),
            ("-0.00", "0.00"),
            ("-0e-2", "0.00"),
            (
                "1234567890123456789012345678",
                "1234567890123456789012345678",
            ),
            (
                "-9999999999999999999999999999",
                "-9999999999999999999999999999",
            ),
            (
                "0.1234567890123456789012345678",
                "0.1234567890123456789012345678",
            ),
            (
                "12345678901234.56789012345678",
                "12345678901234.56789012345678",
            ),
            (
                "0.0000000000000000000000000000",
                "0.0000000000000000000000000000",
            ),
        ] {
            assert_eq!(written(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn an_exponent_is_written_out() {
        for (text, expected) in [
            ("1e-8", "0.00000001"),
            ("1E+3", "1000"),
            ("7.5e4", "75000"),
            ("7.50000e4", "75000.0"),
            ("10.0e-1", "1.00"),
            ("1.0e0", "1.0"),
            ("-12e-1", "-1.2"),
            ("1e-28", "0.0000000000000000000000000001"),
            ("1e27", "1000000000000000000000000000"),
            ("0e5", "0"),
            ("0e-5", "0.00000"),
            ("0.00e1", "0.0"),
            ("0.0e5", "0"),
            ("0e999999999999999999999999", "0"),
            ("1e-0000000000000000000000000000000002", "0.01"),
            ("0.00000000000000000000000000000001e32", "1"),
            ("100000000000000000000000000000000e-28", ""),
        ] {
            let expected = (!expected.is_empty()).then_some(expected);
            assert_eq!(written(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_never_rounded() {
        for text in [
            "12345678901234567890123456789",
            "1.0000000000000000000000000000",
            "0.00000000000000000000000000001",
            "0.00000000000000000000000000000",
            "1e28",
            "1e-29",
            "10e-29",
            "0e-29",
            "0e-99999",
            "1e999999999",
            "-1e-999999999999999999999",
            "12345678901234.567890123456789",
        ] {
            assert_eq!(written(text), None, "{text}");
        }
    }

    #[test]
    fn only_the_grammar_of_json_is_a_price() {
        for text in [
            "",
            "-",
            "+1",
            ".5",
            "5.",
            "007",
            "-01",
            "1_000",
            "1,000",
            "75000,00",
            " 1",
            "1 ",
            "$1",
            "0x10",
            "NaN",
            "-Infinity",
            "1e",
            "１",
        ] {
            assert_eq!(written(text), None, "{text}");
        }
    }

    #[test]
    fn prices_are_equal_when_they_are_written_alike() {
        let price = |text: &str| text.parse::<Price>().unwrap();
        assert_eq!(price("1.0"), price("10e-1"));
        assert_ne!(price("1.0"), price("1.00"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_displayed(price in "-?(0|[1-9][0-9]{0,17})(\\.[0-9]{1,10})?") {
            let price: Price = price.parse().unwrap();
            let mut out = Vec::new();
            price.write(&mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), price.to_string());
        }

        #[test]
        fn a_printed_price_is_read_back(price in "-?(0|[1-9][0-9]{0,13})(\\.[0-9]{1,14})?") {
            let negative_zero = price.starts_with('-') && !price.contains(|c| matches!(c, '1'..='9'));
            let expected = price.strip_prefix('-').filter(|_| negative_zero).unwrap_or(&price);
            prop_assert_eq!(written(&price), Some(expected.to_owned()));
        }

        #[test]
        fn moving_the_point_there_and_back_changes_no_digit(
            price in "[1-9][0-9]{0,9}\\.[0-9]{1,9}",
            power in 0..9_usize,
        ) {
            let moved = written(&format!("{price}e-{power}")).unwrap();
            prop_assert_eq!(written(&format!("{moved}e{power}")), Some(price));
        }
    }
}
