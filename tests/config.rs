//! What a user types, sets and writes, and what the program makes of it or says to it.

use std::fs;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use signalcast::cli::{self, Command, Stop};
use signalcast::config::table::{Arity, HOOK_SETTINGS, Kind, SETTINGS, Setting};
use signalcast::config::{Config, Jwks, LogFormat, Surroundings, Transport};

/// One way to start the program, in a folder of its own.
struct Start {
    folder: tempfile::TempDir,
    variables: Vec<(&'static str, &'static str)>,
    open_files: Option<u64>,
}

impl Start {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder for the test"),
            variables: Vec::new(),
            open_files: None,
        }
    }

    fn file(self, text: &str) -> Self {
        let file = self.folder.path().join(Config::FILE);
        fs::write(file, text).expect("the folder can be written to");
        self
    }

    fn variable(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.push((name, value));
        self
    }

    fn open_files(mut self, limit: u64) -> Self {
        self.open_files = Some(limit);
        self
    }

    /// The words are split at blanks. Data goes into the folder unless something else is said.
    fn parse(&self, command: &str) -> Result<Command, Stop> {
        let data_dir = format!("--data-dir={}", self.folder.path().join("data").display());
        let mut args: Vec<String> = vec!["signalcast".to_owned()];
        args.extend(command.split_whitespace().map(str::to_owned));
        if command.starts_with("serve") && !command.contains("--data-dir") {
            args.push(data_dir);
        }
        let around = Surroundings {
            folder: self.folder.path().to_owned(),
            variables: self
                .variables
                .iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            cores: 6,
            open_files: self.open_files,
        };
        cli::parse(args.into_iter().map(Into::into).collect(), &around)
    }

    /// What `serve --print-config` shows.
    fn printed(&self, flags: &str) -> String {
        match self.parse(&format!("serve --print-config {flags}")) {
            Err(Stop::Show(text)) => text,
            other => panic!("{flags}: {other:?}"),
        }
    }

    fn serve(&self, flags: &str) -> Config {
        match self.parse(&format!("serve {flags}")) {
            Ok(Command::Serve(config)) => *config,
            other => panic!("{flags}: {other:?}"),
        }
    }

    /// What is said on stderr instead of a start, the folder's name left out.
    fn refused(&self, command: &str) -> String {
        match self.parse(command) {
            Err(Stop::Refused(refusals)) => refusals
                .to_string()
                .replace(&format!("{}/", self.folder.path().display()), ""),
            other => panic!("{command}: {other:?}"),
        }
    }
}

#[test]
fn with_nothing_set_the_defaults_hold() {
    let config = Start::new().serve("");
    assert_eq!(config.server.listen, ["127.0.0.1:8080".parse().unwrap()]);
    assert_eq!(config.server.tls_cert, PathBuf::from("certs/server.pem"));
    assert_eq!(config.server.tls_key, PathBuf::from("certs/server.key"));
    assert_eq!(config.server.transport, Transport::Tls);
    assert_eq!(config.server.drain, Duration::from_secs(10));
    assert_eq!(config.server.wait_clients, 0);
    assert_eq!(config.server.shards.get(), 6);
    assert!(!config.server.dev && !config.server.exit_on_eof && !config.server.behind_proxy);
    assert!(config.server.trusted_proxies.is_empty());
    assert_eq!(config.server.metrics_listen, None);
    assert_eq!(config.sources, ["file:signals/*.jsonl".parse().unwrap()]);
    assert_eq!(config.signals.max_age, None);
    assert_eq!(config.hub.tail_bytes, 64 << 20);
    assert_eq!(config.dead_letters.max_bytes, 64 << 20);
    assert_eq!(config.auth.jwt_key, [PathBuf::from("certs/jwt.key")]);
    assert_eq!(config.auth.jwks, None);
    assert_eq!(config.auth.tokens, PathBuf::from("certs/tokens.toml"));
    assert_eq!((config.auth.issuer, config.auth.audience), (None, None));
    assert_eq!(config.auth.leeway, Duration::from_secs(30));
    assert_eq!(config.auth.failed_tries_per_minute, NonZeroU32::new(20));
    assert_eq!(config.limits.connections, 100_000);
    assert_eq!(config.limits.connections_per_address, None);
    assert_eq!(config.limits.handshake, Duration::from_secs(10));
    assert_eq!(config.limits.handshakes.get(), 64);
    assert_eq!(config.limits.message_bytes, 65_536);
    assert_eq!(config.limits.commands_per_second.get(), 10);
    assert_eq!(config.limits.ping, Duration::from_secs(30));
    assert_eq!(config.limits.silence, Duration::from_secs(120));
    assert_eq!(config.limits.write_timeout, Duration::from_secs(60));
    assert_eq!(config.test.symbol.as_str(), "BTCUSDT");
    assert_eq!(config.test.price.to_string(), "75000.00");
    assert_eq!(config.log.level, "info");
    assert_eq!(config.log.format, LogFormat::Text);
    assert!(config.warnings.is_empty());
}

