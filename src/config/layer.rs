use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::named::{self, Key};
use super::table::{Fallback, HOOK_SETTINGS, SETTINGS};
use crate::hook::HookName;

/// What one place says: flags, variables or the file.
#[derive(Clone, Debug, Default)]
pub struct Layer(BTreeMap<Key, Given>);

/// The texts somebody gave for a setting, not understood yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// One text, or for a list any number.
    pub texts: Vec<String>,
    /// Where they were written.
    pub origin: Origin,
}

/// Where a value was written. It displays as the user wrote it, to begin a refusal with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// On the command line, as this flag, dashes included.
    Flag(String),
    /// In the environment, as this variable.
    Variable(String),
    /// In the file, on this line.
    File {
        /// The file's name as it was given.
        file: String,
        /// The line of the key, from 1.
        line: usize,
        /// The key.
        key: Key,
    },
    /// Nowhere: the default of this key.
    Default(Key),
}

impl Layer {
    /// Notes what was given for the setting of this key; what was noted before for it is forgotten.
    pub fn set(&mut self, key: impl Into<Key>, texts: Vec<String>, origin: Origin) {
        self.0.insert(key.into(), Given { texts, origin });
    }

    /// What this place says about a setting.
    pub fn given(&self, key: &str) -> Option<&Given> {
        self.0.get(key)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Variable(name) => f.write_str(name),
            Self::File { file, line, key } => write!(f, "{file}:{line}: {key}"),
            Self::Default(key) => f.write_str(key),
        }
    }
}

/// Every setting with what holds for it and where that came from; of each hook that is named
/// anywhere, too.
#[derive(Clone, Debug)]
pub struct Settings {
    given: BTreeMap<Key, Given>,
    worked_out: BTreeMap<&'static str, String>,
}

impl Settings {
    /// Flag beats variable beats file beats default. A list from one place replaces the list from
    /// another whole.
    pub fn merge(flags: &Layer, variables: &Layer, file: &Layer) -> Self {
        let layers = [flags, variables, file];
        let hooks: BTreeSet<HookName> = layers
            .iter()
            .flat_map(|layer| layer.0.keys().filter_map(|key| named::hook(key)))
            .collect();
        let of_hooks = hooks.iter().flat_map(keys_of_hook);
        let keys = SETTINGS.iter().map(|setting| Key::Borrowed(setting.key));
        let merged = keys.chain(of_hooks).map(|key| {
            let given = layers.iter().find_map(|layer| layer.given(&key)).cloned();
            let given = given.unwrap_or_else(|| default(&key));
            (key, given)
        });
        Self {
            given: merged.collect(),
            worked_out: BTreeMap::new(),
        }
    }

    /// The hooks, in the order of their names.
    pub fn hooks(&self) -> BTreeSet<HookName> {
        self.given
            .keys()
            .filter_map(|key| named::hook(key))
            .collect()
    }

    /// What holds for this setting.
    ///
    /// # Panics
    /// When there is no such setting, which is a bug.
    pub fn given(&self, key: &str) -> &Given {
        self.given.get(key).unwrap_or_else(|| {
            panic!("bug: no setting {key}");
        })
    }

    /// Notes what was made of a setting that depends on others or on the machine.
    pub(super) fn work_out(&mut self, key: &'static str, value: impl fmt::Display) {
        self.worked_out.insert(key, value.to_string());
    }

    /// What was made of such a setting.
    pub(super) fn worked_out(&self, key: &str) -> Option<&String> {
        self.worked_out.get(key)
    }

    /// Whether somebody set it to something else than its default.
    pub fn is_set(&self, key: &str) -> bool {
        self.given(key).texts != Self::default_texts(key)
    }

    /// The value of a setting nobody set, or that could not be read.
    pub(super) fn default_texts(key: &str) -> &'static [&'static str] {
        match named::setting(key).default {
            Fallback::Texts(texts) => texts,
            Fallback::WorkedOut(_) => &[],
        }
    }
}

/// The keys of this hook's settings, in the order of the table.
pub(super) fn keys_of_hook(name: &HookName) -> impl Iterator<Item = Key> {
    HOOK_SETTINGS
        .iter()
        .map(|setting| named::key(setting, name))
}

fn default(key: &Key) -> Given {
    let texts = Settings::default_texts(key);
    Given {
        texts: texts.iter().map(|&text| text.to_owned()).collect(),
        origin: Origin::Default(key.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flag_beats_variable_beats_file_beats_default() {
        // Bit 0: set by flag, bit 1: by variable, bit 2: in the file.
        for (places, expected, origin) in [
            (0b000, "10s", "server.drain"),
            (0b001, "1s", "--drain"),
            (0b010, "2s", "SIGNALCAST_SERVER_DRAIN"),
            (0b011, "1s", "--drain"),
            (0b100, "3s", "signalcast.toml:7: server.drain"),
            (0b101, "1s", "--drain"),
            (0b110, "2s", "SIGNALCAST_SERVER_DRAIN"),
            (0b111, "1s", "--drain"),
        ] {
            let layer = |bit: u8, text: &str, origin: Origin| {
                let mut layer = Layer::default();
                if places & bit != 0 {
                    layer.set("server.drain", vec![text.to_owned()], origin);
                }
                layer
            };
            let settings = Settings::merge(
                &layer(0b001, "1s", Origin::Flag("--drain".to_owned())),
                &layer(
                    0b010,
                    "2s",
                    Origin::Variable("SIGNALCAST_SERVER_DRAIN".to_owned()),
                ),
                &layer(
                    0b100,
                    "3s",
                    Origin::File {
                        file: "signalcast.toml".to_owned(),
                        line: 7,
                        key: "server.drain".into(),
                    },
                ),
            );
            let given = settings.given("server.drain");
            assert_eq!(given.texts, [expected], "{places:03b}");
            assert_eq!(given.origin.to_string(), origin, "{places:03b}");
        }
    }

    #[test]
    fn a_hook_that_is_named_anywhere_has_all_its_settings() {
        let mut layers = [Layer::default(), Layer::default(), Layer::default()];
        for (layer, key) in
            layers
                .iter_mut()
                .zip(["hooks.b.words", "hooks.a.allow", "hooks.b.map.id"])
        {
            let origin = Origin::Flag(key.to_owned());
            layer.set(key, vec!["x".to_owned()], origin);
        }
        let settings = Settings::merge(&layers[0], &layers[1], &layers[2]);
        let names: Vec<String> = settings.hooks().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(settings.given("hooks.b.map.id").texts, ["x"]);
        assert!(settings.is_set("hooks.a.allow") && !settings.is_set("hooks.b.allow"));
        let unset = &settings.given("hooks.b.secret_file").origin;
        assert_eq!(unset.to_string(), "hooks.b.secret_file");
    }
}
