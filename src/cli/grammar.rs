//! What may be typed, for clap. Values stay texts: clap would stop at the first bad one.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::{Arg, ArgAction, Command};

use super::replay_options::SPEED;
use super::token_issue::{SCOPES, TTL};
use crate::config::named::{self, Place};
use crate::config::table::{Arity, HOOK_SETTINGS, Kind, SETTINGS, Setting};
use crate::config::{Config, TOKEN_VARIABLE, URL_VARIABLE};
use crate::listen::USUAL_CA;

/// The whole command line, the flags of the hooks that these arguments name among it.
pub(super) fn command(args: &[OsString]) -> Command {
    Command::new(env!("CARGO_PKG_NAME"))
        .version(env!("CARGO_PKG_VERSION"))
        .about("Broadcasts trading signals over WebSocket: every signal, in order, exact to the digit")
        .after_help("`signalcast serve` with nothing else works: it makes certificates and keys, and says what to do next.")
        // Fits every terminal, and reads the same on each.
        .term_width(80)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommand(serve().args(flags_of_hooks(args)))
        .subcommand(token())
        .subcommand(cert())
        .subcommand(listen())
        .subcommand(feed())
        .subcommand(replay())
        .subcommand(check())
        .subcommand(super::bench_grammar::grammar())
}

fn serve() -> Command {
    Command::new("serve")
        .about("Runs the server")
        .after_help(SERVE_NOTE)
        .arg(config_file())
        .arg(
            Arg::new(PRINT_CONFIG)
                .long(PRINT_CONFIG)
                .action(ArgAction::SetTrue)
                .help("Print all settings as they hold, with where each came from, as a file of settings, and start nothing"),
        )
        .args(setting_flags(|_| true))
        .args(HOOK_SETTINGS.iter().map(shown_flag))
}

fn token() -> Command {
    Command::new("token")
        .about("Makes tokens for clients, and revokes them")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommand(token_issue())
        .subcommand(
            Command::new("inspect")
                .about("Shows what a token says, and whether it is good; exit code 1 if it is not")
                .after_help(DASH_NOTE)
                .arg(positional("token", "TOKEN", "The token, or - to read it from standard input"))
                .arg(config_file())
                .args(setting_flags(|setting| JUDGING.contains(&setting.key))),
        )
        .subcommand(
            Command::new("list")
                .about("Shows the opaque tokens there are (not the tokens themselves), and what was revoked")
                .arg(config_file())
                .args(setting_flags(|setting| setting.key == "auth.tokens")),
        )
        .subcommand(
            Command::new("revoke")
                .about("Revokes a token, or all tokens of somebody; servers see it within 2 s and let their owners go")
                .after_help(DASH_NOTE)
                .arg(positional("token", "TOKEN", "The token, or - to read it from standard input, or the id of an opaque one as token list shows it"))
                .arg(once("jti", "NAME", "The JWT of this jti"))
                .arg(once("sub", "NAME", "All tokens of this subject that were issued up to now; new ones are good"))
                .arg(config_file())
                .args(setting_flags(|setting| REVOKING.contains(&setting.key))),
        )
}

fn token_issue() -> Command {
    Command::new("issue")
        .about("Prints a new token, signed with the key of auth.jwt_key, which is made if it is not there")
        .arg(once("sub", "NAME", "Whom the token is for, such as bot-1"))
        .arg(once(
            "scope",
            "SCOPES",
            format!("What it allows, with spaces between: signals:read, signals:test, signals:publish, admin [default: {SCOPES}]"),
        ))
        .arg(many(
            "symbols",
            "PATTERNS",
            "Symbols it is good for, with commas between; * stands for anything; may be repeated [default: all]",
        ))
        .arg(once("ttl", "DURATION", format!("How long it is good [default: {TTL}]")))
        .arg(
            Arg::new("opaque")
                .long("opaque")
                .action(ArgAction::SetTrue)
                .help("Make it a random one, of which the server keeps only a hash, instead of a signed one"),
        )
        .arg(config_file())
        .args(setting_flags(|setting| CLAIMS.contains(&setting.key)))
}

