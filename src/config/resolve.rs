//! Texts of settings to a [`Config`], all mistakes at once.

use std::num::NonZeroUsize;
use std::path::Path;

use super::{
    Auth, Config, DeadLetters, Hook, Hub, Journal, JournalKind, Layer, Limits, Log, LogFormat,
    Problem, Refusal, Refusals, Server, Settings, Signals, Surroundings, TestSignal, Transport,
    file, units, values,
};
use crate::journal::{Durability, Keeping, Retention};
use crate::server::OtherWays;

impl Config {
    /// Reads the file and the variables and settles everything.
    ///
    /// `flags` are the settings on the command line, `file` is what `--config` names. With the
    /// configuration come all mistakes; where there is one, it holds the default instead, and
    /// nothing may be started with it.
    pub fn read(flags: &Layer, file: Option<&Path>, around: &Surroundings) -> (Self, Refusals) {
        let (file, mut refusals) = file_layer(file, &around.folder);
        let (variables, mistakes) = around.layer();
        refusals.extend(mistakes);
        let settings = Settings::merge(flags, &variables, &file);
        let (config, mistakes) = Self::resolve(&settings, around);
        refusals.extend(mistakes);
        (config, refusals)
    }

    /// The configuration that nobody has touched, for tests to change.
    #[cfg(test)]
    pub(crate) fn defaults(around: &Surroundings) -> Self {
        let nothing = Layer::default();
        let settings = Settings::merge(&nothing, &nothing, &nothing);
        Self::resolve(&settings, around).0
    }

    /// Everything read, and what is wrong with single values; those are at their defaults.
    fn resolve(settings: &Settings, around: &Surroundings) -> (Self, Refusals) {
        let mut read = Reader {
            settings,
            refusals: Refusals::new(),
        };
        let data_dir = read.one("data_dir", values::path);
        let (connections, lowered) = read.connections(around.open_files);
        let mut config = Self {
            server: Server::read(&mut read, around),
            sources: read.list("sources", values::source),
            signals: Signals {
                max_age: read.one("signals.max_age", values::age_or_off),
            },
            hub: Hub {
                tail_bytes: read.one(
                    "hub.tail_bytes",
                    values::bytes(Hub::LEAST_TAIL_BYTES as u64),
                ),
            },
            dead_letters: DeadLetters {
                path: read
                    .optional("dead_letters.path", values::path)
                    .unwrap_or_else(|| data_dir.join("dead-letters.jsonl")),
                max_bytes: read.one("dead_letters.max_bytes", values::bytes(1)),
            },
            auth: Auth::read(&mut read),
            hooks: Hook::read_all(&mut read),
            limits: Limits::read(&mut read, connections, around.open_files),
            test: TestSignal {
                symbol: read.one("test.symbol", values::symbol),
                price: read.one("test.price", values::price),
            },
            journal: Journal::read(&mut read),
            log: Log {
                level: read.one("log.level", values::log_level),
                format: read.one(
                    "log.format",
                    values::word(&[("text", LogFormat::Text), ("json", LogFormat::Json)]),
                ),
            },
            data_dir,
            warnings: lowered
                .into_iter()
                .chain(anybodys_tokens(settings))
                .collect(),
            settings: settings.clone(),
        };
        let dead_letters = config.dead_letters.path.display();
        config.settings.work_out("dead_letters.path", dead_letters);
        config
            .settings
            .work_out("server.shards", config.server.shards);
        config
            .settings
            .work_out("limits.connections", config.limits.connections);
        config.warnings.extend(config.all_clients_at_one_address());
        config.warnings.extend(config.no_time_for_a_pong());
        (config, read.refusals)
    }
}

