//! The TOML file, down to texts with their lines.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::layer::{Layer, Origin};
use super::named::{self, Key, Place};
use super::refusal::{Problem, Refusal, Refusals};
use super::suggest::{nearest_key, nearest_section};
use super::table::{Arity, Fallback, Kind, Setting};

/// What the file says. `name` is what the user calls it.
///
/// All mistakes of form come back together with what could be read.
pub(super) fn read(name: &str, text: &str) -> (Layer, Refusals) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reading = Reading {
        name,
        text,
        layer: Layer::default(),
        refusals: Vec::new(),
    };
    for error in &errors {
        let line = reading.line(error.span().map_or(0, |span| span.start));
        let refusal = Refusal::new(
            format!("{name}:{line}"),
            error.message(),
            "mend the TOML there (https://toml.io)",
        );
        reading.refusals.push((line, refusal));
    }
    // After a mistake of form the keys that follow may have landed in the wrong table.
    if errors.is_empty() {
        reading.table("", table.get_ref());
    }
    // The table comes sorted by key; people read their file from the top.
    reading.refusals.sort_by_key(|(line, _)| *line);
    let mut refusals = Refusals::new();
    for (_, refusal) in reading.refusals {
        refusals.push(refusal);
    }
    (reading.layer, refusals)
}

struct Reading<'a> {
    name: &'a str,
    text: &'a str,
    layer: Layer,
    refusals: Vec<(usize, Refusal)>,
}

impl Reading<'_> {
    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let path = if prefix.is_empty() {
                key.get_ref().to_string()
            } else {
                format!("{prefix}.{}", key.get_ref())
            };
            let line = self.line(key.span().start);
            if let Some((setting, key)) = named::find(&path, Place::File) {
                self.value(setting, key, line, value);
            } else if let (DeValue::Table(inner), true) =
                (value.get_ref(), named::is_section(&path))
            {
                self.table(&path, inner);
            } else if let Some(why) = named::misnamed(prefix, key.get_ref()) {
                let thing = format!("{}:{line}: {path}", self.name);
                let refusal = Problem::said(format!("{:?} {why}", key.get_ref())).with(thing);
                self.refusals.push((line, refusal));
            } else {
                self.unknown(&path, line, value.get_ref().is_table());
            }
        }
    }

    fn value(
        &mut self,
        setting: &'static Setting,
        key: Key,
        line: usize,
        value: &Spanned<DeValue<'_>>,
    ) {
        let origin = Origin::File {
            file: self.name.to_owned(),
            line,
            key: key.clone(),
        };
        let texts = match (value.get_ref(), setting.arity) {
            (DeValue::Array(items), Arity::List) => items
                .iter()
                .map(|item| scalar(item.get_ref(), setting))
                .collect(),
            (single, _) => scalar(single, setting).map(|text| vec![text]),
        };
        match texts {
            Some(texts) => self.layer.set(key, texts, origin),
            None => {
                let refusal = Refusal::new(
                    origin,
                    format!("is of the wrong type ({})", value.get_ref().type_str()),
                    format!("write {}", example(setting)),
                );
                self.refusals.push((line, refusal));
            }
        }
    }

    fn unknown(&mut self, path: &str, line: usize, is_table: bool) {
        let near = if is_table {
            nearest_section(path)
        } else {
            nearest_key(path)
        };
        let refusal = Refusal::new(
            format!("{}:{line}: {path}", self.name),
            "there is no such setting",
            format!("did you mean {near}?"),
        );
        self.refusals.push((line, refusal));
    }

    /// The line, from 1, of a place in the text.
    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }
}

/// The text of a value, numbers digit by digit as they stand in the file: a price must not pass
/// through a float.
fn scalar(value: &DeValue<'_>, setting: &Setting) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(on) if setting.kind == Kind::Switch => Some(on.to_string()),
        // `max_age = false` says `off` in TOML's own word.
        DeValue::Boolean(false) if setting.default == Fallback::Texts(&["off"]) => {
            Some("off".to_owned())
        }
        DeValue::Integer(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => None,
    }
}