fn cert() -> Command {
    Command::new("cert")
        .about("Makes a certificate for a server that others reach, its key, and the authority that clients are to trust")
        .after_help("It replaces the development certificate; anything else only with --force.")
        .arg(many(
            "host",
            "HOST",
            "What clients call the server: a name such as bot.example.org, *.example.org, or an IP address; may be repeated",
        ))
        .arg(
            Arg::new("force")
                .long("force")
                .action(ArgAction::SetTrue)
                .help("Replace whatever is there"),
        )
        .arg(config_file())
        .args(setting_flags(|setting| PAIR.contains(&setting.key)))
}

fn listen() -> Command {
    Command::new("listen")
        .about("Connects to a server and prints its signals")
        .after_help(format!("The token may also stand in ${TOKEN_VARIABLE}, where other users of the machine can't see it."))
        .arg(
            Arg::new("url")
                .value_name("URL")
                .help(format!("The server, such as wss://127.0.0.1:8080 [default: ${URL_VARIABLE}]")),
        )
        .arg(once("token", "TOKEN", "The token to show"))
        .arg(once("token-file", "PATH", "A file that holds it"))
        .arg(once(
            "ca",
            "PATH",
            format!("Certificate authority to trust besides the system's, PEM [default: {USUAL_CA}, if it is there]"),
        ))
        .arg(once(
            "after-seq",
            "SEQ",
            "Begin after this signal of the log; 0: with the oldest that is kept [default: with what comes in from now on]",
        ))
        .arg(once("since", "TIME", "Begin with what was received at this time or later (RFC 3339)"))
        .arg(many(
            "symbols",
            "PATTERNS",
            "Only these symbols, with commas between; * stands for anything; may be repeated [default: all]",
        ))
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("Print each signal's frame as it came, one a line"),
        )
        .arg(config_file())
}

fn feed() -> Command {
    Command::new("feed")
        .about("Brings standard input to a running server, each line once, and ends when the server has all of it")
        .after_help(format!("{FEED_NOTE} The token, of the scope signals:publish, may also stand in ${TOKEN_VARIABLE}, where other users of the machine can't see it."))
        .arg(
            Arg::new("url")
                .value_name("URL")
                .help(format!("The server, such as https://127.0.0.1:8080 [default: ${URL_VARIABLE}]")),
        )
        .arg(once("token", "TOKEN", "The token to show"))
        .arg(once("token-file", "PATH", "A file that holds it"))
        .arg(once(
            "ca",
            "PATH",
            format!("Certificate authority to trust besides the system's, PEM [default: {USUAL_CA}, if it is there]"),
        ))
        .arg(config_file())
}

fn replay() -> Command {
    Command::new("replay")
        .about("Prints past signals from the log of a server on this machine, at the pace at which they came")
        .after_help(REPLAY_NOTE)
        .arg(positional("from", "FROM", "The first signal: its seq, or the time since which it was received (RFC 3339)"))
        .arg(positional("to", "TO", "The last one: its seq, or the time until which it was received [default: the newest]"))
        .arg(once("speed", "SPEED", format!("How many times as fast as they came, such as 10x or 0.5x, or max: without waiting [default: {SPEED}]")))
        .arg(config_file())
        .args(setting_flags(|setting| setting.key == "data_dir"))
}

fn check() -> Command {
    Command::new("check")
        .about("Says what is wrong with feeds and settings, line by line")
        .after_help("Exits with 1 if anything is wrong. It makes nothing and opens no port.")
        .arg(
            Arg::new("what")
                .value_name("FEED|CONFIG")
                .num_args(1..)
                .action(ArgAction::Append)
                .help("A feed: a path or a glob, with ?unit=ms if its times are milliseconds; - or stdin for standard input. Or settings: a file that ends in .toml"),
        )
        .arg(config_file())
}

/// The flag of `serve` that shows the settings.
pub(super) const PRINT_CONFIG: &str = "print-config";

/// The settings that say where a certificate and its key are.
const PAIR: &[&str] = &["server.tls_cert", "server.tls_key"];

/// The settings that a new token comes from.
const CLAIMS: &[&str] = &[
    "auth.jwt_key",
    "auth.issuer",
    "auth.audience",
    "auth.tokens",
];

