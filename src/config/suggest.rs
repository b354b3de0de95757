//! The known name that is nearest to an unknown one.

use super::table::{SETTINGS, VARIABLE_PREFIX};

/// The nearest of `known` names to what the user wrote.
pub(crate) fn nearest<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (likeness(written, name), name))
        // The first of equals, so that the answer is always the same.
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, name)| name)
}

/// The key that is nearest to an unknown one: compared whole, by its last part and by the short
/// flag, since `listen` is how many would write `server.listen`.
pub(super) fn nearest_key(written: &str) -> &'static str {
    let written = written.replace('-', "_");
    let names = SETTINGS.iter().flat_map(|setting| {
        let last = setting.key.rsplit('.').next().unwrap_or(setting.key);
        [Some(setting.key), Some(last), setting.short]
            .into_iter()
            .flatten()
            .map(|name| (name.replace('-', "_"), setting.key))
    });
    names
        .map(|(name, key)| (likeness(&written, &name), key))
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map_or("server.listen", |(_, key)| key)
}

/// The table of the file that is nearest to an unknown one.
pub(super) fn nearest_section(written: &str) -> &'static str {
    let sections = SETTINGS
        .iter()
        .filter_map(|setting| setting.key.split_once('.'));
    nearest(written, sections.map(|(section, _)| section)).unwrap_or("server")
}

/// The variable that is nearest to an unknown one.
pub(super) fn nearest_variable(written: &str) -> String {
    let name = written.strip_prefix(VARIABLE_PREFIX).unwrap_or(written);
    let key = nearest_key(&name.to_ascii_lowercase());
    super::table::setting(key).variable()
}

/// 1 for the same, 0 for nothing in common, in any letter case.
fn likeness(left: &str, right: &str) -> f64 {
    strsim::normalized_damerau_levenshtein(&left.to_ascii_lowercase(), &right.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::table::Setting;

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
            assert_eq!(nearest_variable(&variable), setting.variable());
        }
    }
}
