//! What the user typed: arguments to one of the commands, with its settings settled.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::SystemTime;

use clap::ArgMatches;

use crate::config::table::{Arity, SETTINGS};
use crate::config::{Config, Layer, Origin, Problem, Refusal, Refusals, Surroundings};
use crate::{first_start, listen, token};

mod grammar;
mod mistakes;

/// What is to be done.
#[derive(Debug)]
pub enum Command {
    /// Run the server.
    Serve(Box<Config>),
    /// Print a new token.
    TokenIssue(Box<Config>, token::Issue),
    /// Print a server's signals.
    Listen(listen::Options),
}

/// Why nothing is to be done.
#[derive(Debug)]
pub enum Stop {
    /// Somebody asked for this text: stdout, exit code 0.
    Show(String),
    /// Somebody does not know what to write: stderr, exit code 2.
    Usage(String),
    /// Mistakes, all of them: stderr, exit code 2.
    Refused(Refusals),
}

/// What these arguments, the program's name among them, mean here.
///
/// # Errors
/// A [`Stop`]; every mistake in arguments, variables and file is in it.
pub fn parse(args: Vec<OsString>, around: &Surroundings) -> Result<Command, Stop> {
    let (matches, refusals) = mistakes::matches(args)?;
    let (path, matches) = innermost(&matches);
    let mut typed = Typed { matches, refusals };
    let flags = typed.settings();
    let file = typed.once("config").map(PathBuf::from);
    let (config, mistakes) = Config::read(&flags, file.as_deref(), around);
    typed.refusals.extend(mistakes);
    let command = match path.as_slice() {
        ["serve"] => typed.serve(config),
        ["token", "issue"] => token::Issue::from_typed(&mut typed)
            .map(|issue| Command::TokenIssue(Box::new(config), issue)),
        _ => listen::Options::from_typed(&mut typed, around).map(Command::Listen),
    };
    match command {
        Some(command) if typed.refusals.is_empty() => Ok(command),
        _ => Err(Stop::Refused(typed.refusals)),
    }
}

/// The arguments of one command, while mistakes are collected.
pub(crate) struct Typed<'a> {
    matches: &'a ArgMatches,
    refusals: Refusals,
}

impl Typed<'_> {
    /// The value of a flag that may be given once, or of a positional argument.
    pub(crate) fn once(&mut self, name: &str) -> Option<String> {
        let values = self.many(name);
        if values.len() > 1 {
            self.refuse(format!("--{name}"), "is there twice", "leave one");
        }
        values.into_iter().next()
    }

    /// The values of a flag, in order.
    pub(crate) fn many(&self, name: &str) -> Vec<String> {
        let values = self.matches.get_many::<String>(name);
        values.into_iter().flatten().cloned().collect()
    }

    /// The value of a flag, or of its default, understood; none if it can't be.
    pub(crate) fn parsed<T>(
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

    /// Whether a flag that takes no value is there.
    pub(crate) fn is_there(&self, name: &str) -> bool {
        self.matches.get_flag(name)
    }

    /// Notes a mistake.
    pub(crate) fn refuse(&mut self, thing: impl AsRef<str>, reason: &str, remedy: &str) {
        self.refusals
            .push(Refusal::new(thing.as_ref(), reason, remedy));
    }

    fn serve(&mut self, config: Config) -> Option<Command> {
        if let Err(refusals) = config.check() {
            self.refusals.extend(refusals);
        }
        // Keys are looked at once more when the server starts, and made if they are missing. But
        // who has mistakes to mend should hear of those too, at once.
        if !self.refusals.is_empty() {
            let refusals = first_start::look(&config, SystemTime::now());
            self.refusals.extend(refusals);
        }
        Some(Command::Serve(Box::new(config)))
    }

    /// What the flags say about settings.
    fn settings(&mut self) -> Layer {
        let mut layer = Layer::default();
        for setting in SETTINGS {
            let mut given: Vec<(usize, String, String)> = Vec::new();
            let full = setting.short.map(|_| setting.flag());
            for flag in std::iter::once(setting.shown_flag()).chain(full) {
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
                continue;
            };
            if setting.arity == Arity::One && given.len() > 1 {
                self.refuse(&flag, "is there twice", "leave one");
            }
            let texts = given.into_iter().map(|(_, _, value)| value).collect();
            layer.set(setting, texts, Origin::Flag(flag));
        }
        layer
    }
}

/// The command that was reached, and its arguments.
fn innermost(matches: &ArgMatches) -> (Vec<&str>, &ArgMatches) {
    let mut path = Vec::new();
    let mut reached = matches;
    while let Some((name, next)) = reached.subcommand() {
        path.push(name);
        reached = next;
    }
    (path, reached)
}
