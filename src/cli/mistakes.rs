//! What clap refuses, in our one-line form, and all of it: clap itself stops at the first.

use std::ffi::OsString;
use std::ops::Range;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgMatches, Command, Error};

use super::Stop;
use super::grammar::command;
use crate::config::named::{self, Place};
use crate::config::suggest::in_another_section;
use crate::config::table::{HOOK_SETTINGS, Setting};
use crate::config::{Refusal, Refusals};
use crate::nearest::nearest;

/// The arguments taken apart, and what was wrong with those that could not be.
pub(super) fn matches(mut args: Vec<OsString>) -> Result<(ArgMatches, Refusals), Stop> {
    let mut refusals = Refusals::new();
    loop {
        let error = match command(&args).try_get_matches_from(&args) {
            Ok(matches) => return Ok((matches, refusals)),
            Err(error) => error,
        };
        let (refusal, culprit) = match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                return Err(Stop::Show(error.to_string()));
            }
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                return Err(Stop::Usage(error.to_string()));
            }
            _ => refusal(&error, &args),
        };
        refusals.push(refusal);
        // Without the culprit, clap gets as far as the next.
        match culprit {
            Some(culprit) => drop(args.drain(culprit)),
            None => return Err(Stop::Refused(refusals)),
        }
    }
}

type Culprit = Option<Range<usize>>;