/// The settings by which a token is judged; keys that were fetched are in the data folder.
const JUDGING: &[&str] = &[
    "data_dir",
    "auth.jwt_key",
    "auth.jwks",
    "auth.issuer",
    "auth.audience",
    "auth.leeway",
    "auth.tokens",
];

/// The settings that a revocation needs: where it is noted, and until when, which only a token of
/// a known key tells.
const REVOKING: &[&str] = &[
    "data_dir",
    "auth.jwt_key",
    "auth.jwks",
    "auth.leeway",
    "auth.tokens",
];

const REPLAY_NOTE: &str = "\
Signals come as frames of signalcast.v2, one a line, whether the server runs or not. They keep their \
ids: a server that has them in its log drops them as repeated when they are fed to it again.";

const FEED_NOTE: &str = "\
A line is kept until the server has it in its log, and sent again when the server was away; it carries \
an id, so that it becomes one signal all the same. Exits with 1 if a line was refused or is not \
acknowledged; such signals are put into a file to be fed again.";

const DASH_NOTE: &str = "\
A token on the command line can be seen by other users of the machine, and the shell remembers it: \
with - it is read from standard input instead.";

const SERVE_NOTE: &str = "\
Every setting has one name in three places: the key auth.leeway in signalcast.toml is the flag \
--auth-leeway and the variable SIGNALCAST_AUTH_LEEWAY (lists: one a line). Flag beats variable \
beats file beats default. Durations: 500ms, 10s, 2m, 1h, 30d. Bytes: 65536, 8MB, 64MiB.";

pub(super) fn config_file() -> Arg {
    once(
        "config",
        "PATH",
        format!(
            "File of settings [default: {}, if it is there]",
            Config::FILE
        ),
    )
}

fn positional(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).value_name(value).help(help)
}

/// Given more than once it is refused, by us: see `Typed::once`.
pub(super) fn once(name: &'static str, value: &'static str, help: impl Into<String>) -> Arg {
    many(name, value, help)
}

pub(super) fn many(name: &'static str, value: &'static str, help: impl Into<String>) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(value)
        .action(ArgAction::Append)
        .help(help.into())
}

/// The flags of these settings. One with a short flag has the full one too, hidden, as an
/// argument of its own: so it is known which of them the user wrote.
fn setting_flags(wanted: fn(&Setting) -> bool) -> impl Iterator<Item = Arg> {
    SETTINGS
        .iter()
        .filter(move |setting| wanted(setting))
        .flat_map(|setting| {
            let full = setting
                .short
                .map(|_| setting_flag(setting, setting.flag()).hide(true));
            std::iter::once(shown_flag(setting)).chain(full)
        })
}

fn shown_flag(setting: &Setting) -> Arg {
    setting_flag(setting, setting.shown_flag()).help(setting.full_help())
}

/// The flags of hooks that stand among the arguments. The help shows them with NAME for the name.
fn flags_of_hooks(args: &[OsString]) -> impl Iterator<Item = Arg> {
    let written = args.iter().filter_map(|arg| {
        let flag = arg.to_str()?.strip_prefix("--")?;
        let flag = flag.split_once('=').map_or(flag, |(flag, _)| flag);
        let (setting, _) = named::of_hook(flag, Place::Flag)?;
        Some((flag.to_owned(), setting))
    });
    let distinct: BTreeMap<String, &Setting> = written.collect();
    let flags = distinct.into_iter();
    flags.map(|(flag, setting)| setting_flag(setting, flag).hide(true))
}

fn setting_flag(setting: &Setting, long: String) -> Arg {
    let arg = Arg::new(long.clone())
        .long(long)
        .help_heading(heading(setting))
        .value_name(setting.value_name())
        .action(ArgAction::Append)
        .allow_negative_numbers(true);
    match (setting.kind, setting.arity) {
        (Kind::Switch, Arity::One) => arg.num_args(0..=1).default_missing_value("true"),
        _ => arg,
    }
}

fn heading(setting: &Setting) -> String {
    match setting.section() {
        "" => "Sources and data".to_owned(),
        section => format!("[{section}]"),
    }
}
