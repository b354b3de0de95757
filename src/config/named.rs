//! Settings of what the operator names himself: `hooks.NAME.secret_file`, where NAME is any.

use std::borrow::Cow;

use super::table::{HOOK_SETTINGS, SETTINGS, Setting, VARIABLE_PREFIX};
use crate::hook::{HookName, InvalidHookName};
use crate::nearest::likeness;

/// The key of a setting, as in the file: `auth.issuer`, `hooks.tv.allow`.
pub type Key = Cow<'static, str>;

/// What stands for a name in the table and in the help.
pub(crate) const PLACEHOLDER: &str = "NAME";

/// The table of the file that all hooks are in.
pub(super) const HOOKS: &str = "hooks";

/// Where a setting is written, which decides how.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// `hooks.trading_view.secret_file`
    File,
    /// `hooks-trading-view-secret-file`
    Flag,
    /// `SIGNALCAST_HOOKS_TRADING_VIEW_SECRET_FILE`
    Variable,
}

/// The setting that is written like this in this place, and its key.
pub(crate) fn find(written: &str, place: Place) -> Option<(&'static Setting, Key)> {
    let known = SETTINGS
        .iter()
        .find(|setting| place.spelling(setting) == written);
    if let Some(setting) = known {
        return Some((setting, Cow::Borrowed(setting.key)));
    }
    of_hook(written, place)
}

/// The same for the settings of hooks alone.
pub(crate) fn of_hook(written: &str, place: Place) -> Option<(&'static Setting, Key)> {
    HOOK_SETTINGS.iter().find_map(|setting| {
        let spelling = place.spelling(setting);
        let (before, after) = spelling.split_once(PLACEHOLDER)?;
        let name = written.strip_prefix(before)?.strip_suffix(after)?;
        let name = place.name(name)?;
        Some((setting, key(setting, &name)))
    })
}

/// The setting of this key.
///
/// # Panics
/// When there is none, which is a bug: keys that users write are looked for.
pub(super) fn setting(key: &str) -> &'static Setting {
    find(key, Place::File)
        .unwrap_or_else(|| panic!("bug: no setting {key}"))
        .0
}

/// The key of a hook's setting.
pub(super) fn key(setting: &Setting, name: &HookName) -> Key {
    Cow::Owned(setting.key.replacen(PLACEHOLDER, name.as_str(), 1))
}

/// The hook that a key belongs to; none for those of the server.
pub(super) fn hook(key: &str) -> Option<HookName> {
    let (name, _) = key
        .strip_prefix(HOOKS)?
        .strip_prefix('.')?
        .split_once('.')?;
    name.parse().ok()
}

/// Whether settings may stand in a table of this name.
pub(super) fn is_section(path: &str) -> bool {
    let is_before = |key: &str| {
        let rest = key.strip_prefix(path);
        rest.is_some_and(|rest| rest.starts_with('.'))
    };
    let of_server = SETTINGS.iter().any(|setting| is_before(setting.key));
    of_server
        || path == HOOKS
        || hook(&format!("{path}.")).is_some_and(|name| {
            HOOK_SETTINGS
                .iter()
                .any(|each| is_before(&key(each, &name)))
        })
}

/// What is wrong with the name of a hook, if it is one that stands in this table of the file.
pub(super) fn misnamed(table: &str, name: &str) -> Option<InvalidHookName> {
    let is_hook = table == HOOKS;
    is_hook.then(|| name.parse::<HookName>().err()).flatten()
}

/// What was meant by something unknown that begins as settings of hooks do, written for the same
/// place.
pub(crate) fn nearest(written: &str, place: Place) -> Option<String> {
    let written = match place {
        Place::Variable => written.to_ascii_uppercase(),
        Place::File | Place::Flag => written.to_owned(),
    };
    let rest = place.behind_hooks(&written)?;
    let mut best: Option<(f64, String)> = None;
    for setting in HOOK_SETTINGS {
        let spelling = place.spelling(setting);
        let (before, after) = spelling.split_once(PLACEHOLDER)?;
        let named = rest.match_indices(place.separator()).filter_map(|(at, _)| {
            let (name, tail) = rest.split_at(at);
            place.name(name).map(|_| (likeness(tail, after), name))
        });
        // The name may be missing.
        let whole = likeness(rest, after.strip_prefix(place.separator())?);
        let may_be = whole >= VERY_LIKE || !rest.contains(place.separator());
        let unnamed = may_be.then_some((whole, PLACEHOLDER));
        for (likeness, name) in named.chain(unnamed) {
            if best.as_ref().is_none_or(|(most, _)| likeness > *most) {
                best = Some((likeness, format!("{before}{name}{after}")));
            }
        }
    }
    best.map(|(_, nearest)| nearest)
}

