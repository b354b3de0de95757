//! What may be typed for `bench`.

use clap::{Arg, ArgAction, Command};

use super::grammar::{config_file, many, once};
use crate::config::{TOKEN_VARIABLE, URL_VARIABLE};
use crate::listen::USUAL_CA;

/// Its part of the command line.
pub(super) fn grammar() -> Command {
    Command::new("bench")
        .about("Connects many clients to a WebSocket server, this one or another, and measures what each of them gets")
        .after_help(format!("{NOTE} The token may also stand in ${TOKEN_VARIABLE}."))
        .arg(Arg::new("url").value_name("URL").help(format!(
            "The server, such as wss://127.0.0.1:8080 [default: ${URL_VARIABLE}]"
        )))
        .args(door())
        .args(load())
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("Print the report as one line of JSON"),
        )
        .arg(config_file())
}

/// How clients come in.
fn door() -> [Arg; 8] {
    [
        once(
            "clients",
            "N",
            format!("How many clients [default: {CLIENTS}]"),
        ),
        once(
            "connecting",
            "N",
            format!("How many of them may be connecting at once [default: {CONNECTING}]"),
        ),
        once("token", "TOKEN", "The token to show"),
        once("token-file", "PATH", "A file that holds it"),
        once(
            "ca",
            "PATH",
            format!(
                "Certificate authority to trust besides the system's, PEM [default: {USUAL_CA}, if it is there]"
            ),
        ),
        many(
            "header",
            "NAME: VALUE",
            "A further header of the upgrade; may be repeated",
        ),
        once(
            "subprotocol",
            "NAME",
            "The subprotocol to ask for, such as signalcast.v2 [default: none]",
        ),
        once(
            "hello",
            "TEXT",
            "A message that each client sends first, such as a subscription; base64:… if it is not text [default: none]",
        ),
    ]
}

/// What they get, and what is measured.
fn load() -> [Arg; 15] {
    [
        once(
            "server",
            "COMMAND",
            "Start the server with this shell command, measure it, and stop it at the end [default: it runs already]",
        ),
        once(
            "pid",
            "PID",
            "The server's process: its CPU and memory, with all its children, are measured [default: that of --server]",
        ),
        once(
            "feed-to",
            "WHERE",
            "Feed the server: stdin (that of --server), file:PATH (lines are appended), exec:COMMAND (its standard input). Without it clients only receive what comes anyway",
        ),
        once(
            "rate",
            "N",
            format!(
                "Lines a second that are fed, or max: as fast as they are taken, even if clients lose lines [default: {RATE}]"
            ),
        ),
        once(
            "window",
            "N",
            "Feed as fast as all clients get it, with at most so many lines on their way; 1: one after the other",
        ),
        once(
            "batch",
            "N",
            format!("With --window or --rate max, the most lines in one write [default: {BATCH}]"),
        ),
        once(
            "lines",
            "N",
            "How many lines are fed [default: as many as --duration allows]",
        ),
        once(
            "line-bytes",
            "N",
            "How long a line is at least [default: 110 or so]",
        ),
        once(
            "symbols",
            "N",
            format!("How many symbols the lines have, one after the other [default: {SYMBOLS}]"),
        ),
        once(
            "filtered",
            "PERCENT",
            format!(
                "How many of a hundred clients ask for one symbol, each for the next [default: {FILTERED}]"
            ),
        ),
        once(
            "filter",
            "QUERY",
            format!(
                "What those add to the URL's query to get that symbol and no other [default: {FILTER}]"
            ),
        ),
        once(
            "warm-up",
            "N",
            format!("Lines before those that count, 100 a second [default: {WARM_UP}]"),
        ),
        once(
            "sequence",
            "NAME",
            format!(
                "Without --feed-to: the member of the messages' JSON that counts them [default: {SEQUENCE}]"
            ),
        ),
        once(
            "duration",
            "DURATION",
            format!(
                "How long to receive; with --feed-to, how long at most to feed [default: {DURATION}]"
            ),
        ),
        once(
            "settle",
            "DURATION",
            format!(
                "How long to wait before idle clients' memory is looked at [default: {SETTLE}]"
            ),
        ),
    ]
}

const NOTE: &str = "\
Exits with 1 if a client could not come or stay, or did not get everything once and in order. A line \
that is fed is a signal, marked as a test, with its number as the timestamp and the time as the \
price. docs/bench.md defines the figures.";

pub(super) const CLIENTS: &str = "100";
pub(super) const CONNECTING: &str = "64";
pub(super) const RATE: &str = "100";
pub(super) const BATCH: &str = "1";
pub(super) const SYMBOLS: &str = "1";
pub(super) const FILTERED: &str = "0";
pub(super) const FILTER: &str = "symbols={symbol}";
pub(super) const WARM_UP: &str = "20";
pub(super) const SEQUENCE: &str = "seq";
pub(super) const DURATION: &str = "10s";
pub(super) const SETTLE: &str = "700ms";