fn refusal(error: &Error, args: &[OsString]) -> (Refusal, Culprit) {
    let named = text(error, ContextKind::InvalidArg).unwrap_or_default();
    // `--listen <ADDRESS>`
    let name = named.split([' ', '=']).next().unwrap_or_default();
    let place = (1..args.len()).find(|&place| is_written_as(&args[place], name));
    match error.kind() {
        ErrorKind::UnknownArgument if name.starts_with('-') => unknown_flag(name, place, args),
        ErrorKind::UnknownArgument => {
            let refusal = Refusal::new(
                &named,
                "is not expected here",
                format!("leave it out, or see {} --help", path(args).join(" ")),
            );
            let place = (1..args.len()).find(|&place| args[place] == *named);
            (refusal, place.map(|place| place..place + 1))
        }
        ErrorKind::InvalidSubcommand => {
            let word = text(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            let at = subcommand(args);
            let known = at.get_subcommands().map(Command::get_name);
            let near = nearest(&word, known).unwrap_or("serve");
            let remedy = format!("did you mean {near}?");
            (Refusal::new(word, "there is no such command", remedy), None)
        }
        ErrorKind::TooManyValues => (
            Refusal::new(name, "takes no value", format!("write {name}")),
            place.map(|place| place..place + 1),
        ),
        ErrorKind::InvalidValue | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => (
            Refusal::new(name, "has no value", format!("write {named}")),
            place.map(|place| place..place + 1),
        ),
        ErrorKind::InvalidUtf8 => (
            Refusal::new("arguments", "are not UTF-8", "write them in UTF-8"),
            None,
        ),
        _ => {
            let said = error.to_string();
            let line = said.lines().next().unwrap_or_default();
            let reason = line.trim_start_matches("error: ");
            (
                Refusal::new("arguments", reason, "see signalcast --help"),
                None,
            )
        }
    }
}

fn unknown_flag(name: &str, place: Option<usize>, args: &[OsString]) -> (Refusal, Culprit) {
    let written = place.map_or(name.into(), |place| args[place].to_string_lossy());
    let written = written.split('=').next().unwrap_or(name);
    let at = subcommand(args);
    if at.has_subcommands() {
        let meant =
            of_another_command(written, args).map(|(owner, _)| format!("{owner} {written}"));
        let meant = meant.unwrap_or_else(|| {
            let serve = at.find_subcommand("serve").unwrap_or(&at);
            format!("signalcast serve --{}", nearest_flag(written, serve))
        });
        let remedy = format!("did you mean {meant}?");
        return (
            Refusal::new(written, "there is no such flag here", remedy),
            None,
        );
    }
    let (refusal, meant) = match of_another_command(written, args) {
        Some((owner, arg)) => (
            Refusal::new(
                written,
                format!("belongs to {owner}"),
                format!("leave it out of {}", path(args).join(" ")),
            ),
            Some(arg),
        ),
        None => {
            let near = nearest_flag(written, &at);
            let remedy = format!("did you mean --{near}?");
            let shown = named::of_hook(&near, Place::Flag).map(|(setting, _)| setting.flag());
            let known_as = shown.as_deref().unwrap_or(&near);
            let known = at
                .get_arguments()
                .find(|arg| arg.get_long() == Some(known_as));
            (
                Refusal::new(written, "there is no such flag", remedy),
                known.cloned(),
            )
        }
    };
    let takes_value = meant.is_some_and(|arg| arg.get_action().takes_values());
    let culprit = place.map(|place| with_value(place, takes_value, args));
    (refusal, culprit)
}

/// The arguments that a flag takes up: its value goes with it, or it would look like a word too
/// many.
fn with_value(place: usize, takes_value: bool, args: &[OsString]) -> Range<usize> {
    let value_follows = takes_value
        && !args[place].to_string_lossy().contains('=')
        && args
            .get(place + 1)
            .is_some_and(|next| !next.to_string_lossy().starts_with('-'));
    place..place + 1 + usize::from(value_follows)
}

/// The first of the commands that know this flag, as it is typed, and the flag.
fn of_another_command(written: &str, args: &[OsString]) -> Option<(String, Arg)> {
    let name = written.strip_prefix("--")?;
    let mut rest = vec![(env!("CARGO_PKG_NAME").to_owned(), command(args))];
    while let Some((path, command)) = rest.pop() {
        let mut known = command.get_arguments();
        if let Some(arg) = known.find(|arg| arg.get_long() == Some(name)) {
            return Some((path, arg.clone()));
        }
        let below = command.get_subcommands().cloned();
        let below = below.map(|next| (format!("{path} {}", next.get_name()), next));
        rest.extend(below.collect::<Vec<_>>().into_iter().rev());
    }
    None
}

fn nearest_flag(written: &str, command: &Command) -> String {
    let written = written.trim_start_matches('-');
    let known: Vec<&str> = command.get_arguments().filter_map(Arg::get_long).collect();
    if let Some(of_hook) = named::nearest(written, Place::Flag)
        && known.contains(&&*HOOK_SETTINGS[0].flag())
    {
        return of_hook;
    }
    let moved = in_another_section(written).map(Setting::shown_flag);
    if let Some(flag) = moved.filter(|flag| known.contains(&flag.as_str())) {
        return flag;
    }
    nearest(written, known).unwrap_or("help").to_owned()
}

/// Whether this argument is that flag: alone, with `=value`, or a single dash and more than one
/// letter, of which clap names only the first.
fn is_written_as(arg: &OsString, flag: &str) -> bool {
    let arg = arg.to_string_lossy();
    let rest = arg.strip_prefix(flag);
    rest.is_some_and(|rest| {
        !flag.is_empty() && (rest.is_empty() || rest.starts_with('=') || !flag.starts_with("--"))
    })
}

/// The command that these arguments reach.
fn subcommand(args: &[OsString]) -> Command {
    let mut reached = command(args);
    // Fills in `--help`, so that it can be suggested.
    reached.build();
    for name in &path(args)[1..] {
        if let Some(next) = reached.find_subcommand(name) {
            reached = next.clone();
        }
    }
    reached
}

/// Its name, from the program's on.
fn path(args: &[OsString]) -> Vec<String> {
    let mut names = vec![env!("CARGO_PKG_NAME").to_owned()];
    let mut reached = &command(args);
    for arg in args.iter().skip(1) {
        let Some(next) = reached.find_subcommand(arg) else {
            break;
        };
        names.push(next.get_name().to_owned());
        reached = next;
    }
    names
}

fn text(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        _ => None,
    }
}
