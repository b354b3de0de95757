//! The tables of settings. Flags, variables, TOML keys and the help all come from them.

use std::fmt::Write;

/// One thing that can be set, under one name in three places.
#[derive(Debug)]
pub struct Setting {
    /// Its name, and its place in the TOML file: `auth.issuer`.
    pub key: &'static str,
    /// A shorter flag for the same, without the dashes: `listen`.
    pub short: Option<&'static str>,
    /// What its values look like.
    pub kind: Kind,
    /// Whether it takes one value or any number of them.
    pub arity: Arity,
    /// What holds when nobody says otherwise.
    pub default: Fallback,
    /// What it is for, with the unit.
    pub help: &'static str,
}

/// What the values of a setting look like. Parsing them is not its business: it is what the help
/// says and which flags stand alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`; the flag may stand alone.
    Switch,
    /// A whole number.
    Count,
    /// [`super::units::duration`].
    Duration,
    /// [`super::units::bytes`].
    Bytes,
    /// A socket address.
    Address,
    /// An IP address, or a network of them.
    Network,
    /// A path, from the current folder.
    Path,
    /// Where signals come from.
    Source,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any other text, shown in the help as this word.
    Text(&'static str),
}

/// How many values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// Exactly one.
    One,
    /// Several: a TOML array, a repeated flag, one a line in the variable.
    List,
}

/// What holds when a setting is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// These texts, as if somebody had typed them.
    Texts(&'static [&'static str]),
    /// Worked out from other settings or the machine; this is how the help puts it.
    WorkedOut(&'static str),
}

/// The setting of this key, none of a hook's.
///
/// # Panics
/// When there is none, which is a bug: keys that users write are looked up in [`SETTINGS`].
pub fn setting(key: &str) -> &'static Setting {
    SETTINGS
        .iter()
        .find(|setting| setting.key == key)
        .unwrap_or_else(|| panic!("bug: no setting {key}"))
}

impl Setting {
    /// Its table in the TOML file, empty if it stands outside of all: `auth`.
    pub fn section(&self) -> &'static str {
        self.key.rsplit_once('.').map_or("", |(section, _)| section)
    }

    /// Its name within its section: `issuer`.
    pub fn last_part(&self) -> &'static str {
        self.key.rsplit('.').next().unwrap_or(self.key)
    }

    /// The long flag without its dashes: `auth-issuer`.
    pub fn flag(&self) -> String {
        self.key.replace(['.', '_'], "-")
    }

    /// The flag that the help shows: the short one if there is one.
    pub fn shown_flag(&self) -> String {
        self.short.map_or_else(|| self.flag(), str::to_owned)
    }

    /// The variable: `SIGNALCAST_AUTH_ISSUER`.
    pub fn variable(&self) -> String {
        let name = self.key.replace('.', "_").to_ascii_uppercase();
        format!("{VARIABLE_PREFIX}{name}")
    }

    /// What stands for the value in the help.
    pub fn value_name(&self) -> &'static str {
        match self.kind {
            Kind::Switch => "true|false",
            Kind::Count => "NUMBER",
            Kind::Duration => "DURATION",
            Kind::Bytes => "BYTES",
            Kind::Address => "ADDRESS",
            Kind::Network => "NETWORK",
            Kind::Path => "PATH",
            Kind::Source => "SOURCE",
            Kind::Choice(_) => "WORD",
            Kind::Text(name) => name,
        }
    }

    /// The help text, its default included.
    pub fn full_help(&self) -> String {
        let mut help = self.help.to_owned();
        if self.arity == Arity::List {
            help.push_str("; may be repeated");
        }
        let default = match (self.default, self.kind) {
            (Fallback::Texts([]), _) => "none".to_owned(),
            (Fallback::Texts(["false"]), Kind::Switch) => "off".to_owned(),
            (Fallback::Texts(texts), _) => texts.join(", "),
            (Fallback::WorkedOut(shown), _) => shown.to_owned(),
        };
        let _ = write!(help, " [default: {default}]");
        if self.short.is_some() {
            let _ = write!(help, " [also --{}]", self.flag());
        }
        help
    }

    const fn new(key: &'static str, kind: Kind, default: Fallback, help: &'static str) -> Self {
        Self {
            key,
            short: None,
            kind,
            arity: Arity::One,
            default,
            help,
        }
    }

    const fn short(mut self, flag: &'static str) -> Self {
        self.short = Some(flag);
        self
    }

    const fn list(mut self) -> Self {
        self.arity = Arity::List;
        self
    }
}

/// What every variable of ours starts with.
pub const VARIABLE_PREFIX: &str = "SIGNALCAST_";

use Fallback::{Texts, WorkedOut};
use Kind::{Address, Bytes, Choice, Count, Duration, Network, Path, Source, Switch, Text};