#[test]
fn a_setting_has_one_name_in_three_places() {
    let start = Start::new()
        .file("[auth]\nleeway = \"1s\"\nissuer = \"file\"\naudience = \"file\"\n")
        .variable("SIGNALCAST_AUTH_LEEWAY", "2s")
        .variable("SIGNALCAST_AUTH_ISSUER", "variable");
    let config = start.serve("--auth-leeway 3s");
    assert_eq!(config.auth.leeway, Duration::from_secs(3));
    assert_eq!(config.auth.issuer.as_deref(), Some("variable"));
    assert_eq!(config.auth.audience.as_deref(), Some("file"));
}

#[test]
fn short_and_full_flags_are_one() {
    let config = Start::new().serve("--listen 127.0.0.1:1 --server-listen [::1]:2 --listen localhost:3 --server-drain=1m --source stdin");
    let listen: Vec<String> = config
        .server
        .listen
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(listen, ["127.0.0.1:1", "[::1]:2", "127.0.0.1:3"]);
    assert_eq!(config.server.drain, Duration::from_secs(60));
    assert_eq!(config.sources, ["stdin".parse().unwrap()]);
}

#[test]
fn boolean_flags_stand_alone_or_take_a_word() {
    let start = Start::new().file("[server]\nplaintext = true\n");
    assert_eq!(start.serve("").server.transport, Transport::Plaintext);
    assert_eq!(
        start.serve("--plaintext false").server.transport,
        Transport::Tls
    );
    assert_eq!(
        start.serve("--plaintext=false").server.transport,
        Transport::Tls
    );
    assert!(start.serve("--dev --plaintext").server.dev);
}

#[test]
fn a_negative_price_is_a_price() {
    assert_eq!(
        Start::new()
            .serve("--test-price -37.63")
            .test
            .price
            .to_string(),
        "-37.63"
    );
}

#[test]
fn dead_letters_follow_the_data_folder_unless_set() {
    let start = Start::new();
    let data = start.folder.path().join("elsewhere");
    let flag = format!("--data-dir {}", data.display());
    assert_eq!(
        start.serve(&flag).dead_letters.path,
        data.join("dead-letters.jsonl")
    );
    let both = format!("{flag} --dead-letters-path /tmp/dead");
    assert_eq!(
        start.serve(&both).dead_letters.path,
        PathBuf::from("/tmp/dead")
    );
    assert!(!data.exists(), "to check is not to make");
}

#[test]
fn proxies_are_addresses_or_networks() {
    let start = Start::new().variable(
        "SIGNALCAST_SERVER_TRUSTED_PROXIES",
        "10.0.0.0/8\n192.0.2.7\n::ffff:192.0.2.8\nfd00::/8\n",
    );
    let config = start.serve("--behind-proxy");
    let networks: Vec<String> = config
        .server
        .trusted_proxies
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        networks,
        ["10.0.0.0/8", "192.0.2.7/32", "192.0.2.8/32", "fd00::/8"]
    );
}

#[test]
fn keys_come_from_a_file_or_an_https_url() {
    for (text, expected) in [
        ("certs/jwks.json", Jwks::File("certs/jwks.json".into())),
        ("C:/jwks.json", Jwks::File("C:/jwks.json".into())),
        (
            "https://id.example.org/a?b=c",
            Jwks::Url("https://id.example.org/a?b=c".parse().unwrap()),
        ),
        (
            "https://[::1]:8443/jwks",
            Jwks::Url("https://[::1]:8443/jwks".parse().unwrap()),
        ),
    ] {
        let config = Start::new().serve(&format!("--auth-jwks {text}"));
        assert_eq!(config.auth.jwks, Some(expected));
    }
}

