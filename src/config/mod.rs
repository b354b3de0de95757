use std::fmt;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderValue;
use ipnet::IpNet;

use crate::auth::JwtRules;
use crate::journal::Keeping;
use crate::server::{Limits, OtherWays};
use crate::session::TestSignal;
use crate::source::Spec;

mod check;
mod environment;
mod file;
mod folders;
mod hooks;
mod layer;
pub(crate) mod named;
mod print;
mod refusal;
mod resolve;
pub(crate) mod suggest;
pub mod table;
pub mod units;
mod values;

pub use environment::Surroundings;
pub(crate) use environment::{TOKEN_VARIABLE, URL_VARIABLE};
pub use hooks::Hook;
pub use layer::{Given, Layer, Origin, Settings};
pub use named::Key;
pub use refusal::{Problem, Refusal, Refusals};

/// What the server does, settled: every setting resolved and checked by itself.
///
/// It is made once, before anything is opened, and never changes. Relative paths count from the
/// current folder, wherever they were written.
#[derive(Clone, Debug)]
pub struct Config {
    /// The doors.
    pub server: Server,
    /// Where signals come from; may be empty.
    pub sources: Vec<Spec>,
    /// Folder for what the server keeps.
    pub data_dir: PathBuf,
    /// Rules for all signals.
    pub signals: Signals,
    /// The hot tail.
    pub hub: Hub,
    /// Where unreadable lines go.
    pub dead_letters: DeadLetters,
    /// Who gets in.
    pub auth: Auth,
    /// Doors for senders that can't set headers, in the order of their names.
    pub hooks: Vec<Hook>,
    /// What one client, and all together, may use.
    pub limits: Limits,
    /// The answer to `test`.
    pub test: TestSignal,
    /// Where signals are kept.
    pub journal: Journal,
    /// What is said on stderr.
    pub log: Log,
    /// What the operator should know although it keeps nothing from starting; for the log.
    pub warnings: Vec<String>,
    settings: Settings,
}

/// `server.*`
#[derive(Clone, Debug)]
pub struct Server {
    /// Addresses to listen on, at least one.
    pub listen: Vec<SocketAddr>,
    /// Certificate chain, PEM.
    pub tls_cert: PathBuf,
    /// Its private key, PEM.
    pub tls_key: PathBuf,
    /// Whether connections are encrypted here.
    pub transport: Transport,
    /// A proxy in front does TLS.
    pub behind_proxy: bool,
    /// Where that proxy's connections come from: from there, and nowhere else, its word for a
    /// client's address is taken. Only set with `behind_proxy`.
    pub trusted_proxies: Vec<IpNet>,
    /// Where `GET /metrics` is answered. None: nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// Longest time from the stop signal to the end of the process.
    pub drain: Duration,
    /// For development: what is dangerous on a network is permitted.
    pub dev: bool,
    /// End when every finite source has ended.
    pub exit_on_eof: bool,
    /// Open the sources only when this many clients are subscribed.
    pub wait_clients: usize,
    /// Threads that serve clients.
    pub shards: NonZeroUsize,
    /// Origins whose pages may call the HTTP API, as browsers write them; `*`: all.
    pub cors_origins: Vec<HeaderValue>,
}

/// Whether connections are encrypted here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `wss://`
    Tls,
    /// `ws://`
    Plaintext,
}

/// `signals.*`
#[derive(Clone, Debug)]
pub struct Signals {
    /// What is older is not sent; whole seconds. None: age does not matter.
    pub max_age: Option<Duration>,
}

/// `hub.*`
#[derive(Clone, Debug)]
pub struct Hub {
    /// Memory for the newest signals as ready frames; at least [`Hub::LEAST_TAIL_BYTES`].
    pub tail_bytes: usize,
}

/// `dead_letters.*`
#[derive(Clone, Debug)]
pub struct DeadLetters {
    /// The file; in the data folder unless set.
    pub path: PathBuf,
    /// Size at which it is rotated.
    pub max_bytes: u64,
}

/// `auth.*`
#[derive(Clone, Debug)]
pub struct Auth {
    /// Files with keys, at least one unless there is a key set.
    pub jwt_key: Vec<PathBuf>,
    /// Where more public keys are, as a JSON Web Key Set (RFC 7517). None: nowhere.
    pub jwks: Option<Jwks>,
    /// The `iss` that tokens must have. None: any or none.
    pub issuer: Option<String>,
    /// The `aud` that tokens must have. None: any or none.
    pub audience: Option<String>,
    /// How far clocks may differ.
    pub leeway: Duration,
    /// File of opaque tokens and revocations; it need not be there.
    pub tokens: PathBuf,
    /// Refused credentials per address and minute. None: no limit.
    pub failed_tries_per_minute: Option<NonZeroU32>,
    /// How those may be let in who can't set headers.
    pub other_ways: OtherWays,
}

impl Auth {
    /// What a JWT must say.
    pub fn jwt_rules(&self) -> JwtRules {
        JwtRules {
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            leeway: self.leeway,
        }
    }
}

/// Where a JSON Web Key Set is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Jwks {
    /// In a file.
    File(PathBuf),
    /// Behind an `https` URL with a host.
    Url(Uri),
}

/// `journal.*`
#[derive(Clone, Debug)]
pub struct Journal {
    /// Where signals are kept.
    pub kind: JournalKind,
    /// How they are kept there.
    pub keeping: Keeping,
}

/// Where signals are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalKind {
    /// In a database in the data folder.
    Sqlite,
    /// In memory only: gone when the process ends.
    None,
}

/// `log.*`
#[derive(Clone, Debug)]
pub struct Log {
    /// A level, or directives of `tracing_subscriber::EnvFilter`, which takes it as it is.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

/// How lines of the log look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// The file that is read when it is there and `--config` names no other.
    pub const FILE: &str = "signalcast.toml";

    /// A refusal of what this setting says, named as the user wrote it.
    pub fn refusal(
        &self,
        key: &str,
        reason: impl fmt::Display,
        remedy: impl fmt::Display,
    ) -> Refusal {
        Refusal::new(&self.settings.given(key).origin, reason, remedy)
    }

    /// Whether somebody set this to something else than its default. Who writes the default down
    /// (as `--print-config` does) means the same as who says nothing.
    pub fn is_set(&self, key: &str) -> bool {
        self.settings.is_set(key)
    }
}

impl Journal {
    /// What a database without signals takes fits several times.
    pub const LEAST_RETAIN_BYTES: u64 = 1 << 20;
}

impl Hub {
    /// Room for the longest signal, in each of its forms.
    pub const LEAST_TAIL_BYTES: usize = 256 << 10;
}
