//! What the user typed: arguments to one of the commands, with its settings settled.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::SystemTime;

use clap::ArgMatches;

use crate::auth::Token;
use crate::bench;
use crate::check::Check;
use crate::config::{Config, Refusals, Surroundings};
use crate::{feed, first_start, listen, replay, token};

mod access;
mod bench_feed;
mod bench_grammar;
mod bench_options;
mod cert;
mod check_subjects;
mod feed_options;
mod grammar;
mod listen_options;
mod mistakes;
mod replay_options;
mod token_issue;
mod token_target;
mod typed;

use typed::Typed;

/// What is to be done.
#[derive(Debug)]
pub enum Command {
    /// Run the server.
    Serve(Box<Config>),
    /// Print a new token.
    TokenIssue(Box<Config>, token::Issue),
    /// Say what is wrong with feeds and settings.
    Check(Check),
    /// Say whether a token is good.
    TokenInspect(Box<Config>, Token),
    /// Show opaque tokens and revocations.
    TokenList(Box<Config>),
    /// Revoke tokens.
    TokenRevoke(Box<Config>, token::Target),
    /// Make a certificate.
    Cert(Box<Config>, crate::cert::Request),
    /// Print a server's signals.
    Listen(listen::Options),
    /// Print past signals.
    Replay(replay::Options),
    /// Bring standard input to a server.
    Feed(feed::Options),
    /// Load a server and measure it.
    Bench(Box<bench::Options>),
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
    // It has its own use for files of settings.
    if path == ["check"] {
        return match check_subjects::read(&mut typed, around) {
            Some(check) if typed.refusals.is_empty() => Ok(Command::Check(check)),
            _ => Err(Stop::Refused(typed.refusals)),
        };
    }
    let flags = typed.settings();
    let file = typed.once("config").map(PathBuf::from);
    let (config, mistakes) = Config::read(&flags, file.as_deref(), around);
    typed.refusals.extend(mistakes);
    let command = match path.as_slice() {
        ["serve"] if typed.is_there(grammar::PRINT_CONFIG) => {
            // What is in the folders and files is another matter.
            typed
                .refusals
                .extend(config.check().err().unwrap_or_default());
            if typed.refusals.is_empty() {
                return Err(Stop::Show(config.to_toml()));
            }
            None
        }
        ["serve"] => Some(serve(config, &mut typed.refusals)),
        ["token", "issue"] => {
            token_issue::read(&mut typed).map(|issue| Command::TokenIssue(Box::new(config), issue))
        }
        ["token", "inspect"] => token_target::one(&mut typed)
            .map(|token| Command::TokenInspect(Box::new(config), token)),
        ["token", "list"] => Some(Command::TokenList(Box::new(config))),
        ["token", "revoke"] => token_target::read(&mut typed)
            .map(|target| Command::TokenRevoke(Box::new(config), target)),
        ["cert"] => cert::read(&mut typed).map(|request| Command::Cert(Box::new(config), request)),
        ["bench"] => {
            bench_options::read(&mut typed, around).map(|options| Command::Bench(Box::new(options)))
        }
        ["feed"] => feed_options::read(&mut typed, around).map(Command::Feed),
        ["replay"] => replay_options::read(&mut typed, config).map(Command::Replay),
        _ => listen_options::read(&mut typed, around).map(Command::Listen),
    };
    match command {
        Some(command) if typed.refusals.is_empty() => Ok(command),
        _ => Err(Stop::Refused(typed.refusals)),
    }
}

fn serve(config: Config, refusals: &mut Refusals) -> Command {
    refusals.extend(settings_refused(&config));
    if let Some(in_use) = config.data_dir_in_use() {
        refusals.push(in_use);
    }
    // Keys are looked at once more when the server starts, and made if they are missing. But
    // who has mistakes to mend should hear of those too, at once.
    if !refusals.is_empty() {
        refusals.extend(first_start::look(&config, SystemTime::now()));
    }
    Command::Serve(Box::new(config))
}

/// What is wrong with these settings together, and with the folders they name.
fn settings_refused(config: &Config) -> Refusals {
    let mut refusals = Refusals::new();
    for checked in [config.check(), config.check_folders()] {
        refusals.extend(checked.err().unwrap_or_default());
    }
    refusals
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
