use super::excerpt::Excerpt;
use super::invalid::{InvalidField, InvalidSignal, Reason};
use super::{SideWords, Signal, TimeUnit, Timestamp};
use super::{canonical, object};

impl Signal {
    /// The signal in one line of a feed: the JSON of the wire, flat JSON, or
    /// `buy BTCUSDT 75000.00 [1720000000] [test]`.
    ///
    /// `None` if the line is empty or a comment, which starts with `#` and may hold any bytes.
    /// Blanks around the line (also a CR, and a BOM at its start) don't count; its length is the
    /// caller's concern. A signal without a timestamp gets `received_at`.
    ///
    /// In JSON, a price may stand in quotes, and so may a timestamp. `null` is refused for every
    /// key of ours; as the value of one of the strategy's own keys it is kept, like any JSON. In
    /// the line's own object, all that is not ours counts as the strategy's own unless there is a
    /// `content`: beside that, an unknown key is refused. So is one of the strategy's own that reads
    /// like `is_test`, if nothing else says whether the signal is a test.
    ///
    /// # Errors
    /// Anything else, [`InvalidSignal`] says why. No bytes make it panic.
    pub fn parse_line(
        line: &[u8],
        unit: TimeUnit,
        received_at: Timestamp,
    ) -> Result<Option<Self>, InvalidSignal> {
        Self::parse_line_with(line, unit, received_at, &SideWords::NONE)
    }

    /// The same in a line of somebody who has words of his own for buy and sell.
    ///
    /// # Errors
    /// As above.
    pub fn parse_line_with(
        line: &[u8],
        unit: TimeUnit,
        received_at: Timestamp,
        words: &SideWords,
    ) -> Result<Option<Self>, InvalidSignal> {
        let line = trim(line);
        if line.is_empty() || line.starts_with(b"#") {
            return Ok(None);
        }
        let line = std::str::from_utf8(line).map_err(|_| Reason::NotUtf8)?;
        if line.starts_with('{') {
            return match canonical::read(line, unit) {
                Some(signal) => Ok(Some(signal)),
                None => object::read(line, unit, received_at, words).map(Some),
            };
        }
        read_words(line, unit, received_at, words).map(Some)
    }
}

/// `SIDE SYMBOL PRICE [TIMESTAMP] [test]` with any blanks between.
fn read_words(
    line: &str,
    unit: TimeUnit,
    received_at: Timestamp,
    sides: &SideWords,
) -> Result<Signal, InvalidSignal> {
    let mut words = line.split_ascii_whitespace();
    let first = words.next().unwrap_or_default();
    let side = sides.side(first).map_err(|_| other_json(first))?;
    let symbol = words.next().ok_or(MISSING_SYMBOL)?;
    let symbol = symbol
        .parse()
        .map_err(|why| InvalidField::Symbol(why).of("symbol"))?;
    let price = words.next().ok_or(MISSING_PRICE)?;
    let price = price
        .parse()
        .map_err(|why| InvalidField::Price(why).of("price"))?;

    let is_test = |word: &str| word.eq_ignore_ascii_case("test");
    let mut word = words.next();
    let mut timestamp = received_at;
    if let Some(time) = word.filter(|word| !is_test(word)) {
        timestamp = Timestamp::parse(time, unit)
            .map_err(|why| InvalidField::Timestamp(why).of("timestamp"))?;
        word = words.next();
    }
    let test_word = word.filter(|word| is_test(word));
    if let Some(extra) = word.xor(test_word).or_else(|| words.next()) {
        return Err(Reason::ExtraWord(Excerpt::of(extra)).into());
    }
    Ok(Signal {
        is_test: test_word.is_some(),
        ..Signal::live(side, symbol, price, timestamp)
    })
}

const MISSING_SYMBOL: Reason = Reason::Missing("symbol", "it after the side: buy SYMBOL PRICE");
const MISSING_PRICE: Reason = Reason::Missing("price", "it after the symbol: buy SYMBOL PRICE");

