//! The `signalcast` command.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context;
use signalcast::check::Check;
use signalcast::cli::{self, Command, Stop};
use signalcast::config::{Config, Refusals, Surroundings};
use signalcast::serve::{self, ServeError};
use signalcast::server::Process;
use signalcast::{bench, cert, check, feed, listen, replay, token};
use tikv_jemallocator::Jemalloc;

/// Cheaper than the system's for the many short-lived allocations of handshakes and TLS records, and
/// what a flood of connections took is given back within seconds.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let args: Vec<OsString> = env::args_os().collect();
    // First of all: who stops a server that is just starting must not kill it.
    let process = (args.get(1).is_some_and(|command| command == "serve")).then(Process::begin);
    let around = Surroundings::of_this_process();
    let done = match cli::parse(args, &around) {
        Ok(command) => run(command, process),
        Err(Stop::Show(text)) => print(&text).map(|()| ExitCode::SUCCESS),
        Err(Stop::Usage(text)) => Ok(said(&text, USAGE)),
        Err(Stop::Refused(refusals)) => Err(refusals.into()),
    };
    done.unwrap_or_else(exit_code)
}

fn run(command: Command, process: Option<io::Result<Process>>) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(config) => serve(&config, process)?,
        Command::TokenIssue(config, issue) => {
            let token = token::issue(&config, &issue, SystemTime::now)?;
            print(&format!("{}\n", token.reveal()))?;
        }
        Command::TokenInspect(config, token) => {
            let found = token::inspect(&config, &token, SystemTime::now())?;
            print(&found.to_string())?;
            if !found.is_good() {
                return Ok(ExitCode::from(FAILED));
            }
        }
        Command::TokenList(config) => print(&token::list(&config, SystemTime::now())?)?,
        Command::TokenRevoke(config, target) => {
            let words = token::revoke(&config, &target, SystemTime::now())?;
            print(&format!("revoked {words}\n"))?;
        }
        Command::Cert(config, request) => {
            print(&cert::make(&config, &request, SystemTime::now())?)?;
        }
        Command::Check(check) => return run_check(&check),
        Command::Listen(options) => listen::run(&options)?,
        Command::Feed(options) => return run_feed(&options),
        Command::Replay(options) => replay::run(&options)?,
        Command::Bench(options) => return run_bench(&options),
    }
    Ok(ExitCode::SUCCESS)
}

fn serve(config: &Config, process: Option<io::Result<Process>>) -> anyhow::Result<()> {
    let process = process.unwrap_or_else(Process::begin);
    let process = process.context("can't catch SIGTERM")?;
    let program = env::args()
        .next()
        .unwrap_or_else(|| "signalcast".to_owned());
    serve::run(config, &program, process).map_err(|error| match error {
        ServeError::Refused(refusals) => refusals.into(),
        other => other.into(),
    })
}

/// What was seen goes to stderr, so that stdout has nothing but what is wrong.
fn run_check(subjects: &Check) -> anyhow::Result<ExitCode> {
    let report = check::run(subjects, io::stdout().lock())?;
    let code = if report.is_fine() { 0 } else { FAILED };
    Ok(said(&format!("{report}\n"), code))
}

/// Exit code 1 if there was a line that is no signal.
fn run_feed(options: &feed::Options) -> anyhow::Result<ExitCode> {
    let done = feed::run(options)?;
    Ok(ExitCode::from(if done.refused == 0 { 0 } else { FAILED }))
}

/// Exit code 1 if a client did not get everything once and in order.
fn run_bench(options: &bench::Options) -> anyhow::Result<ExitCode> {
    let report = bench::run(options)?;
    print(&options.shown(&report))?;
    Ok(ExitCode::from(if report.is_clean() { 0 } else { FAILED }))
}

fn exit_code(error: anyhow::Error) -> ExitCode {
    match error.downcast::<Refusals>() {
        Ok(refusals) => said(&format!("{refusals}\n"), USAGE),
        Err(error) => said(&format!("signalcast: {error:#}\n"), FAILED),
    }
}

/// Says it on stderr; who has closed that does not want to know.
fn said(text: &str, code: u8) -> ExitCode {
    let _ = io::stderr().write_all(text.as_bytes());
    ExitCode::from(code)
}

/// A reader that has seen enough (`| head`) is no failure.
fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("can't write to stdout")
        }
        _ => Ok(()),
    }
}

/// Failed while running.
const FAILED: u8 = 1;

/// Usage or configuration.
const USAGE: u8 = 2;