#[test]
fn metrics_are_served_where_they_are_wanted() {
    for (flags, expected) in [
        ("--metrics-listen localhost:9090", Some("127.0.0.1:9090")),
        ("--metrics-listen [::]:0", Some("[::]:0")),
        (
            "--metrics-listen 127.0.0.1:0 --listen 127.0.0.1:0",
            Some("127.0.0.1:0"),
        ),
        ("--metrics-listen off", None),
    ] {
        let config = Start::new().serve(flags);
        assert_eq!(
            config.server.metrics_listen,
            expected.map(|text| text.parse().unwrap()),
            "{flags}"
        );
    }
    let start = Start::new().file("[server]\nmetrics_listen = false\n");
    assert_eq!(start.serve("").server.metrics_listen, None);
}

#[test]
fn limits_can_be_switched_off() {
    let config = Start::new().serve(
        "--auth-failed-tries-per-minute 0 --limits-connections-per-address off --max-age off",
    );
    assert_eq!(config.auth.failed_tries_per_minute, None);
    assert_eq!(config.limits.connections_per_address, None);
    assert_eq!(config.signals.max_age, None);
}

#[test]
fn connections_fit_the_open_files_and_a_lower_limit_is_told() {
    for (files, flags, connections, told) in [
        (1_000_000, "", 100_000, false),
        (20_000, "", 19_800, true),
        (100, "", 16, true),
        (20_000, "--limits-connections 500", 500, false),
        (1_024, "--limits-connections 5000", 824, true),
    ] {
        let config = Start::new().open_files(files).serve(flags);
        assert_eq!(config.limits.connections, connections, "{files} {flags}");
        assert_eq!(!config.warnings.is_empty(), told, "{files} {flags}");
    }
    insta::assert_snapshot!(
        Start::new().open_files(20_000).serve("").warnings.join("\n"),
        @"limits.connections: 19800 connections instead of 100000, since this process may have 20000 files open; raise the limit (ulimit -n, LimitNOFILE=)"
    );
}

#[test]
fn there_are_no_more_shards_than_files_for_them() {
    let start = Start::new().open_files(64);
    assert_eq!(start.serve("").server.shards.get(), 4, "fewer than cores");
    insta::assert_snapshot!(
        start.refused("serve --shards 5"),
        @"signalcast: --shards: \"5\" is too many here; write 4 or fewer, or leave it out"
    );
}

#[test]
fn another_file_is_read_instead_when_it_is_named() {
    let start = Start::new().file("nonsense");
    fs::write(
        start.folder.path().join("my.toml"),
        "[test]\nsymbol = \"X\"\n",
    )
    .unwrap();
    assert_eq!(start.serve("--config my.toml").test.symbol.as_str(), "X");
    insta::assert_snapshot!(
        start.refused("serve --config none.toml"),
        @"signalcast: --config: can't read none.toml: No such file or directory (os error 2); name a file that exists and may be read"
    );
}

#[test]
fn all_mistakes_are_told_at_once_where_they_were_made() {
    let start = Start::new()
        .file("[server]\ndrain = \"ten\"\nlisten = \"127.0.0.1\"\n[limit]\nping = \"1s\"\n")
        .variable("SIGNALCAST_LIMITS_PING", "30")
        .variable("SIGNALCAST_LISTN", "x");
    insta::assert_snapshot!(start.refused(
        "serve --lisen 127.0.0.1:1 --max-agee=1s --shards 0 extra --source --log loud --dev=maybe"
    ));
}

