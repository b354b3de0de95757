use std::mem;

use super::escape::Text;
use super::excerpt::Excerpt;
use super::fields::Fields;
use super::invalid::{InvalidField, InvalidSignal, Reason};
use super::json::{Key, Scanner};
use super::member::Member;
use super::value::Value;
use super::{SideWords, Signal, TimeUnit, Timestamp};

/// The signal in a JSON object, in either shape. Which one it is shows only when it has been read:
/// keys come in any order.
pub(super) fn read(
    text: &str,
    unit: TimeUnit,
    received_at: Timestamp,
    words: &SideWords,
) -> Result<Signal, InvalidSignal> {
    let mut object = Object::default();
    let mut scanner = Scanner::new(text);
    scanner.object(|scanner, key| object.take(scanner, key))?;
    scanner.end()?;
    let fields = if object.has_content {
        object.around()?
    } else {
        object.flat()
    };
    fields.signal(unit, received_at, words)
}

/// The members of a line's own object.
#[derive(Default)]
struct Object<'a> {
    /// Those of our names, `side` being `side` or `action`. With `content` only the last three.
    fields: Fields<'a>,
    /// The side, or just another key if there is a `side`.
    kind: Option<Member<'a>>,
    has_content: bool,
    /// Those of `content`.
    content: Fields<'a>,
    /// All other keys, in order.
    others: Vec<Member<'a>>,
    /// How many of `others` came before `type`.
    others_before_kind: usize,
}

impl<'a> Object<'a> {
    /// Other keys that a v2 frame has, so that one server's frames are another one's lines. The
    /// log gives a signal its own, but what was stale stays stale.
    const OF_A_FRAME: [&'static str; 4] = ["seq", "source", "received_at", "stale"];
    const BESIDE_CONTENT: [&'static str; 5] = ["type", "content", "is_test", "id", "valid_for"];

    fn take(&mut self, scanner: &mut Scanner<'a>, key: Text<'a>) -> Result<Key, InvalidSignal> {
        let name = key.unescape();
        if &*name == "content" {
            if mem::replace(&mut self.has_content, true) {
                return Err(Reason::RepeatedKey(Excerpt::of(&name)).into());
            }
            self.content.read_content(scanner)?;
            return Ok(Key::Known);
        }
        let value = scanner.value()?;
        let member = Member { key, value };
        let slot = match &*name {
            "type" => {
                self.others_before_kind = self.others.len();
                &mut self.kind
            }
            "side" | "action" => &mut self.fields.side,
            "symbol" | "ticker" | "pair" => &mut self.fields.symbol,
            "price" => &mut self.fields.price,
            "timestamp" | "time" => &mut self.fields.timestamp,
            "is_test" => &mut self.fields.is_test,
            "id" => &mut self.fields.id,
            "valid_for" => &mut self.fields.valid_for,
            _ => {
                self.others.push(member);
                return Ok(Key::Any);
            }
        };
        member.put_in(slot)?;
        Ok(Key::Known)
    }

    /// The line's own object holds `content`: nothing unknown may stand beside it, because a
    /// mistyped `is_test` must not go live.
    fn around(&mut self) -> Result<&mut Fields<'a>, InvalidSignal> {
        let outer = &self.fields;
        let mut stale = None;
        let flat_only = [&outer.side, &outer.symbol, &outer.price, &outer.timestamp];
        for member in flat_only.into_iter().flatten().chain(&self.others) {
            let name = member.name();
            if !Self::OF_A_FRAME.contains(&&*name) {
                return Err(unknown(&name).into());
            }
            if matches!(member.value, Value::Null) {
                let (found, expected) = ("null", "its value, or leave the key out");
                return Err(InvalidField::Kind { found, expected }.of(&name));
            }
            if name == "stale" {
                stale = Some(*member);
            }
        }
        let content = &mut self.content;
        content.side = self.kind;
        content.is_test = outer.is_test;
        content.id = outer.id;
        content.valid_for = outer.valid_for;
        content.stale = stale;
        Ok(content)
    }

    /// All in one object: other keys are the strategy's own, `type` too if the side has a name of
    /// its own.
    fn flat(&mut self) -> &mut Fields<'a> {
        match (self.fields.side, self.kind) {
            (None, kind) => self.fields.side = kind,
            (Some(_), Some(kind)) => self.others.insert(self.others_before_kind, kind),
            (Some(_), None) => {}
        }
        for member in &self.others {
            self.fields.take_own(*member);
        }
        &mut self.fields
    }
}