/// The table of the file that was meant by an unknown one in the tables of hooks.
pub(super) fn nearest_section(written: &str) -> Option<String> {
    let rest = Place::File.behind_hooks(written)?;
    let (name, _) = rest.split_once('.')?;
    Some(format!("{HOOKS}.{name}.map"))
}

impl Place {
    fn spelling(self, setting: &Setting) -> String {
        match self {
            Self::File => setting.key.to_owned(),
            Self::Flag => setting.flag(),
            Self::Variable => setting.variable(),
        }
    }

    fn separator(self) -> char {
        match self {
            Self::File => '.',
            Self::Flag => '-',
            Self::Variable => '_',
        }
    }

    /// The name that is written like this here.
    fn name(self, written: &str) -> Option<HookName> {
        let name = match self {
            Self::File => written.to_owned(),
            Self::Flag if written.contains('_') => return None,
            Self::Flag => written.replace('-', "_"),
            Self::Variable if written.contains(|c: char| c.is_ascii_lowercase()) => return None,
            Self::Variable => written.to_ascii_lowercase(),
        };
        name.parse().ok()
    }

    /// What comes behind `hooks`, or something very like it.
    fn behind_hooks(self, written: &str) -> Option<&str> {
        let written = match self {
            Self::Variable => written.strip_prefix(VARIABLE_PREFIX)?,
            Self::File | Self::Flag => written,
        };
        let (first, rest) = written.split_once(self.separator())?;
        (likeness(first, HOOKS) >= VERY_LIKE).then_some(rest)
    }
}

/// Less than one letter of four is another: `hook`.
const VERY_LIKE: f64 = 0.75;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hooks_setting_has_one_name_in_three_places() {
        for name in ["tv", "a_b", "map", "allow", "x_map", "secret_file", "0"] {
            let name: HookName = name.parse().unwrap();
            for setting in HOOK_SETTINGS {
                let key = key(setting, &name);
                assert_eq!(hook(&key), Some(name.clone()));
                let flag = key.replace(['.', '_'], "-");
                let variable = key.replace('.', "_").to_ascii_uppercase();
                for (written, place) in [
                    (key.to_string(), Place::File),
                    (flag, Place::Flag),
                    (format!("{VARIABLE_PREFIX}{variable}"), Place::Variable),
                ] {
                    let (found, found_key) = find(&written, place).expect(&written);
                    assert_eq!((found.key, &found_key), (setting.key, &key), "{written}");
                    // A slip in it finds it again.
                    let near = nearest(&format!("{written}x"), place);
                    assert_eq!(near, Some(written));
                }
            }
        }
    }

    #[test]
    fn what_is_no_setting_of_a_hook_is_not_found() {
        for (written, place) in [
            ("hooks.NAME.words", Place::File),
            ("hooks.tv.words.x", Place::File),
            ("hooks..words", Place::File),
            ("hooks.words", Place::File),
            ("hooks-NAME-words", Place::Flag),
            ("hooks-a_b-words", Place::Flag),
            ("hooks--words", Place::Flag),
            ("hooks-words", Place::Flag),
            ("SIGNALCAST_HOOKS_tv_WORDS", Place::Variable),
            ("SIGNALCAST_HOOKS_WORDS", Place::Variable),
        ] {
            assert!(of_hook(written, place).is_none(), "{written}");
        }
    }

    #[test]
    fn slips_find_the_nearest() {
        for (written, place, expected) in [
            ("hooks.tv.secretfile", Place::File, "hooks.tv.secret_file"),
            ("hooks.tv.symbol", Place::File, "hooks.tv.map.symbol"),
            ("hook.tv.allow", Place::File, "hooks.tv.allow"),
            ("hooks.secret_file", Place::File, "hooks.NAME.secret_file"),
            ("hooks-a-b-map-simbol", Place::Flag, "hooks-a-b-map-symbol"),
            ("hooks-words", Place::Flag, "hooks-NAME-words"),
            (
                "SIGNALCAST_HOOK_tv_WORD",
                Place::Variable,
                "SIGNALCAST_HOOKS_TV_WORDS",
            ),
        ] {
            assert_eq!(nearest(written, place).as_deref(), Some(expected));
        }
        assert_eq!(nearest("hub.tail", Place::File), None);
        assert_eq!(nearest("SIGNALCAST_HUB_TAIL", Place::Variable), None);
    }

    #[test]
    fn hooks_have_tables_of_their_own() {
        for path in ["server", "hooks", "hooks.tv", "hooks.tv.map"] {
            assert!(is_section(path), "{path}");
        }
        for path in [
            "hook",
            "hooks.TV",
            "hooks.tv.mapp",
            "hooks.tv.map.x",
            "hooks.",
        ] {
            assert!(!is_section(path), "{path}");
        }
    }
}