#[test]
fn each_value_that_cannot_be_is_refused_with_what_to_write() {
    let refusals: Vec<String> = [
        "--listen 8080",
        "--listen example.org:8080",
        "--drain 0s",
        "--drain 10",
        "--limits-handshake 0ms",
        "--shards 0",
        "--shards -1",
        "--shards 1025",
        "--wait-clients 17 --limits-connections 16",
        "--wait-clients many",
        "--wait-clients +1",
        "--max-age 1500ms",
        "--hub-tail-bytes 1KiB",
        "--limits-message-bytes 0",
        "--limits-commands-per-second 0",
        "--limits-connections 0",
        "--source nowhere",
        "--source stdin --source stdin",
        "--source file:a --source file:a?from=start",
        "--source file:signals/*.jsonl --source stdin --source file:./signals//*.jsonl?unit=ms",
        "--journal memory",
        "--durability power",
        "--journal-retain-age 1500ms",
        "--journal-retain-bytes 1KiB",
        "--log inof",
        "--log info,signalcast::hub=loud",
        "--log-format xml",
        "--plaintext yes",
        "--server-trusted-proxies 10.0.0.1",
        "--behind-proxy --server-trusted-proxies proxy.example.org",
        "--behind-proxy --server-trusted-proxies 10.0.0.0/33",
        "--behind-proxy --server-trusted-proxies 10.0.0.7/8",
        "--behind-proxy --server-trusted-proxies ::ffff:10.0.0.0/104",
        "--server-cors-origins app.example.org",
        "--server-cors-origins https://app.example.org/",
        "--server-cors-origins https://App.example.org:443",
        "--server-cors-origins https://",
        "--server-cors-origins null",
        "--server-cors-origins https://user@app.example.org",
        "--server-cors-origins=",
        "--metrics-listen 9090",
        "--metrics-listen 127.0.0.1:8080",
        "--auth-jwks http://id.example.org/jwks.json",
        "--auth-jwks HTTP://id.example.org/jwks.json",
        "--auth-jwks file:///etc/jwks.json",
        "--auth-jwks ftp://id.example.org/jwks.json",
        "--auth-jwks https://",
        "--auth-jwks https://user:password@id.example.org/jwks.json",
        "--auth-jwks=",
        "--tokens=",
        "--auth-issuer=",
        "--jwt-key=",
        "--drain 1s --drain 2s",
        "--drain 1s --server-drain 2s",
        "--listen 127.0.0.1:1 --listen 127.0.0.1:1",
        "--exit-on-eof",
        "--plaintext --listen 0.0.0.0:1",
        "--plaintext --listen [::]:1",
        "--data-dir /dev/null/data",
        "--dead-letters-path /dev/null/dead.jsonl",
        "--dead-letters-path /dev",
    ]
    .map(|flags| {
        format!(
            "{flags}\n  {}",
            Start::new().refused(&format!("serve {flags}"))
        )
    })
    .into();
    insta::assert_snapshot!(refusals.join("\n"));
}

#[test]
fn what_is_safe_or_said_to_be_is_permitted() {
    for flags in [
        "--plaintext --listen 127.0.0.1:1 --listen [::1]:1",
        "--plaintext --listen 0.0.0.0:1 --dev",
        "--plaintext --listen 0.0.0.0:1 --behind-proxy",
        "--listen 127.0.0.1:0 --listen 127.0.0.1:0",
        "--exit-on-eof --source stdin --source file:a",
        "--exit-on-eof --source exec:a?restart=never --source exec:b",
        "--shards 1024",
        "--wait-clients 16 --limits-connections 16",
        "--dead-letters-path /dev/null",
        "--log debug",
        "--log info,signalcast::hub=debug",
        "--log signalcast",
    ] {
        Start::new().serve(flags);
    }
}

#[test]
fn commands_and_flags_that_do_not_exist_name_the_nearest() {
    let refusals: Vec<String> = [
        "sreve",
        "token isue",
        "--listen 127.0.0.1:1 serve",
        "serve --server-lisen x",
        "serve --plain-text",
        "serve -p",
        "serve 127.0.0.1:8080",
        "serve --listen",
        "token issue",
        "token issue --sub bot-1 --scope signals:raed",
        "token issue --sub bot-1 --scope=",
        "token issue --sub bot-1 --symbols , --ttl 0s",
        "token issue --sub bot-1 --ttl 10ms --lisen",
        "token issue --sub a --sub b",
        "--json listen",
        "token --ttl 30d issue",
        "serve --ttl 30d",
        "serve --json --drain 1s",
        "token issue --sub bot-1 --drain 1s --data-dir=d",
        "listen --listen 127.0.0.1:1 wss://127.0.0.1:1",
        "check --print-config signalcast.toml",
        "listen --jsno wss://127.0.0.1:1",
        "listen --json=yes wss://127.0.0.1:1",
        "listen",
        "listen https://bot.example.org/ws",
        "listen 127.0.0.1:8080",
        "listen ws://127.0.0.1:1 --token a --token-file b",
        "listen ws://127.0.0.1:1 --token-file none",
        "listen ws://127.0.0.1:1 --token=",
        "listen wss://127.0.0.1:1 --ca none.pem",
    ]
    .map(|command| format!("{command}\n  {}", Start::new().refused(command)))
    .into();
    insta::assert_snapshot!(refusals.join("\n"));
}

#[test]
fn a_token_for_listen_is_never_shown() {
    let start = Start::new().variable("SIGNALCAST_TOKEN", "s3cr3t");
    let listen = start.parse("listen ws://127.0.0.1:1?token=s3cr3t").unwrap();
    assert!(!format!("{listen:?}").contains("s3cr3t"), "{listen:?}");
    let refused = start.refused("listen http://127.0.0.1:1?token=s3cr3t --token a --token-file s");
    assert!(!refused.contains("s3cr3t"), "{refused}");
}

