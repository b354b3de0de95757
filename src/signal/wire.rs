use super::{Id, Signal, Validity, digits};

/// How a server and a client talk after the upgrade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// `signalcast.v1`: signals and nothing else.
    #[default]
    V1,
    /// `signalcast.v2`: each signal with its seq, its id and where it came from.
    V2,
}

/// How a frame writes the price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PriceForm {
    /// `75000.00`.
    #[default]
    Number,
    /// `"75000.00"`, for readers that would turn the number into a float.
    String,
}

impl Signal {
    /// Appends the signal as it goes on the wire in `signalcast.v1`, the price as a number: one
    /// JSON object without white space.
    pub fn write_v1(&self, out: &mut Vec<u8>) {
        put(out, r#"{"type":""#);
        put(out, self.side.as_str());
        put(out, r#"","content":"#);
        self.write_content(PriceForm::Number, out);
        put(out, r#","is_test":"#);
        put(out, if self.is_test { "true}" } else { "false}" });
    }

    /// Appends the signal as a line of a feed, under this id: all that was given, so that another
    /// server makes the same of it.
    pub fn write_line(&self, id: &Id, out: &mut Vec<u8>) {
        put(out, r#"{"type":""#);
        put(out, self.side.as_str());
        put(out, r#"","id":""#);
        put(out, id.as_str());
        put(out, r#"","content":"#);
        self.write_content(PriceForm::Number, out);
        put(out, r#","is_test":"#);
        put(out, if self.is_test { "true" } else { "false" });
        match self.validity {
            Validity::Unlimited => {}
            Validity::For(valid_for) => {
                put(out, r#","valid_for":"#);
                digits::write(out, valid_for.as_secs(), 0);
            }
            Validity::Void => put(out, r#","stale":true"#),
        }
        put(out, "}");
    }

    /// Appends the value of `content`, which is the same in every frame but for the form of the
    /// price.
    pub fn write_content(&self, price: PriceForm, out: &mut Vec<u8>) {
        put(out, r#"{"symbol":""#);
        write_escaped(self.symbol.as_str(), out);
        put(out, r#"","price":"#);
        let quote = match price {
            PriceForm::Number => "",
            PriceForm::String => "\"",
        };
        put(out, quote);
        self.price.write(out);
        put(out, quote);
        put(out, r#","timestamp":"#);
        digits::write(out, self.timestamp.get(), 0);
        put(out, &self.extra);
        put(out, "}");
    }
}

fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// A symbol holds no control characters, so two characters are all that need an escape.
fn write_escaped(symbol: &str, out: &mut Vec<u8>) {
    for byte in symbol.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::{Side, Timestamp};

    fn signal(symbol: &str) -> Signal {
        let (symbol, price) = (symbol.parse().unwrap(), "75000.00".parse().unwrap());
        Signal::synthetic(Side::Sell, symbol, price, Timestamp::new(7).unwrap())
    }

    #[test]
    fn a_signal_is_written_in_one_way() {
        let mut out = b"before ".to_vec();
        signal("BTC/USDT:USDT").write_v1(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "before {\"type\":\"sell\",\"content\":{\"symbol\":\"BTC/USDT:USDT\",\
             \"price\":75000.00,\"timestamp\":7},\"is_test\":true}"
        );
    }

    #[test]
    fn a_symbol_is_written_with_the_fewest_escapes() {
        let mut out = Vec::new();
        signal(r#"<é/"\'💰>"#).write_content(PriceForm::String, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"symbol":"<é/\"\\'💰>","price":"75000.00","timestamp":7}"#
        );
    }
}
