use memchr::memmem::Finder;

use super::line::FIRST_TIMESTAMP;
use super::moment::Moment;

/// What a message says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Which one it is.
    pub(super) number: u64,
    /// When it was written, if it says so.
    pub(super) sent: Option<Moment>,
}

/// Finds the marks in messages, without parsing them: whatever a server puts around a line.
#[derive(Debug)]
pub(super) enum Marks {
    /// Those of our own lines (`Lines`).
    OfLines(Box<OfLines>),
    /// A member of a JSON object that counts up.
    Member(Box<Finder<'static>>),
}

/// Finds the two numbers of a line.
#[derive(Debug)]
pub(super) struct OfLines {
    /// When it was written.
    price: Finder<'static>,
    /// Which one it is.
    timestamp: Finder<'static>,
}

impl Marks {
    pub(super) fn of_lines() -> Self {
        Self::OfLines(Box::new(OfLines {
            price: Finder::new("price"),
            timestamp: Finder::new("timestamp"),
        }))
    }

    pub(super) fn member(name: &str) -> Self {
        let name = serde_json::Value::from(name).to_string() + ":";
        Self::Member(Box::new(Finder::new(name.as_bytes()).into_owned()))
    }

    /// The first mark, and what follows it: some servers put several lines into one message.
    #[inline]
    pub(super) fn next<'a>(&self, message: &'a [u8]) -> Option<(Mark, &'a [u8])> {
        match self {
            Self::OfLines(finders) => {
                let OfLines { price, timestamp } = &**finders;
                let rest = &message[price.find(message)? + b"price".len()..];
                let (seconds, rest) = number_ahead(rest)?;
                let (nanoseconds, digits, rest) = match rest {
                    [b'.', fraction @ ..] => number_here(fraction)?,
                    _ => return None,
                };
                if digits != 9 {
                    return None;
                }
                let rest = &rest[timestamp.find(rest)? + b"timestamp".len()..];
                let (stamp, rest) = number_ahead(rest)?;
                let sent = seconds
                    .checked_mul(1_000_000_000)?
                    .checked_add(nanoseconds)?;
                let mark = Mark {
                    number: stamp.checked_sub(FIRST_TIMESTAMP)?,
                    sent: Some(Moment(sent)),
                };
                Some((mark, rest))
            }
            Self::Member(name) => {
                let rest = &message[name.find(message)? + name.needle().len()..];
                let rest = rest.trim_ascii_start();
                let (number, _, _) = number_here(rest.strip_prefix(b"\"").unwrap_or(rest))?;
                // A message has one such member; what else is called so stands further inside.
                Some((Mark { number, sent: None }, &[]))
            }
        }
    }
}

/// The first number, past quotation marks, colons, blanks and the like.
#[inline]
fn number_ahead(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let start = bytes.iter().position(u8::is_ascii_digit)?;
    let (number, _, rest) = number_here(&bytes[start..])?;
    Some((number, rest))
}

/// The number at the start, how many digits it has, and what follows it.
#[inline]
fn number_here(bytes: &[u8]) -> Option<(u64, usize, &[u8])> {
    let mut number = 0_u64;
    let mut digits = 0;
    for byte in bytes {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
        digits += 1;
    }
    (digits > 0).then(|| (number, digits, &bytes[digits..]))
}

#[cfg(test)]
mod tests {
    use super::super::line::{Lines, Symbols};
    use super::*;

    #[test]
    fn a_line_is_known_in_whatever_is_put_around_it() {
        let mut line = Vec::new();
        Lines {
            least_bytes: 0,
            symbols: Symbols::ONE,
        }
        .write(&mut line, 41, Moment(5_000_000_006));
        let line = String::from_utf8(line).unwrap();
        let quoted = serde_json::json!({ "data": line }).to_string();
        let as_text = line.replace("5.000000006", "\"5.000000006\"");
        for message in [&line, &quoted, &as_text] {
            let mark = Marks::of_lines().next(message.as_bytes());
            let expected = Mark {
                number: 41,
                sent: Some(Moment(5_000_000_006)),
            };
            assert_eq!(mark.map(|(mark, _)| mark), Some(expected), "{message}");
        }
    }

    #[test]
    fn each_line_of_a_message_is_found() {
        let mut message = b"MSG signals 1 108\r\n".to_vec();
        for number in [7, 8, 9] {
            Lines {
                least_bytes: 0,
                symbols: Symbols::ONE,
            }
            .write(&mut message, number, Moment(5_000_000_006));
        }
        let marks = Marks::of_lines();
        let mut rest = &message[..];
        let numbers = std::iter::from_fn(|| {
            let (mark, after) = marks.next(rest)?;
            rest = after;
            Some(mark.number)
        });
        assert_eq!(numbers.collect::<Vec<_>>(), [7, 8, 9]);
    }

    #[test]
    fn other_messages_have_no_mark() {
        for message in [
            "",
            "hello",
            r#"{"price":75000.00,"timestamp":1720000000}"#,
            r#"{"price":1.000000000,"timestamp":1}"#,
        ] {
            assert_eq!(
                Marks::of_lines().next(message.as_bytes()),
                None,
                "{message}"
            );
        }
    }

    #[test]
    fn a_member_that_counts_is_found() {
        let marks = Marks::member("seq");
        let number = |text: &str| marks.next(text.as_bytes()).map(|(mark, _)| mark.number);
        assert_eq!(number(r#"{"type":"buy","seq":1024,"id":"x"}"#), Some(1024));
        assert_eq!(number(r#"{"seq": "7"}"#), Some(7));
        assert_eq!(number(r#"{"last_seq":3}"#), None);
        assert_eq!(number(r#"{"seq":"x"}"#), None);
    }
}