#[test]
fn help_tells_each_command() {
    for (name, command) in [
        ("help", "--help"),
        ("serve_help", "serve --help"),
        ("token_issue_help", "token issue --help"),
        ("listen_help", "listen --help"),
        ("feed_help", "feed --help"),
        ("replay_help", "replay --help"),
        ("check_help", "check --help"),
        ("bench_help", "bench --help"),
    ] {
        let Err(Stop::Show(text)) = Start::new().parse(command) else {
            panic!("{command} shows no help");
        };
        insta::assert_snapshot!(name, text);
    }
    let Err(Stop::Show(version)) = Start::new().parse("--version") else {
        panic!("no version");
    };
    assert_eq!(
        version,
        concat!("signalcast ", env!("CARGO_PKG_VERSION"), "\n")
    );
    assert!(matches!(Start::new().parse(""), Err(Stop::Usage(_))));
}

#[test]
fn all_settings_are_printed_with_where_they_came_from() {
    let start = Start::new()
        .file("sources = [\"stdin\", \"file:a \\\"b\\\" #.jsonl\"]\n[auth]\nleeway = \"1m\"\n[limits]\nconnections = 50000\n")
        .variable("SIGNALCAST_AUTH_ISSUER", "https://id.example.org/")
        .variable("SIGNALCAST_SERVER_TRUSTED_PROXIES", "10.0.0.0/8\nfd00::/8")
        .open_files(20_000);
    insta::assert_snapshot!(
        start.printed("--data-dir=d --behind-proxy --drain 3s --auth-leeway=2m --test-price 0.10")
    );
}

#[test]
fn what_is_printed_can_be_saved_as_the_settings() {
    let odd = "file:it's \"odd\" \\ # \u{e9}\u{7f}\ttab.jsonl\n file:'''other\nstdin?unit=ms";
    for (sources, flags) in [
        ("stdin", ""),
        (
            odd,
            "--max-age 60s --limits-connections-per-address 7 --auth-failed-tries-per-minute 0",
        ),
        (
            "stdin",
            "--behind-proxy --server-trusted-proxies 10.0.0.1 --metrics-listen [::1]:0 --listen [::1]:1 --listen localhost:2",
        ),
        (
            "stdin",
            "--limits-connections 30000 --shards 3 --test-price -0.00 --test-symbol 007 --tokens \"\"\"t'''",
        ),
        (
            "stdin",
            "--auth-jwks https://id.example.org/a?b='c' --auth-audience 5 --exit-on-eof --dev --plaintext",
        ),
    ] {
        let flags = format!("--data-dir=data {flags}");
        let start = Start::new()
            .variable("SIGNALCAST_SOURCES", sources)
            .open_files(20_000);
        let printed = start.printed(&flags);
        let saved = Start::new().file(&printed).open_files(20_000);
        assert_eq!(
            values(&saved.serve("--data-dir=data")),
            values(&start.serve(&flags)),
            "{printed}"
        );
        let again = saved.printed("--data-dir=data");
        assert_eq!(without_origins(&again), without_origins(&printed));
    }
}

/// Everything but where it came from.
fn values(config: &Config) -> String {
    let Config {
        server,
        sources,
        data_dir,
        signals,
        hub,
        dead_letters,
        auth,
        limits,
        test,
        journal,
        log,
        ..
    } = config;
    format!(
        "{server:#?}{sources:#?}{data_dir:#?}{signals:#?}{hub:#?}{dead_letters:#?}{auth:#?}{limits:#?}{test:#?}{journal:#?}{log:#?}"
    )
}

fn without_origins(printed: &str) -> Vec<&str> {
    printed
        .lines()
        .map(|line| line.rsplit_once("  # ").map_or(line, |(value, _)| value))
        .collect()
}

