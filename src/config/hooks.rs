use std::path::PathBuf;

use ipnet::IpNet;

use super::refusal::Problem;
use super::resolve::Reader;
use super::values;
use crate::hook::{HookName, Mapping, Place, Pointer, Reading};
use crate::signal::{SideWord, SideWords, TimeUnit, Timestamp};

/// `hooks.NAME.*`
#[derive(Clone, Debug)]
pub struct Hook {
    /// What it is called.
    pub name: HookName,
    /// File with the secret that ends its URL.
    pub secret_file: PathBuf,
    /// Where its sender is; empty: anywhere.
    pub allow: Vec<IpNet>,
    /// How its sender's bodies are read.
    pub reading: Reading,
}

impl Hook {
    /// The key of one of a hook's settings.
    pub fn key(name: &HookName, last_part: &str) -> String {
        format!("hooks.{name}.{last_part}")
    }

    /// All hooks that are named anywhere, less those that can't be.
    pub(super) fn read_all(read: &mut Reader<'_>) -> Vec<Self> {
        let names = read.settings.hooks();
        let hooks = names.into_iter().filter_map(|name| Self::read(read, name));
        hooks.collect()
    }

    fn read(read: &mut Reader<'_>, name: HookName) -> Option<Self> {
        let secret_file = required(read, &name, "secret_file", values::path, THE_SECRET);
        let allow = read.list(&Self::key(&name, "allow"), values::network);
        let words = words(read, &name);
        let mapping = if MAP.iter().any(|part| is_set(read, &name, part)) {
            Some(mapping(read, &name)?)
        } else {
            None
        };
        Some(Self {
            secret_file: secret_file?,
            allow,
            reading: Reading { mapping, words },
            name,
        })
    }
}

/// What may be said of where the parts of a signal are.
const MAP: &[&str] = &[
    "map.symbol",
    "map.side",
    "map.price",
    "map.timestamp",
    "map.id",
    "map.is_test",
];

const THE_SECRET: &str = "name a file that holds the secret of its URL";

fn words(read: &mut Reader<'_>, name: &HookName) -> SideWords {
    let key = Hook::key(name, "words");
    let words = SideWords::new(read.list(&key, word));
    if let Some(word) = words.ambiguous() {
        let problem = Problem::new(format!("{word:?} stands for both sides"), "leave one");
        read.refuse(&key, &problem);
    }
    words
}

fn word(text: &str) -> Result<SideWord, Problem> {
    text.parse()
        .map_err(|why| Problem::said(format!("{text:?} {why}")))
}

/// None if one of the parts that every signal has can't be had.
fn mapping(read: &mut Reader<'_>, name: &HookName) -> Option<Mapping> {
    let missing = "say where it is, as in /symbol, or what it always is, as in =BTCUSDT";
    let symbol = required(read, name, "map.symbol", place(values::symbol), missing);
    let missing = "say where it is, as in /side, or what it always is, as in =buy";
    let side = required(read, name, "map.side", place(values::side), missing);
    let missing = "say where it is, as in /price";
    let price = required(read, name, "map.price", place(values::price), missing);
    let timestamp = read.optional(&Hook::key(name, "map.timestamp"), place(timestamp));
    let id = read.optional(&Hook::key(name, "map.id"), pointer);
    let is_test = read.optional(&Hook::key(name, "map.is_test"), place(values::switch));
    Some(Mapping {
        symbol: symbol?,
        side: side?,
        price: price?,
        timestamp,
        id,
        is_test,
    })
}

fn required<T>(
    read: &mut Reader<'_>,
    name: &HookName,
    part: &str,
    parse: impl Fn(&str) -> Result<T, Problem>,
    remedy: &str,
) -> Option<T> {
    if !is_set(read, name, part) {
        let problem = Problem::new("is missing", remedy);
        read.refuse(&Hook::key(name, part), &problem);
        return None;
    }
    read.optional(&Hook::key(name, part), parse)
}

fn is_set(read: &Reader<'_>, name: &HookName, part: &str) -> bool {
    read.settings.is_set(&Hook::key(name, part))
}

/// A pointer, or `=` and a constant.
fn place<T: Clone>(
    constant: impl Fn(&str) -> Result<T, Problem>,
) -> impl Fn(&str) -> Result<Place<T>, Problem> {
    move |text| match text.strip_prefix('=') {
        Some(value) => constant(value).map(Place::Constant),
        None => at(text).map(Place::At).map_err(|problem| Problem {
            remedy: format!("{}, or write = and what it always is", problem.remedy),
            ..problem
        }),
    }
}

fn at(text: &str) -> Result<Pointer, Problem> {
    text.parse()
        .map_err(|why| Problem::said(format!("{text:?} {why}")))
}

fn pointer(text: &str) -> Result<Pointer, Problem> {
    if text.starts_with('=') {
        return Err(Problem::new(
            "would be the same for all signals, and only the first of them is taken",
            "write a JSON pointer to what tells one from another, or leave it out",
        ));
    }
    at(text)
}

fn timestamp(text: &str) -> Result<Timestamp, Problem> {
    Timestamp::parse(text, TimeUnit::Seconds).map_err(Problem::said)
}