impl Server {
    fn read(read: &mut Reader<'_>, around: &Surroundings) -> Self {
        let listen = read.some("server.listen", values::address);
        let shards = most_shards(around.open_files);
        Self {
            listen,
            tls_cert: read.one("server.tls_cert", values::path),
            tls_key: read.one("server.tls_key", values::path),
            transport: if read.one("server.plaintext", values::switch) {
                Transport::Plaintext
            } else {
                Transport::Tls
            },
            behind_proxy: read.one("server.behind_proxy", values::switch),
            trusted_proxies: read.list("server.trusted_proxies", values::network),
            metrics_listen: read.one("server.metrics_listen", values::address_or_off),
            drain: read.one("server.drain", values::wait),
            dev: read.one("server.dev", values::switch),
            exit_on_eof: read.one("server.exit_on_eof", values::switch),
            wait_clients: read.one("server.wait_clients", values::count),
            shards: read
                .optional("server.shards", values::at_most(shards))
                .or_else(|| NonZeroUsize::new(around.cores.min(shards)))
                .unwrap_or(NonZeroUsize::MIN),
            cors_origins: read.list("server.cors_origins", values::origin),
        }
    }
}

impl Auth {
    fn read(read: &mut Reader<'_>) -> Self {
        let jwks = read.optional("auth.jwks", values::jwks);
        let jwt_key = match jwks {
            // Somebody else may issue all tokens.
            Some(_) => read.list("auth.jwt_key", values::path),
            None => read.some("auth.jwt_key", values::path),
        };
        Self {
            jwt_key,
            jwks,
            issuer: read.optional("auth.issuer", values::some_text),
            audience: read.optional("auth.audience", values::some_text),
            leeway: read.one("auth.leeway", units::duration),
            tokens: read.one("auth.tokens", values::path),
            failed_tries_per_minute: read.one("auth.failed_tries_per_minute", values::count_or_off),
            other_ways: OtherWays {
                query_token: read.one("auth.query_token", values::switch),
                first_message: read.one("auth.first_message", values::switch),
            },
        }
    }
}

impl Journal {
    fn read(read: &mut Reader<'_>) -> Self {
        let kinds = &[("sqlite", JournalKind::Sqlite), ("none", JournalKind::None)];
        let durabilities = &[("os", Durability::Os), ("disk", Durability::Disk)];
        let retention = Retention {
            age: read.one("journal.retain_age", values::age_or_off),
            bytes: read.one(
                "journal.retain_bytes",
                values::bytes_or_off(Self::LEAST_RETAIN_BYTES),
            ),
        };
        Self {
            kind: read.one("journal.kind", values::word(kinds)),
            keeping: Keeping {
                durability: read.one("journal.durability", values::word(durabilities)),
                retention,
            },
        }
    }
}

impl Limits {
    fn read(read: &mut Reader<'_>, connections: usize, open_files: Option<u64>) -> Self {
        Self {
            connections,
            open_files,
            connections_per_address: read
                .one("limits.connections_per_address", values::count_or_off),
            handshake: read.one("limits.handshake", values::wait),
            handshakes: read.one("limits.handshakes", values::at_least_one),
            message_bytes: read.one("limits.message_bytes", values::bytes(1)),
            commands_per_second: read.one("limits.commands_per_second", values::rate),
            ping: read.one("limits.ping", values::wait),
            silence: read.one("limits.silence", values::wait),
            heartbeat: read.one("limits.heartbeat", values::wait),
            write_timeout: read.one("limits.write_timeout", values::wait),
        }
    }
}

/// Each is a thread that opens 4 files: at most a quarter of what may be open is theirs. No
/// machine has as many cores as the other bound, and more shards than cores gain nothing.
fn most_shards(open_files: Option<u64>) -> usize {
    let files = open_files.map_or(usize::MAX, |files| {
        usize::try_from(files).unwrap_or(usize::MAX)
    });
    (files / 16).clamp(1, 1024)
}

/// Reads settings one by one and collects what is wrong with them.
pub(super) struct Reader<'a> {
    pub(super) settings: &'a Settings,
    refusals: Refusals,
}