/// Why a line that starts with this word is neither an object nor text.
fn other_json(first: &str) -> Reason {
    match first.as_bytes() {
        [b'[', ..] => Reason::NotAnObject("array"),
        [b'"', ..] => Reason::NotAnObject("string"),
        [b'-' | b'0'..=b'9', ..] => Reason::NotAnObject("number"),
        b"true" | b"false" => Reason::NotAnObject("boolean"),
        b"null" => Reason::NotAnObject("null"),
        _ => Reason::NotASignal(Excerpt::of(first)),
    }
}

/// It may begin a text, as it may begin a file, and counts for nothing.
pub const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

fn trim(line: &[u8]) -> &[u8] {
    let line = line.trim_ascii();
    line.strip_prefix(BYTE_ORDER_MARK)
        .map_or(line, <[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(line: &[u8]) -> Option<String> {
        let received_at = Timestamp::new(99).unwrap();
        let signal = Signal::parse_line(line, TimeUnit::Seconds, received_at).unwrap()?;
        let mut out = Vec::new();
        signal.write_v1(&mut out);
        Some(String::from_utf8(out).unwrap())
    }

    fn frame(side: &str, timestamp: u64, is_test: bool) -> Option<String> {
        Some(format!(
            "{{\"type\":\"{side}\",\"content\":{{\"symbol\":\"BTCUSDT\",\"price\":75000.00,\
             \"timestamp\":{timestamp}}},\"is_test\":{is_test}}}"
        ))
    }

    #[test]
    fn text_needs_a_side_a_symbol_and_a_price() {
        for (line, side, timestamp, is_test) in [
            ("buy BTCUSDT 75000.00", "buy", 99, false),
            ("SELL\tBTCUSDT \t 75000.00", "sell", 99, false),
            ("long BTCUSDT 75000.00 7", "buy", 7, false),
            ("Short BTCUSDT 75000.00 test", "sell", 99, true),
            ("buy BTCUSDT 75000.00 7 TEST", "buy", 7, true),
            (
                "buy BTCUSDT 75000.00 1970-01-01T01:00:07.9+01:00",
                "buy",
                7,
                false,
            ),
            ("buy BTCUSDT 7.500000e4", "buy", 99, false),
        ] {
            assert_eq!(
                wire(line.as_bytes()),
                frame(side, timestamp, is_test),
                "{line}"
            );
        }
    }

    #[test]
    fn blanks_and_a_bom_around_a_line_do_not_count() {
        for line in [
            "buy BTCUSDT 75000.00\r",
            "\u{feff}buy BTCUSDT 75000.00\r\n",
            " \t buy BTCUSDT 75000.00 \t \r",
            "\u{feff} {\"side\":\"buy\",\"symbol\":\"BTCUSDT\",\"price\":75000.00} \r",
        ] {
            assert_eq!(wire(line.as_bytes()), frame("buy", 99, false), "{line:?}");
        }
    }

    #[test]
    fn a_source_may_count_in_milliseconds() {
        for line in [
            "buy A 1 7999",
            r#"{"side":"buy","symbol":"A","price":1,"time":7999}"#,
            r#"{"type":"buy","content":{"symbol":"A","price":1,"timestamp":"7999"}}"#,
            r#"{"side":"buy","symbol":"A","price":1,"time":"1970-01-01T00:00:07.999Z"}"#,
        ] {
            let signal =
                Signal::parse_line(line.as_bytes(), TimeUnit::Milliseconds, Timestamp::MAX);
            assert_eq!(signal.unwrap().unwrap().timestamp().get(), 7, "{line}");
        }
    }

    #[test]
    fn empty_lines_and_comments_are_no_signals() {
        for line in [
            "",
            " ",
            "\r",
            "\t \r\n",
            "#",
            "# buy BTCUSDT 1",
            "  #",
            "\u{feff}",
            "\u{feff}# x",
        ] {
            assert_eq!(wire(line.as_bytes()), None, "{line:?}");
        }
        assert_eq!(wire(b"# caf\xe9"), None);
    }
}