/// Every setting, in the order in which the help shows them.
pub const SETTINGS: &[Setting] = &[
    // Loopback: who starts it without thinking opens nothing to the network.
    Setting::new("server.listen", Address, Texts(&["127.0.0.1:8080"]), "Address and port to listen on").list().short("listen"),
    Setting::new("server.tls_cert", Path, Texts(&["certs/server.pem"]), "Certificate chain for TLS, PEM").short("tls-cert"),
    Setting::new("server.tls_key", Path, Texts(&["certs/server.key"]), "Private key of the certificate, PEM, readable by its owner only").short("tls-key"),
    Setting::new("server.plaintext", Switch, Texts(&["false"]), "Speak ws:// instead of wss://: no encryption; on loopback addresses only, unless --dev or --behind-proxy").short("plaintext"),
    Setting::new("server.behind_proxy", Switch, Texts(&["false"]), "A proxy in front of this server does TLS: permits --plaintext on any address").short("behind-proxy"),
    Setting::new("server.trusted_proxies", Network, Texts(&[]), "Addresses or networks (10.0.0.0/8) of that proxy, whose word for a client's address is taken; with --behind-proxy").list(),
    Setting::new("server.metrics_listen", Address, Texts(&["off"]), "Address and port for GET /metrics, unencrypted and without token, or off").short("metrics-listen"),
    // Supervisors kill after 10 s (Docker) to 90 s (systemd): be done before the first of them.
    Setting::new("server.drain", Duration, Texts(&["10s"]), "Longest time for clients to get what was read before the process ends").short("drain"),
    Setting::new("server.dev", Switch, Texts(&["false"]), "For development: permits --plaintext and the development certificate on any address").short("dev"),
    Setting::new("server.exit_on_eof", Switch, Texts(&["false"]), "End when every finite source has ended and all clients have all signals").short("exit-on-eof"),
    Setting::new("server.wait_clients", Count, Texts(&["0"]), "Open the sources only when this many clients are subscribed").short("wait-clients"),
    Setting::new("server.shards", Count, WorkedOut("the number of cores"), "Threads that serve clients").short("shards"),
    Setting::new("server.cors_origins", Text("ORIGIN"), Texts(&[]), "Where pages come from (https://app.example.org) whose scripts may call the HTTP API, or *").list(),
    Setting::new("sources", Source, Texts(&["file:signals/*.jsonl"]), "Where signals come from: stdin, file:PATH (a glob too), exec:COMMAND").list().short("source"),
    Setting::new("data_dir", Path, Texts(&["data"]), "Folder for what the server keeps; made if missing"),
    Setting::new("journal.kind", Choice(&["sqlite", "none"]), Texts(&["sqlite"]), "Where signals are kept: sqlite (signals.db in the data folder) or none (in memory only, gone when the process ends)").short("journal"),
    // What a crash of the machine may cost is a moment; a sync for each commit costs milliseconds.
    Setting::new("journal.durability", Choice(&["os", "disk"]), Texts(&["os"]), "What a recorded signal survives: os (the end of the process, however it ends) or disk (a loss of power too; slower)").short("durability"),
    Setting::new("journal.retain_age", Duration, Texts(&["off"]), "Let go of signals that were received longer ago than this, in whole seconds, or off"),
    Setting::new("journal.retain_bytes", Bytes, Texts(&["off"]), "Let go of the oldest signals when all take more than this in signals.db, or off"),
    Setting::new("signals.max_age", Duration, Texts(&["off"]), "Send no signal that is older than this, in whole seconds, or off").short("max-age"),
    // Half a million signals of the usual 120 bytes.
    Setting::new("hub.tail_bytes", Bytes, Texts(&["64MiB"]), "Memory for the newest signals, as ready frames"),
    Setting::new("dead_letters.path", Path, WorkedOut("dead-letters.jsonl in the data folder"), "File for lines that can't be read"),
    Setting::new("dead_letters.max_bytes", Bytes, Texts(&["64MiB"]), "Size at which that file is rotated"),
    Setting::new("auth.jwt_key", Path, Texts(&["certs/jwt.key"]), "Key for tokens: a secret of at least 32 bytes, or a PEM public key; the first one that can sign signs").list().short("jwt-key"),
    Setting::new("auth.jwks", Text("PATH|URL"), Texts(&[]), "More public keys for tokens, as JWKS: a file or an https URL"),
    Setting::new("auth.issuer", Text("TEXT"), Texts(&[]), "The iss that tokens must have"),
    Setting::new("auth.audience", Text("TEXT"), Texts(&[]), "The aud that tokens must have"),
    // Clocks kept by NTP differ by far less; those that are not, by more than anyone should forgive.
    Setting::new("auth.leeway", Duration, Texts(&["30s"]), "How far clocks may differ when a token's times are judged"),
    Setting::new("auth.tokens", Path, Texts(&["certs/tokens.toml"]), "Opaque tokens (hashed) and revocations, kept by signalcast token").short("tokens"),
    Setting::new("auth.failed_tries_per_minute", Count, Texts(&["20"]), "Refused tokens per address and minute before 429; 0: no limit"),
    // Proxies, browsers and their histories note URLs down.
    Setting::new("auth.query_token", Switch, Texts(&["false"]), "Take a token from the URL, too (?token=TOKEN): for clients that can do nothing else, since URLs end up in logs"),
    Setting::new("auth.first_message", Switch, Texts(&["false"]), "Open a WebSocket without a token, too, and take that from the first message, within 10 s"),
    Setting::new("limits.connections", Count, WorkedOut("100000, or the open-file limit less 200"), "Most connections at once"),
    Setting::new("limits.connections_per_address", Count, Texts(&["off"]), "Most connections from one address (IPv4, or IPv6 /64), or off"),
    Setting::new("limits.handshake", Duration, Texts(&["10s"]), "Longest time for TLS and the upgrade together"),
    Setting::new("limits.handshakes", Count, Texts(&["64"]), "Handshakes at once, per shard"),
    // What a line of a feed may have, too.
    Setting::new("limits.message_bytes", Bytes, Texts(&["65536"]), "Longest message a client may send"),
    Setting::new("limits.commands_per_second", Count, Texts(&["10"]), "Commands a client may send per second, in bursts of twice as many"),
    Setting::new("limits.ping", Duration, Texts(&["30s"]), "Time between WebSocket pings"),
    // Four pings: a bot may be busy placing an order.
    Setting::new("limits.silence", Duration, Texts(&["120s"]), "A client that sends nothing at all for this long is disconnected"),
    Setting::new("limits.heartbeat", Duration, Texts(&["30s"]), "A client of signalcast.v2 that was sent nothing for this long is sent a heartbeat"),
    Setting::new("limits.write_timeout", Duration, Texts(&["60s"]), "A client that accepts no bytes for this long is disconnected"),
    Setting::new("test.symbol", Text("SYMBOL"), Texts(&["BTCUSDT"]), "Symbol of the signal that answers a test"),
    Setting::new("test.price", Text("PRICE"), Texts(&["75000.00"]), "Price of the signal that answers a test"),
    Setting::new("log.level", Text("LEVEL"), Texts(&["info"]), "What is logged: off, error, warn, info, debug, trace, or directives such as info,signalcast::hub=debug").short("log"),
    Setting::new("log.format", Choice(&["text", "json"]), Texts(&["text"]), "Form of the log: text or json"),
];

