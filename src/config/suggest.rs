//! The known name that is nearest to an unknown one.

use std::borrow::Cow;

use super::named::{self, Place};
use super::table::{SETTINGS, Setting, VARIABLE_PREFIX};
use crate::nearest::{likeness, nearest};

/// The key that is nearest to an unknown one: compared whole, by its last part and by the short
/// flag, since `listen` is how many would write `server.listen`. One that only stands in the wrong
/// section is found before all that look alike.
pub(super) fn nearest_key(written: &str) -> Cow<'static, str> {
    if let Some(of_hook) = named::nearest(written, Place::File) {
        return of_hook.into();
    }
    nearest_of_server(written).into()
}

fn nearest_of_server(written: &str) -> &'static str {
    if let Some(setting) = in_another_section(written) {
        return setting.key;
    }
    let written = written.replace('-', "_");
    let names = SETTINGS.iter().flat_map(|setting| {
        [Some(setting.key), Some(setting.last_part()), setting.short]
            .into_iter()
            .flatten()
            .map(|name| (name.replace('-', "_"), setting.key))
    });
    names
        .map(|(name, key)| (likeness(&written, &name), key))
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map_or("server.listen", |(_, key)| key)
}

/// The setting of this name in another section than was written, or than none.
pub(crate) fn in_another_section(written: &str) -> Option<&'static Setting> {
    let words = |name: &str| name.replace(['-', '.'], "_").to_ascii_lowercase();
    let written = words(written);
    let is_section = |name: &str| SETTINGS.iter().any(|setting| setting.section() == name);
    let is_meant = |setting: &&Setting| {
        let before = written.strip_suffix(setting.last_part());
        before.is_some_and(|before| {
            before.is_empty() || before.strip_suffix('_').is_some_and(is_section)
        })
    };
    // Of those in several sections, the likest.
    let names: Vec<String> = SETTINGS
        .iter()
        .filter(is_meant)
        .map(|setting| words(setting.key))
        .collect();
    let near = nearest(&written, names.iter().map(String::as_str))?;
    SETTINGS.iter().find(|setting| words(setting.key) == near)
}

/// The table of the file that is nearest to an unknown one.
pub(super) fn nearest_section(written: &str) -> Cow<'static, str> {
    if let Some(of_hook) = named::nearest_section(written) {
        return of_hook.into();
    }
    let sections = SETTINGS.iter().map(Setting::section);
    let sections = sections.filter(|section| !section.is_empty());
    let near = nearest(written, sections.chain([named::HOOKS]));
    near.unwrap_or("server").into()
}

/// The variable that is nearest to an unknown one: a setting's, unless it is almost one of the
/// `others`.
pub(super) fn nearest_variable(written: &str, others: &[&str]) -> String {
    let name = written.strip_prefix(VARIABLE_PREFIX).unwrap_or(written);
    // One letter of four: `TOKN`.
    let slip = |other: &&&str| likeness(name, other.trim_start_matches(VARIABLE_PREFIX)) >= 0.75;
    if let Some(other) = others.iter().find(slip) {
        return (*other).to_owned();
    }
    if let Some(of_hook) = named::nearest(written, Place::Variable) {
        return of_hook;
    }
    let key = nearest_of_server(&name.to_ascii_lowercase());
    super::table::setting(key).variable()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_key_finds_its_neighbour() {
        for (written, expected) in [
            ("server.lisen", "server.listen"),
            ("listen", "server.listen"),
            ("server.tls-cert", "server.tls_cert"),
            ("source", "sources"),
            ("data-dir", "data_dir"),
            ("limits.conections", "limits.connections"),
            ("auth.jwtkey", "auth.jwt_key"),
            ("log", "log.level"),
            ("jwt_key_path", "auth.jwt_key"),
            ("jwt_key_path", "auth.jwt_key"),
            ("server.leeway", "auth.leeway"),
            ("leeway", "auth.leeway"),
            ("limits.drain", "server.drain"),
            ("auth.ping", "limits.ping"),
            ("limits.metrics_listen", "server.metrics_listen"),
            ("server.sources", "sources"),
            ("server.data-dir", "data_dir"),
            ("hub.kind", "journal.kind"),
        ] {
            assert_eq!(nearest_key(written), expected, "{written}");
        }
    }

    #[test]
    fn a_slip_in_any_setting_still_finds_it() {
        let slip = |setting: &Setting| {
            let mut key = setting.key.to_owned();
            let last = key.pop().unwrap();
            key.push(last);
            key.push('x');
            key
        };
        for setting in SETTINGS {
            assert_eq!(nearest_key(&slip(setting)), setting.key);
            let variable = format!("{}X", setting.variable());
            assert_eq!(nearest_variable(&variable, &[]), setting.variable());
        }
    }
}
