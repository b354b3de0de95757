use std::str::FromStr;

use clap::ArgMatches;

use crate::config::named::{self, Key, Place};
use crate::config::table::{Arity, HOOK_SETTINGS, SETTINGS, Setting};
use crate::config::{Layer, Origin, Problem, Refusal, Refusals};

/// The arguments of one command, while mistakes are collected.
pub(super) struct Typed<'a> {
    pub(super) matches: &'a ArgMatches,
    pub(super) refusals: Refusals,
}

impl Typed<'_> {
    /// The value of a flag that may be given once, or of a positional argument.
    pub(super) fn once(&mut self, name: &str) -> Option<String> {
        let values = self.many(name);
        if values.len() > 1 {
            self.refuse(format!("--{name}"), "is there twice", "leave one");
        }
        values.into_iter().next()
    }

    /// The values of a flag, in order.
    pub(super) fn many(&self, name: &str) -> Vec<String> {
        let values = self.matches.get_many::<String>(name);
        values.into_iter().flatten().cloned().collect()
    }

    /// The value of a flag, or of its default, understood; none if it can't be.
    pub(super) fn parsed<T>(
        &mut self,
        name: &str,
        default: &str,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        let text = self.once(name).unwrap_or_else(|| default.to_owned());
        parse(&text)
            .map_err(|problem| self.refusals.push(problem.with(format!("--{name}"))))
            .ok()
    }

    /// The value of a flag that has no default, understood; none inside without it.
    pub(super) fn optional<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Option<Option<T>> {
        match self.matches.contains_id(name) {
            false => Some(None),
            true => self.parsed(name, "", parse).map(Some),
        }
    }

    /// Whether a flag that takes no value is there.
    pub(super) fn is_there(&self, name: &str) -> bool {
        self.matches.get_flag(name)
    }

    /// Notes a mistake.
    pub(super) fn refuse(&mut self, thing: impl AsRef<str>, reason: &str, remedy: &str) {
        self.refusals
            .push(Refusal::new(thing.as_ref(), reason, remedy));
    }

    /// What the flags say about settings.
    pub(super) fn settings(&mut self) -> Layer {
        let mut layer = Layer::default();
        for setting in SETTINGS {
            let full = setting.short.map(|_| setting.flag());
            let flags = std::iter::once(setting.shown_flag()).chain(full);
            self.setting(&mut layer, setting, Key::Borrowed(setting.key), flags);
        }
        let flags: Vec<String> = self
            .matches
            .ids()
            .map(|id| id.as_str().to_owned())
            .collect();
        for flag in flags {
            if let Some((setting, key)) = named::of_hook(&flag, Place::Flag) {
                self.setting(&mut layer, setting, key, [flag]);
            } else if HOOK_SETTINGS.iter().any(|setting| setting.flag() == flag) {
                self.refuse(
                    format!("--{flag}"),
                    "says NAME where the hook's name belongs",
                    "call it what it is called in its URL",
                );
            }
        }
        layer
    }

    /// What these flags, all of one setting, say about it.
    fn setting(
        &mut self,
        layer: &mut Layer,
        setting: &Setting,
        key: Key,
        flags: impl IntoIterator<Item = String>,
    ) {
        let mut given: Vec<(usize, String, String)> = Vec::new();
        for flag in flags {
            // Not every command has every setting.
            let Ok(Some(values)) = self.matches.try_get_many::<String>(&flag) else {
                continue;
            };
            let places = self.matches.indices_of(&flag).into_iter().flatten();
            given.extend(
                places
                    .zip(values)
                    .map(|(place, value)| (place, format!("--{flag}"), value.clone())),
            );
        }
        given.sort_unstable();
        let Some((_, flag, _)) = given.first().cloned() else {
            return;
        };
        if setting.arity == Arity::One && given.len() > 1 {
            self.refuse(&flag, "is there twice", "leave one");
        }
        let texts = given.into_iter().map(|(_, _, value)| value).collect();
        layer.set(key, texts, Origin::Flag(flag));
    }
}

/// A number that may be 0.
pub(super) fn number<T: FromStr>(text: &str) -> Result<T, Problem> {
    parsed(text, "write a whole number, as in 100")
}

/// One that may not.
pub(super) fn at_least_one<T: FromStr>(text: &str) -> Result<T, Problem> {
    parsed(text, "write a whole number from 1 on, as in 100")
}

fn parsed<T: FromStr>(text: &str, remedy: &str) -> Result<T, Problem> {
    text.parse()
        .map_err(|_| Problem::new(format!("can't be {text:?}"), remedy))
}