#[test]
fn every_setting_can_be_set_in_each_of_three_places() {
    for setting in SETTINGS {
        let (value, toml) = another_value(setting);
        let needs = match setting.key {
            "server.trusted_proxies" => "--behind-proxy",
            "server.exit_on_eof" => "--source stdin",
            _ => "",
        };
        let (section, name) = setting.key.split_once('.').unwrap_or(("", setting.key));
        let section = match section {
            "" => String::new(),
            section => format!("[{section}]\n"),
        };
        let from_file = Start::new().file(&format!("{section}{name} = {toml}\n"));
        let line = 1 + section.lines().count();
        let variable = String::leak(setting.variable());
        let from_variable = Start::new().variable(variable, value);
        for (start, flags, origin) in [
            (&from_file, String::new(), format!("signalcast.toml:{line}")),
            (&from_variable, String::new(), variable.to_owned()),
            (
                &Start::new(),
                format!("--{}={value}", setting.flag()),
                format!("--{}", setting.flag()),
            ),
            (
                &from_variable,
                format!("--{}={value}", setting.shown_flag()),
                format!("--{}", setting.shown_flag()),
            ),
        ] {
            let mut flags = format!("{flags} {needs}");
            if setting.key != "data_dir" {
                flags.push_str(" --data-dir=d");
            } else if !flags.contains("--data-dir") {
                // What the tests add would win.
                continue;
            }
            let printed = start.printed(&flags);
            let expected = format!("\n{name} = {toml}  # {origin}\n");
            assert!(
                format!("\n{printed}").contains(&expected),
                "{expected} of {} is not in {printed}",
                setting.key
            );
        }
    }
}

/// A value that is not the default, as it is typed and as it stands in the file.
fn another_value(setting: &Setting) -> (&'static str, String) {
    let value = match (setting.key, setting.kind) {
        ("test.price", _) => "-0.50",
        ("log.level", _) => "debug",
        ("auth.jwks", _) => "https://id.example.org/jwks.json",
        ("server.cors_origins", _) => "https://app.example.org",
        ("journal.kind", _) => "none",
        ("journal.durability", _) => "disk",
        ("log.format", _) => "json",
        (_, Kind::Switch) => "true",
        (_, Kind::Count) => "3",
        (_, Kind::Duration) => "7s",
        (_, Kind::Bytes) => "1MiB",
        (_, Kind::Address) => "127.0.0.1:7",
        (_, Kind::Network) => "10.0.0.0/8",
        (_, Kind::Path) => "some/where",
        (_, Kind::Source) => "file:some",
        (_, Kind::Choice(_) | Kind::Text(_)) => "SOME",
    };
    let toml = match setting.kind {
        Kind::Switch | Kind::Count => value.to_owned(),
        _ => format!("\"{value}\""),
    };
    match setting.arity {
        Arity::One => (value, toml),
        Arity::List => (value, format!("[{toml}]")),
    }
}