/// The settings of each hook: NAME in a key stands for what the hook is called.
pub const HOOK_SETTINGS: &[Setting] = &[
    Setting::new(
        "hooks.NAME.secret_file",
        Path,
        Texts(&[]),
        "File with the secret that ends the hook's URL, at least 16 characters, readable by its owner only; NAME is 1 to 32 of a-z 0-9 _, in flags with - for _",
    ),
    Setting::new(
        "hooks.NAME.allow",
        Network,
        Texts(&[]),
        "Addresses or networks (10.0.0.0/8) of its sender; without any, it may be anywhere",
    )
    .list(),
    Setting::new(
        "hooks.NAME.words",
        Text("WORD=SIDE"),
        Texts(&[]),
        "What its sender says for buy and sell beside the usual words, as in exit=sell",
    )
    .list(),
    Setting::new(
        "hooks.NAME.map.symbol",
        Text("PLACE"),
        Texts(&[]),
        "Where the symbol is in its sender's JSON: a JSON pointer such as /symbol, or = and what it always is, as in =BTCUSDT",
    ),
    Setting::new(
        "hooks.NAME.map.side",
        Text("PLACE"),
        Texts(&[]),
        "The same for buy or sell",
    ),
    Setting::new(
        "hooks.NAME.map.price",
        Text("PLACE"),
        Texts(&[]),
        "The same for the price",
    ),
    Setting::new(
        "hooks.NAME.map.timestamp",
        Text("PLACE"),
        Texts(&[]),
        "The same for the time; without it, when the signal was received",
    ),
    Setting::new(
        "hooks.NAME.map.id",
        Text("PLACE"),
        Texts(&[]),
        "A JSON pointer to what tells one signal from another; without it, the whole body does",
    ),
    Setting::new(
        "hooks.NAME.map.is_test",
        Text("PLACE"),
        Texts(&[]),
        "The same as for the symbol for whether it is a test, true or false; without it, none is",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn one_name_in_three_places() {
        let tries = setting("auth.failed_tries_per_minute");
        assert_eq!(tries.flag(), "auth-failed-tries-per-minute");
        assert_eq!(tries.variable(), "SIGNALCAST_AUTH_FAILED_TRIES_PER_MINUTE");
    }

    #[test]
    fn no_two_settings_share_a_flag_or_a_variable() {
        let mut names = HashSet::new();
        for setting in SETTINGS.iter().chain(HOOK_SETTINGS) {
            assert!(names.insert(setting.variable()), "{}", setting.key);
            assert!(names.insert(setting.flag()), "{}", setting.key);
            if let Some(short) = setting.short {
                assert!(names.insert(short.to_owned()), "{}", setting.key);
            }
        }
    }
}