fn example(setting: &Setting) -> String {
    let value = match (setting.kind, setting.default) {
        (Kind::Switch, _) => return format!("{} = true or false", setting.last_part()),
        (Kind::Count, Fallback::Texts([text])) if *text != "off" => (*text).to_owned(),
        (Kind::Count, _) => "100".to_owned(),
        (_, Fallback::Texts([text])) => format!("\"{text}\""),
        (_, _) => "\"…\"".to_owned(),
    };
    match setting.arity {
        Arity::One => format!("{} = {value}", setting.last_part()),
        Arity::List => format!("{} = [{value}]", setting.last_part()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusals(text: &str) -> String {
        read("signalcast.toml", text).1.to_string()
    }

    #[test]
    fn values_come_as_they_were_written() {
        let (layer, refusals) = read(
            "my.toml",
            "sources = [\"stdin\", \"file:a\"]\n[test]\nprice = 75000.00\n[server]\nplaintext = true\nwait_clients = 3\nlisten = \"[::1]:1\"\n[signals]\nmax_age = false\n",
        );
        assert!(refusals.is_empty(), "{refusals}");
        let texts = |key| layer.given(key).unwrap().texts.clone();
        assert_eq!(texts("sources"), ["stdin", "file:a"]);
        assert_eq!(texts("test.price"), ["75000.00"]);
        assert_eq!(texts("server.plaintext"), ["true"]);
        assert_eq!(texts("server.wait_clients"), ["3"]);
        assert_eq!(texts("server.listen"), ["[::1]:1"]);
        assert_eq!(texts("signals.max_age"), ["off"]);
        let origin = &layer.given("server.listen").unwrap().origin;
        assert_eq!(origin.to_string(), "my.toml:7: server.listen");
    }

    #[test]
    fn dotted_keys_are_the_same_as_tables() {
        let (layer, refusals) = read("signalcast.toml", "auth.leeway = \"1m\"\n");
        assert!(refusals.is_empty());
        assert_eq!(layer.given("auth.leeway").unwrap().texts, ["1m"]);
    }

    #[test]
    fn unknown_keys_name_the_nearest() {
        insta::assert_snapshot!(
            refusals("lisen = 1\n[server]\nlisten = \"127.0.0.1:1\"\nplain_text = true\n[sever]\ndrain = \"1s\"\n[hub]\ntail_bytes = 1\n"),
            @"
        signalcast: signalcast.toml:1: lisen: there is no such setting; did you mean server.listen?
        signalcast: signalcast.toml:4: server.plain_text: there is no such setting; did you mean server.plaintext?
        signalcast: signalcast.toml:5: sever: there is no such setting; did you mean server?
        "
        );
    }

    #[test]
    fn a_wrong_type_says_what_to_write() {
        insta::assert_snapshot!(
            refusals("sources = 1979-05-27\ndata_dir = true\n[server]\nlisten = [[1]]\nplaintext = [true]\n[limits]\nconnections = 0x10\nping = { s = 1 }\n"),
            @r#"
        signalcast: signalcast.toml:1: sources: is of the wrong type (datetime); write sources = ["file:signals/*.jsonl"]
        signalcast: signalcast.toml:2: data_dir: is of the wrong type (boolean); write data_dir = "data"
        signalcast: signalcast.toml:4: server.listen: is of the wrong type (array); write listen = ["127.0.0.1:8080"]
        signalcast: signalcast.toml:5: server.plaintext: is of the wrong type (array); write plaintext = true or false
        signalcast: signalcast.toml:7: limits.connections: is of the wrong type (integer); write connections = 100
        signalcast: signalcast.toml:8: limits.ping: is of the wrong type (table); write ping = "30s"
        "#
        );
    }

    #[test]
    fn broken_toml_names_the_line() {
        insta::assert_snapshot!(
            refusals("[server]\nlisten = \n\ndrain = \"10s\nplaintext = yes\n"),
            @r#"
        signalcast: signalcast.toml:2: string values must be quoted, expected literal string; mend the TOML there (https://toml.io)
        signalcast: signalcast.toml:4: invalid basic string, expected `"`; mend the TOML there (https://toml.io)
        signalcast: signalcast.toml:5: string values must be quoted, expected literal string; mend the TOML there (https://toml.io)
        "#
        );
    }
}