fn unknown(name: &str) -> Reason {
    let key = Excerpt::of(name);
    if matches!(name, "side" | "action") {
        let nearest = "type";
        return Reason::MistypedKey { key, nearest };
    }
    let lower = name.to_ascii_lowercase();
    let distance = |known: &&str| strsim::osa_distance(&lower, known);
    let known = Object::BESIDE_CONTENT.into_iter().chain(Object::OF_A_FRAME);
    let nearest = known.min_by_key(distance);
    match nearest.filter(|known| distance(known) * 3 <= known.len()) {
        Some(nearest) => Reason::MistypedKey { key, nearest },
        None => Reason::UnknownKey(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Signal {
        let received_at = Timestamp::new(99).unwrap();
        let signal = Signal::parse_line(line.as_bytes(), TimeUnit::Seconds, received_at);
        signal.unwrap().unwrap()
    }

    fn wire(line: &str) -> String {
        let mut out = Vec::new();
        parse(line).write_v1(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn refusal(line: &str) -> String {
        let received_at = Timestamp::new(99).unwrap();
        let signal = Signal::parse_line(line.as_bytes(), TimeUnit::Seconds, received_at);
        signal.expect_err(line).to_string()
    }

    #[test]
    fn the_json_of_the_wire_is_read_back_as_it_is() {
        for line in [
            r#"{"type":"buy","content":{"symbol":"BTCUSDT","price":75000.00,"timestamp":1720000000},"is_test":false}"#,
            r#"{"type":"sell","content":{"symbol":"\"\\/é","price":-0.10,"timestamp":0,"a":[1.50,{"b":null}],"\u0041":"\/"},"is_test":true}"#,
            r#"{"type":"sell","content":{"symbol":"A","price":1,"timestamp":0,"ticker":"B","time":1,"type":2,"is_test":true},"is_test":true}"#,
            r#"{"type":"sell","content":{"symbol":"A","price":1,"timestamp":0,"test":"b","isTest":1},"is_test":false}"#,
        ] {
            assert_eq!(wire(line), line);
        }
    }

    #[test]
    fn content_may_be_written_in_other_ways() {
        let expected = r#"{"type":"buy","content":{"symbol":"BTC/USDT","price":75000.00,"timestamp":99,"b" : [ 1 ]},"is_test":false}"#;
        let expected = expected.replace("\"b\" : [ 1 ]", "\"b\":[1]");
        for line in [
            r#"{"type":"BUY","content":{"symbol":"BTC/USDT","price":75000.00,"b" : [ 1 ]}}"#,
            r#" { "content" : { "b":[1], "price":"75000.00", "symbol":"BTC\/USDT" } , "type" : "long" } "#,
            r#"{"is_test":false,"\u0074ype":"Long","content":{"symb\u006fl":"\u0042TC/USDT","price":"750\u00300.00","timestamp":99,"b":[1]}}"#,
            r#"{"type":"buy","seq":1024,"id":"a-1","content":{"symbol":"BTC/USDT","price":"75000.00","timestamp":99,"b":[1]},"is_test":false,"source":"stdin","received_at":"2026-11-20T10:00:00.123456Z","stale":true}"#,
        ] {
            assert_eq!(wire(line), expected, "{line}");
        }
    }

    #[test]
    fn flat_json_has_several_names_and_keeps_other_keys() {
        for (line, content) in [
            (
                r#"{"side":"buy","symbol":"A","price":1.0}"#,
                r#""symbol":"A","price":1.0,"timestamp":99"#,
            ),
            (
                r#"{"action":"LONG","ticker":"A","price":"1.0","time":7,"type":"limit"}"#,
                r#""symbol":"A","price":1.0,"timestamp":7,"type":"limit""#,
            ),
            (
                r#"{"z":1,"type":null,"a":{ "x" : 1.50 },"pair":"A","timestamp":"7","price":1,"side":"buy","seq":null}"#,
                r#""symbol":"A","price":1,"timestamp":7,"z":1,"type":null,"a":{"x":1.50},"seq":null"#,
            ),
            (
                r#"{"type":"buy","symbol":"A","price":1,"timestamp":"1970-01-01T00:00:07.9Z","quantity":1e-5}"#,
                r#""symbol":"A","price":1,"timestamp":7,"quantity":1e-5"#,
            ),
        ] {
            let expected =
                format!("{{\"type\":\"buy\",\"content\":{{{content}}},\"is_test\":false}}");
            assert_eq!(wire(line), expected, "{line}");
        }
    }

    #[test]
    fn both_shapes_take_a_test_mark_an_id_and_a_validity() {
        for line in [
            r#"{"type":"buy","content":{"symbol":"A","price":1},"is_test":true,"id":"x_1","valid_for":30}"#,
            r#"{"side":"buy","symbol":"A","price":1,"is_test":true,"id":"x_1","valid_for":30}"#,
        ] {
            let signal = parse(line);
            assert!(signal.is_test());
            assert_eq!(signal.id().map(|id| id.as_str()), Some("x_1"));
            assert_eq!(signal.stale_after(), Timestamp::new(129));
        }
        let signal =
            parse(r#"{"side":"buy","symbol":"A","price":1,"valid_for":99999999999999999999}"#);
        assert_eq!(signal.stale_after(), Some(Timestamp::MAX));
    }

    #[test]
    fn what_was_stale_is_void_however_long_it_is_valid() {
        let content = r#""type":"buy","content":{"symbol":"A","price":1}"#;
        for (more, stale_after) in [
            (r#""stale":true"#, Some(Timestamp::MIN)),
            (r#""stale":true,"valid_for":30"#, Some(Timestamp::MIN)),
            (r#""\u0073tale":true,"is_test":true"#, Some(Timestamp::MIN)),
            (r#""stale":false"#, None),
            (r#""stale":false,"valid_for":30"#, Timestamp::new(129)),
        ] {
            let line = format!("{{{content},{more}}}");
            assert_eq!(parse(&line).stale_after(), stale_after, "{line}");
        }
        for (value, found) in [
            ("null", "null"),
            ("1", "a number"),
            ("\"true\"", "a string"),
            ("[true]", "an array"),
        ] {
            let why = refusal(&format!("{{{content},\"stale\":{value}}}"));
            assert!(
                why.starts_with(&format!("stale: found {found}; write")),
                "{why}"
            );
        }
        // In flat JSON it is the strategy's own, like all that is not named for it.
        let flat = r#"{"side":"buy","symbol":"A","price":1,"stale":true}"#;
        assert_eq!(parse(flat).stale_after(), None);
        assert!(wire(flat).contains(r#""stale":true}"#));
    }

    #[test]
    fn a_mistyped_key_beside_content_does_not_go_live() {
        for (key, hint) in [
            ("is_tset", "is_test?"),
            ("istest", "is_test?"),
            ("isTest", "is_test?"),
            ("Is_Test", "is_test?"),
            ("ID", "id?"),
            ("validFor", "valid_for?"),
            ("side", "type?"),
            ("action", "type?"),
            ("test", "is_test"),
            ("price", "inside content"),
            ("strategy", "inside content"),
        ] {
            let line =
                format!(r#"{{"type":"buy","content":{{"symbol":"A","price":1}},"{key}":true}}"#);
            let why = refusal(&line);
            assert!(
                why.contains("unknown key") && why.contains(hint),
                "{key}: {why}"
            );
        }
    }

    #[test]
    fn a_test_that_is_marked_in_another_way_does_not_go_live() {
        for (inner, outer, goes_live) in [
            (r#""is_test":true"#, "", false),
            (r#""is_test":true"#, r#","is_test":false"#, false),
            (
                r#""is\u005ftest":"yes","test":1"#,
                r#","is_test":false"#,
                false,
            ),
            (r#""test":1,"is_test":null"#, r#","is_test":false"#, false),
            (r#""test":true"#, "", false),
            (r#""is_test":false"#, "", true),
            (
                r#""is_test":false,"test":true"#,
                r#","is_test":false"#,
                true,
            ),
            (r#""test":false"#, "", true),
            (r#""test":0"#, "", true),
            (r#""is_test":0"#, "", false),
            (r#""is_test":null"#, "", false),
            (r#""deep":{"is_test":true}"#, "", true),
        ] {
            let line =
                format!(r#"{{"content":{{"symbol":"A","price":1,{inner}}},"type":"buy"{outer}}}"#);
            judge(&line, goes_live);
        }
        for (member, goes_live) in [
            (r#""test":true"#, false),
            (r#""test":"yes""#, false),
            (r#""test":1"#, false),
            (r#""test":"0""#, false),
            (r#""test":[]"#, false),
            (r#""test":0"#, true),
            (r#""test":null"#, true),
            (r#""isTest":null"#, true),
            (r#""is_test":0"#, false),
            (r#""is_test":null"#, false),
            (r#""isTest":true"#, false),
            (r#""is_tset":1"#, false),
            (r#""test":false"#, true),
            (r#""test":"b","is_test":false"#, true),
            (r#""is_best":true"#, true),
        ] {
            judge(
                &format!(r#"{{"side":"buy","symbol":"A","price":1,{member}}}"#),
                goes_live,
            );
            let around =
                format!(r#"{{{member},"type":"limit","price":1,"symbol":"A","side":"buy"}}"#);
            judge(&around, goes_live);
        }
        // Whoever says that it is one may say so twice.
        for line in [
            r#"{"type":"buy","content":{"symbol":"A","price":1,"is_test":true,"test":1},"is_test":true}"#,
            r#"{"side":"buy","symbol":"A","price":1,"test":true,"is_test":true}"#,
        ] {
            assert!(parse(line).is_test(), "{line}");
        }
    }

    fn judge(line: &str, goes_live: bool) {
        if goes_live {
            assert!(!parse(line).is_test(), "{line}");
        } else {
            assert!(refusal(line).contains("is_test"), "{line}");
        }
    }

    #[test]
    fn null_is_a_value_only_of_the_strategy_s_own_keys() {
        for member in [
            r#""id":null"#,
            r#""valid_for":null"#,
            r#""is_test":null"#,
            r#""seq":null"#,
            r#""stale":null"#,
        ] {
            let content = r#""type":"buy","content":{"symbol":"A","price":1}"#;
            assert!(
                refusal(&format!("{{{content},{member}}}")).contains("null"),
                "{member}"
            );
        }
        for content in [
            "null",
            r#"{"symbol":null,"price":1}"#,
            r#"{"symbol":"A","price":null}"#,
            r#"{"symbol":"A","price":1,"timestamp":null}"#,
        ] {
            let line = format!("{{\"type\":\"buy\",\"content\":{content}}}");
            assert!(refusal(&line).contains("null"), "{line}");
        }
        assert!(refusal(r#"{"type":null,"symbol":"A","price":1}"#).contains("null"));
        assert!(
            wire(r#"{"type":"buy","symbol":"A","price":1,"stop":null}"#).contains("\"stop\":null")
        );
    }

    #[test]
    fn one_thing_has_one_name() {
        for line in [
            r#"{"side":"buy","action":"buy","symbol":"A","price":1}"#,
            r#"{"side":"buy","symbol":"A","ticker":"A","price":1}"#,
            r#"{"side":"buy","pair":"A","ticker":"A","price":1}"#,
            r#"{"side":"buy","pair":"A","price":1,"time":1,"timestamp":1}"#,
        ] {
            assert!(refusal(line).contains("two names"), "{line}");
        }
        for line in [
            r#"{"side":"buy","side":"buy","symbol":"A","price":1}"#,
            r#"{"side":"buy","symbol":"A","price":1,"q":1,"q":1}"#,
            r#"{"side":"buy","symbol":"A","price":1,"q":{"r":1,"\u0072":1}}"#,
            r#"{"type":"buy","content":{"symbol":"A","price":1},"content":{}}"#,
            r#"{"type":"buy","content":{"symbol":"A","price":1,"\u0070rice":1}}"#,
        ] {
            assert!(refusal(line).contains("twice"), "{line}");
        }
    }
}