impl Reader<'_> {
    /// A setting with a default.
    fn one<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, Problem>) -> T {
        if let Some(value) = self.optional(key, &parse) {
            return value;
        }
        let [text] = Settings::default_texts(key) else {
            panic!("bug: {key} has no default");
        };
        match parse(text) {
            Ok(value) => value,
            Err(problem) => panic!("bug: the default of {key} {}", problem.reason),
        }
    }

    /// A setting without a default, or with one that is worked out.
    pub(super) fn optional<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        let text = self.settings.given(key).texts.first()?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.refuse(key, &problem);
                None
            }
        }
    }

    pub(super) fn list<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Vec<T> {
        let mut values = Vec::new();
        for text in &self.settings.given(key).texts {
            match parse(text) {
                Ok(value) => values.push(value),
                Err(problem) => self.refuse(key, &problem),
            }
        }
        values
    }

    /// A list that must hold something.
    fn some<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, Problem>) -> Vec<T> {
        if self.settings.given(key).texts.is_empty() {
            self.refuse(key, &Problem::new("is empty", "write at least one"));
        }
        self.list(key, parse)
    }

    /// The connection limit, and what to say when open files hold it below what was wanted.
    fn connections(&mut self, open_files: Option<u64>) -> (usize, Option<String>) {
        let key = "limits.connections";
        let wanted = self
            .optional(key, values::at_least_one)
            .map_or(MOST_CONNECTIONS, usize::from);
        let possible = open_files.map_or(usize::MAX, |files| {
            usize::try_from(files.saturating_sub(FILES_FOR_OURSELVES))
                .unwrap_or(usize::MAX)
                .max(LEAST_CONNECTIONS)
        });
        if wanted <= possible {
            return (wanted, None);
        }
        let files = open_files.unwrap_or(u64::MAX);
        let said = format!(
            "{key}: {possible} connections instead of {wanted}, since this process may have {files} files open; raise the limit (ulimit -n, LimitNOFILE=)"
        );
        (possible, Some(said))
    }

    pub(super) fn refuse(&mut self, key: &str, problem: &Problem) {
        self.refusals.push(Refusal::new(
            &self.settings.given(key).origin,
            &problem.reason,
            &problem.remedy,
        ));
    }
}

/// What to say when tokens that an issuer makes for other servers are good here.
fn anybodys_tokens(settings: &Settings) -> Option<String> {
    let is_set = |key| !settings.given(key).texts.is_empty();
    (is_set("auth.jwks") && !is_set("auth.audience")).then(|| {
        "auth.jwks: tokens that its issuer makes for others are good here too; say what this server is called in them with auth.audience".to_owned()
    })
}

/// What one process serves on a machine that allows it the files.
const MOST_CONNECTIONS: usize = 100_000;

/// Listeners, sources, journal, dead letters, and connections that are about to be refused.
const FILES_FOR_OURSELVES: u64 = 200;

/// However few files are allowed: an operator must get in to see what is wrong.
const LEAST_CONNECTIONS: usize = 16;

/// The file's settings. Its absence matters only when it was asked for.
fn file_layer(asked_for: Option<&Path>, folder: &Path) -> (Layer, Refusals) {
    let name = asked_for.unwrap_or(Path::new(Config::FILE));
    let refused = |thing: &str, reason: String, remedy: &str| {
        let refusal = Refusal::new(thing, reason, remedy);
        (Layer::default(), refusal.into())
    };
    match std::fs::read(folder.join(name)) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => file::read(&name.display().to_string(), &text),
            Err(_) => refused(
                &name.display().to_string(),
                "is not UTF-8".to_owned(),
                "save it as UTF-8",
            ),
        },
        Err(error) if asked_for.is_some() => refused(
            "--config",
            format!("can't read {}: {error}", name.display()),
            "name a file that exists and may be read",
        ),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            (Layer::default(), Refusals::new())
        }
        Err(error) => refused(
            Config::FILE,
            format!("can't be read: {error}"),
            "make it readable or move it away",
        ),
    }
}