#[test]
fn a_setting_in_the_wrong_section_is_told_its_own() {
    let start = Start::new()
        .file("leeway = \"1s\"\n[server]\nping = \"1s\"\nsources = []\n[limits]\ndrain = \"1s\"\n[auth]\nlisten = \"x\"\n")
        .variable("SIGNALCAST_DRAIN", "1s")
        .variable("SIGNALCAST_SERVER_PING", "1s");
    insta::assert_snapshot!(start.refused("serve --limits-drain 1s --server-leeway 1s"), @"
    signalcast: --limits-drain: there is no such flag; did you mean --drain?
    signalcast: --server-leeway: there is no such flag; did you mean --auth-leeway?
    signalcast: signalcast.toml:1: leeway: there is no such setting; did you mean auth.leeway?
    signalcast: signalcast.toml:3: server.ping: there is no such setting; did you mean limits.ping?
    signalcast: signalcast.toml:4: server.sources: there is no such setting; did you mean sources?
    signalcast: signalcast.toml:6: limits.drain: there is no such setting; did you mean server.drain?
    signalcast: signalcast.toml:8: auth.listen: there is no such setting; did you mean server.listen?
    signalcast: SIGNALCAST_DRAIN: there is no such variable; did you mean SIGNALCAST_SERVER_DRAIN?
    signalcast: SIGNALCAST_SERVER_PING: there is no such variable; did you mean SIGNALCAST_LIMITS_PING?
    ");
}

#[test]
fn a_slip_in_any_flag_still_finds_it() {
    for setting in SETTINGS {
        for flag in [setting.flag(), setting.shown_flag()] {
            let said = Start::new().refused(&format!("serve --{flag}x=1"));
            let expected =
                format!("signalcast: --{flag}x: there is no such flag; did you mean --{flag}?");
            assert_eq!(said, expected);
        }
    }
}

#[test]
fn a_hooks_settings_have_one_name_in_three_places() {
    let file = "[hooks.trading_view]\nsecret_file = \"f\"\nallow = [\"10.0.0.0/8\"]\n\n[hooks.trading_view.map]\nsymbol = \"/s\"\nside = \"/f\"\nprice = \"/p\"\ntimestamp = \"=1720000000\"\nis_test = \"=true\"\n";
    let start = Start::new()
        .file(file)
        .variable("SIGNALCAST_HOOKS_TRADING_VIEW_SECRET_FILE", "v")
        .variable(
            "SIGNALCAST_HOOKS_TRADING_VIEW_WORDS",
            "exit=sell\n go long = buy\n",
        )
        .variable("SIGNALCAST_HOOKS_TRADING_VIEW_MAP_SIDE", "/v");
    let flags = "--hooks-trading-view-map-side /o~1f --hooks-trading-view-map-id=/id \
                 --hooks-b-secret-file b --hooks-b-allow 192.0.2.1 --hooks-b-allow fd00::/8";
    let config = start.serve(flags);
    let names: Vec<&str> = config.hooks.iter().map(|hook| hook.name.as_str()).collect();
    assert_eq!(names, ["b", "trading_view"]);
    let printed = start.printed(flags);
    let (_, hooks) = printed.split_once("\n[hooks.b]\n").expect(&printed);
    insta::assert_snapshot!(hooks, @r#"
    secret_file = "b"  # --hooks-b-secret-file
    allow = ["192.0.2.1", "fd00::/8"]  # --hooks-b-allow
    words = []  # default

    [hooks.b.map]
    # symbol is not set  # default
    # side is not set  # default
    # price is not set  # default
    # timestamp is not set  # default
    # id is not set  # default
    # is_test is not set  # default

    [hooks.trading_view]
    secret_file = "v"  # SIGNALCAST_HOOKS_TRADING_VIEW_SECRET_FILE
    allow = ["10.0.0.0/8"]  # signalcast.toml:3
    words = ["exit=sell", "go long = buy"]  # SIGNALCAST_HOOKS_TRADING_VIEW_WORDS

    [hooks.trading_view.map]
    symbol = "/s"  # signalcast.toml:6
    side = "/o~1f"  # --hooks-trading-view-map-side
    price = "/p"  # signalcast.toml:8
    timestamp = "=1720000000"  # signalcast.toml:9
    id = "/id"  # --hooks-trading-view-map-id
    is_test = "=true"  # signalcast.toml:10
    "#);
    let saved = Start::new().file(&printed);
    assert_eq!(
        format!("{:#?}", saved.serve("--data-dir=data").hooks),
        format!("{:#?}", config.hooks)
    );
}

#[test]
fn every_setting_of_a_hook_can_be_set_in_each_of_three_places() {
    for setting in HOOK_SETTINGS {
        let value = match setting.key.rsplit('.').next().unwrap() {
            "allow" => "10.0.0.0/8",
            "words" => "exit=sell",
            _ => "/some/where",
        };
        let name = setting.last_part();
        let toml = match setting.arity {
            Arity::One => format!("\"{value}\""),
            Arity::List => format!("[\"{value}\"]"),
        };
        let flag = setting.flag().replace("NAME", "a-b");
        let variable = String::leak(setting.variable().replace("NAME", "A_B"));
        let section = setting.section().replace("NAME", "a_b");
        let from_file = Start::new().file(&format!("[{section}]\n{name} = {toml}\n"));
        let from_variable = Start::new().variable(variable, value);
        for (start, flags, origin) in [
            (&from_file, String::new(), "signalcast.toml:2".to_owned()),
            (&from_variable, String::new(), variable.to_owned()),
            (
                &Start::new(),
                format!("--{flag}={value}"),
                format!("--{flag}"),
            ),
            (
                &from_variable,
                format!("--{flag} {value}"),
                format!("--{flag}"),
            ),
        ] {
            // What else a hook needs.
            let others = ["secret-file", "map-symbol", "map-side", "map-price"];
            let others: Vec<String> = others
                .iter()
                .map(|other| format!("--hooks-a-b-{other}=/x"))
                .filter(|other| !other.starts_with(&format!("--{flag}=")))
                .collect();
            let printed = start.printed(&format!("{flags} {} --data-dir=d", others.join(" ")));
            let expected = format!("\n{name} = {toml}  # {origin}\n");
            assert!(
                printed.contains(&expected),
                "{expected} is not in {printed}"
            );
        }
    }
}

#[test]
fn mistakes_in_hooks_are_told_with_the_nearest_setting() {
    let file = r#"[hooks]
secret_file = "x"
[hooks.TradingView]
allow = []
[hooks.tv]
secretfile = "x"
allow = ["10.0.0.7/8"]
words = { exit = "sell" }
[hooks.tv.mapp]
symbol = "/s"
[hook.tv]
allow = []
"#;
    let start = Start::new()
        .file(file)
        .variable("SIGNALCAST_HOOKS_TV_SECRET", "x")
        .variable("SIGNALCAST_HOOKS_tv_ALLOW", "x");
    let flags = "--hooks-tv-map-simbol=/s --hooks-a-b-word x=buy --hooks-NAME-words x=buy \
                 --hooks-tv-secret-file= --hooks-tv-secret-file=x";
    insta::assert_snapshot!(start.refused(&format!("serve {flags}")), @r#"
    signalcast: --hooks-tv-map-simbol: there is no such flag; did you mean --hooks-tv-map-symbol?
    signalcast: --hooks-a-b-word: there is no such flag; did you mean --hooks-a-b-words?
    signalcast: --hooks-NAME-words: says NAME where the hook's name belongs; call it what it is called in its URL
    signalcast: --hooks-tv-secret-file: is there twice; leave one
    signalcast: signalcast.toml:2: hooks.secret_file: there is no such setting; did you mean hooks.NAME.secret_file?
    signalcast: signalcast.toml:3: hooks.TradingView: "TradingView" is no name for a hook; write 1 to 32 of a-z 0-9 _
    signalcast: signalcast.toml:6: hooks.tv.secretfile: there is no such setting; did you mean hooks.tv.secret_file?
    signalcast: signalcast.toml:8: hooks.tv.words: is of the wrong type (table); write words = ["…"]
    signalcast: signalcast.toml:9: hooks.tv.mapp: there is no such setting; did you mean hooks.tv.map?
    signalcast: signalcast.toml:11: hook: there is no such setting; did you mean hooks?
    signalcast: SIGNALCAST_HOOKS_TV_SECRET: there is no such variable; did you mean SIGNALCAST_HOOKS_TV_SECRET_FILE?
    signalcast: SIGNALCAST_HOOKS_tv_ALLOW: there is no such variable; did you mean SIGNALCAST_HOOKS_TV_ALLOW?
    signalcast: --hooks-tv-secret-file: is empty; write something or leave it out
    signalcast: signalcast.toml:7: hooks.tv.allow: "10.0.0.7/8" has bits set beyond its length; write 10.0.0.0/8 for the network, or 10.0.0.7 for the one address
    "#);
}

#[test]
fn each_value_of_a_hook_that_cannot_be_is_refused_with_what_to_write() {
    let all = [
        "--hooks-a-secret-file=/dev/null",
        "--hooks-a-map-symbol=/s",
        "--hooks-a-map-side=/a",
        "--hooks-a-map-price=/p",
    ];
    let refused = |flags: &str| {
        let names: Vec<&str> = flags
            .split_whitespace()
            .filter_map(|flag| flag.split('=').next())
            .collect();
        let others = all.into_iter().filter(|other| {
            !names
                .iter()
                .any(|name| other.starts_with(&format!("{name}=")))
        });
        let others: Vec<&str> = others.collect();
        let told = Start::new().refused(&format!("serve {flags} {}", others.join(" ")));
        // That there is no secret in it is not what this is about.
        let told: Vec<&str> = told
            .lines()
            .filter(|line| !line.contains("/dev/null"))
            .collect();
        format!("{flags}\n  {}", told.join("\n  "))
    };
    let refusals = [
        "--hooks-a-secret-file=",
        "--hooks-a-allow nowhere",
        "--hooks-a-words exit",
        "--hooks-a-words exit=hold",
        "--hooks-a-words long=sell",
        "--hooks-a-words exit=sell --hooks-a-words EXIT=buy",
        "--hooks-a-map-symbol s",
        "--hooks-a-map-symbol /~2",
        "--hooks-a-map-symbol=",
        "--hooks-a-map-side =hold",
        "--hooks-a-map-price =75,000",
        "--hooks-a-map-timestamp =soon",
        "--hooks-a-map-id =1",
        "--hooks-a-map-id 1",
        "--hooks-a-map-is-test =maybe",
    ]
    .map(refused);
    let nothing_else = Start::new().refused("serve --hooks-a-map-id /id");
    insta::assert_snapshot!(format!(
        "{}\nnothing but --hooks-a-map-id\n  {}",
        refusals.join("\n"),
        nothing_else.replace('\n', "\n  ")
    ));
}
