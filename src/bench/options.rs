use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Uri};

use super::feed::Pace;
use super::line::Symbols;
use super::report::Report;

/// What `bench` was asked for.
#[derive(Clone)]
pub struct Options {
    pub(crate) url: Uri,
    /// Whom to trust; none without TLS.
    pub(crate) tls: Option<AuthorityFile>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) subprotocol: Option<String>,
    /// What each client says first.
    pub(crate) hello: Option<Vec<u8>>,
    pub(crate) clients: NonZeroUsize,
    /// How many connections may be on their way to be open.
    pub(crate) connecting: NonZeroUsize,
    /// A command that runs the server.
    pub(crate) server: Option<String>,
    /// The server, if it runs already.
    pub(crate) pid: Option<NonZeroU32>,
    pub(crate) feed: Option<Feed>,
    /// Without a feed, how long to receive; with one, the longest that it may take.
    pub(crate) duration: Duration,
    /// How long to wait before the idle server is looked at.
    pub(crate) settle: Duration,
    /// Without a feed, the member that numbers messages.
    pub(crate) sequence: String,
    pub(crate) form: Form,
}

/// A file of authorities that are trusted besides the system's. Who starts the server may find it
/// only then.
#[derive(Clone, Debug)]
pub(crate) struct AuthorityFile(pub(crate) PathBuf);

/// What is fed, and how.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    pub(crate) to: FeedTo,
    pub(crate) pace: Pace,
    /// How many lines; as many as the time allows if nothing is said.
    pub(crate) lines: Option<u64>,
    /// Lines before those that are counted.
    pub(crate) warm_up: u64,
    pub(crate) batch: NonZeroUsize,
    pub(crate) line_bytes: usize,
    pub(crate) symbols: Symbols,
    pub(crate) filter: Option<Filter>,
}

/// Some clients ask for the lines of one symbol each.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    /// How many of a hundred clients.
    pub(crate) percent: u8,
    /// The feed's.
    pub(crate) symbols: Symbols,
    /// What is added to the query of their URL, with a place for the symbol.
    pub(crate) query: String,
}

/// Where the symbol is to stand in a filter's query.
pub(crate) const PLACE_OF_SYMBOL: &str = "{symbol}";

/// Who takes the lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FeedTo {
    /// The standard input of the server that was started.
    Server,
    /// A file that the server follows.
    File(PathBuf),
    /// The standard input of another command.
    Command(String),
}

/// How the report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl Options {
    /// Who asks for what, if not all ask for everything.
    pub(super) fn filter(&self) -> Option<&Filter> {
        self.feed.as_ref()?.filter.as_ref()
    }

    /// The report in the form that was asked for.
    #[must_use]
    pub fn shown(&self, report: &Report) -> String {
        match self.form {
            Form::Text => report.to_string(),
            Form::Json => report.to_json() + "\n",
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Headers and the query may hold secrets.
        f.debug_struct("Options")
            .field("clients", &self.clients)
            .field("feed", &self.feed)
            .finish_non_exhaustive()
    }
}
