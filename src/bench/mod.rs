//! `signalcast bench`: many clients on one WebSocket URL, and what each of them gets.
//!
//! One thread holds all clients; another writes the feed, if this tool feeds the server. A message is
//! not parsed: its number and its time are looked for in its bytes. docs/bench.md defines the figures.

use std::io;

mod client;
mod command;
mod crowd;
mod ended;
mod feed;
mod frames;
mod gaps;
mod histogram;
mod interrupt;
mod judge;
mod line;
mod mark;
mod measure;
mod moment;
mod options;
mod process;
mod progress;
mod report;
mod run;
mod start;
mod summary;
mod tally;
mod target;
mod text;
mod tls;
mod upgrade;
mod verifier;
mod wanted;
mod warnings;

pub(crate) use feed::Pace;
pub(crate) use line::Symbols;
pub use options::Options;
pub(crate) use options::{AuthorityFile, Feed, FeedTo, Filter, Form, PLACE_OF_SYMBOL};
pub use report::Report;
pub use run::run;

/// There is nothing to report.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The URL leads nowhere.
    #[error("{0}: the address can't be used")]
    Address(String, #[source] io::Error),
    /// Nobody is there to be trusted.
    #[error("{0}: can't be read: {1}; name a PEM file of certificates with --ca")]
    Authority(String, String),
    /// The system refuses what it takes to measure.
    #[error("can't measure")]
    System(#[from] io::Error),
    /// A command can't be started.
    #[error("{0}: can't be started")]
    Command(String, #[source] io::Error),
    /// The server that was started does not run.
    #[error("the server ended before it was measured: {0}")]
    ServerEnded(std::process::ExitStatus),
    /// Nobody listens.
    #[error("nobody listens at {0}; is the server running?")]
    NobodyListens(std::net::SocketAddr),
    /// Somebody would be taken for the server that is to be started.
    #[error(
        "somebody listens at {0} before the server is started; end that, or leave --server out to measure it"
    )]
    SomebodyListens(std::net::SocketAddr),
    /// The feed can't be written.
    #[error("{0}: can't be written")]
    Feed(String, #[source] io::Error),
    /// The feed is a pipe without a reader.
    #[error("{0}: nobody reads this pipe; start the server on it first")]
    NobodyReads(String),
    /// The warm-up is still in a write, and nothing can be fed.
    #[error("the feed takes no lines any more; does the server read all of it?")]
    FeedHangs,
    /// Somebody has ended the run.
    #[error("ended before there was anything to measure")]
    Interrupted,
    /// No such process.
    #[error("there is no process {0} to measure; name the server's pid, or leave --pid out")]
    NoProcess(u32),
    /// Not one client came in.
    #[error("no client could connect: {0}")]
    NoClient(String),
}
