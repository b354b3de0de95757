//! All settings as they hold, for `serve --print-config`.

use std::fmt::Write;

use super::Config;
use super::layer::{Given, Origin, keys_of_hook};
use super::named::{self, Key};
use super::table::{Arity, Fallback, Kind, SETTINGS, Setting};
use crate::printable::printable;

impl Config {
    /// Every setting with its value and, in a comment behind it, where that came from. It is TOML:
    /// saved as [`Config::FILE`] it gives the same settings. Of files, also of those that hold
    /// secrets, it has the names, never what is in them.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        let mut section = String::new();
        // Whatever has no section must stand before the first.
        let (inside, outside): (Vec<_>, Vec<_>) = SETTINGS
            .iter()
            .partition(|setting| !setting.section().is_empty());
        let of_server = outside.into_iter().chain(inside);
        let hooks = self.settings.hooks();
        let keys = of_server
            .map(|setting| Key::Borrowed(setting.key))
            .chain(hooks.iter().flat_map(keys_of_hook));
        for key in keys {
            let own_section = key.rsplit_once('.').map_or("", |(section, _)| section);
            if own_section != section {
                own_section.clone_into(&mut section);
                let _ = writeln!(text, "\n[{section}]");
            }
            self.write_setting(&mut text, &key);
        }
        text
    }

    fn write_setting(&self, text: &mut String, key: &str) {
        let setting = named::setting(key);
        let name = setting.last_part();
        let given = self.settings.given(key);
        let worked_out = self.settings.worked_out(key);
        let values = worked_out.map_or(given.texts.as_slice(), std::slice::from_ref);
        let literals: Vec<String> = values.iter().map(|text| literal(setting, text)).collect();
        let _ = match (setting.arity, literals.first()) {
            (Arity::List, _) => write!(text, "{name} = [{}]", literals.join(", ")),
            (Arity::One, Some(literal)) => write!(text, "{name} = {literal}"),
            // TOML has no word for it.
            (Arity::One, None) => write!(text, "# {name} is not set"),
        };
        let _ = writeln!(text, "  # {}", origin(setting, given, values));
    }
}

/// Where the values came from, on one line.
fn origin(setting: &Setting, given: &Given, values: &[String]) -> String {
    let place = match (&given.origin, setting.default) {
        (Origin::Default(_), Fallback::WorkedOut(how)) => return format!("default: {how}"),
        (Origin::Default(_), Fallback::Texts(_)) => return "default".to_owned(),
        (Origin::Flag(name) | Origin::Variable(name), _) => name.clone(),
        (Origin::File { file, line, .. }, _) => format!("{file}:{line}"),
    };
    let place = printable(&place);
    if given.texts == values {
        return place;
    }
    let said = printable(&given.texts.join(", "));
    format!("{place} says {said}, more than is possible here")
}

/// The value as the file may hold it. What is exact as a text stays one: a price, a size.
fn literal(setting: &Setting, text: &str) -> String {
    let is_number = matches!(text.as_bytes(), [b'0'] | [b'1'..=b'9', ..])
        && text.len() <= MOST_DIGITS
        && text.bytes().all(|byte| byte.is_ascii_digit());
    match setting.kind {
        Kind::Switch => text.to_owned(),
        Kind::Count if is_number => text.to_owned(),
        _ => toml::Value::from(text).to_string(),
    }
}

/// So many digits fit TOML's integers, whatever they are.
const MOST_DIGITS: usize = 18;
