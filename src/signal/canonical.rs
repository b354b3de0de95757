use super::json;
use super::number::Number;
use super::{Price, Side, Signal, TimeUnit, Timestamp};

/// The signal in a line that is written as clients get it: its keys in that order, each side in
/// lower case, no escapes, at most one blank after a colon or a comma.
///
/// Feeds for which speed matters are written like this, for programs write them. It takes a fifth
/// of what reading any JSON takes, since nothing has to be remembered: each token is the one that
/// is expected. `None` says nothing against a line: [`super::object`] reads it then, and says what
/// is wrong with it.
pub(super) fn read(line: &str, unit: TimeUnit) -> Option<Signal> {
    let rest = token(line, r#"{"type":"#)?;
    let (side, rest) = match token(rest, r#""buy","#) {
        Some(rest) => (Side::Buy, rest),
        None => (Side::Sell, token(rest, r#""sell","#)?),
    };
    let rest = token(rest, r#""content":"#)?;
    let rest = token(rest, r#"{"symbol":"#)?.strip_prefix('"')?;
    let (symbol, rest) = rest.split_at(json::plain(rest.as_bytes()));
    let rest = token(rest, r#"","#)?;
    let (price, rest) = number(token(rest, r#""price":"#)?)?;
    let rest = token(rest, ",")?;
    let (timestamp, rest) = number(token(rest, r#""timestamp":"#)?)?;
    let rest = token(rest, "},")?;
    let is_test = match token(rest, r#""is_test":"#)? {
        "false}" => false,
        "true}" => true,
        _ => return None,
    };
    let (symbol, price) = (symbol.parse().ok()?, Price::of(&price).ok()?);
    let timestamp = Timestamp::of(&timestamp, unit).ok()?;
    Some(Signal {
        is_test,
        ..Signal::live(side, symbol, price, timestamp)
    })
}

/// What comes after this token and one blank at most.
#[inline]
fn token<'a>(text: &'a str, token: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(token)?;
    Some(rest.strip_prefix(' ').unwrap_or(rest))
}

fn number(text: &str) -> Option<(Number<'_>, &str)> {
    let number = Number::starting(text).ok()?;
    Some((number, &text[number.text.len()..]))
}
