//! The start: what a fresh folder gets, what is printed, and what is refused before anything is
//! bound.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, OpenOptions, Permissions};
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustix::process::{Pid, Signal, kill_process};

mod common;

use common::{Folder, Reader, TestServer, patiently, text, wire};

/// A server that starts, finds its feed at the end, and ends.
const BRIEFLY: &str = "serve --listen 127.0.0.1:0 --source stdin --exit-on-eof";

/// What is said on standard error by a server that refuses to start, and nothing else is.
fn refused(folder: &Folder, arguments: &str) -> String {
    said(&folder.run(arguments), 2)
}

fn said(output: &Output, code: i32) -> String {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert_eq!(text(&output.stdout), "", "nothing was bound");
    said
}

fn mode(folder: &Folder, name: &str) -> u32 {
    fs::metadata(folder.path(name))
        .unwrap()
        .permissions()
        .mode()
        & 0o7777
}

/// A certificate and its key, good in these years, in files of these names.
fn certify(folder: &Folder, name: &str, years: (i32, i32)) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (params.not_before, params.not_after) =
        (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
    folder.append(
        &format!("{name}.pem"),
        &params.self_signed(&key).unwrap().pem(),
    );
    folder.append(&format!("{name}.key"), &key.serialize_pem());
    fs::set_permissions(
        folder.path(format!("{name}.key")),
        Permissions::from_mode(0o600),
    )
    .unwrap();
}

#[test]
fn a_first_start_makes_what_it_needs_and_says_what_to_do_next() {
    let folder = Folder::new();
    let first = folder.run(BRIEFLY);
    assert!(first.status.success(), "{}", text(&first.stderr));
    for (name, expected) in [
        ("ca.pem", 0o644),
        ("server.pem", 0o644),
        ("server.key", 0o600),
        ("jwt.key", 0o600),
    ] {
        assert_eq!(mode(&folder, &format!("certs/{name}")), expected, "{name}");
    }
    assert_eq!(fs::read_dir(folder.path("certs")).unwrap().count(), 4);
    let key = folder.read("certs/jwt.key");
    assert_eq!(key.trim_end().len(), 64);
    assert!(
        key.trim_end().bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{key}"
    );

    let shown = text(&first.stdout);
    let (listening, next) = shown.split_once('\n').unwrap();
    let port = listening
        .strip_prefix("listening wss://127.0.0.1:")
        .unwrap();
    port.parse::<u16>().unwrap();
    for what in [
        "pip install websocket-client",
        &format!(
            "python3 -c 'import websocket; websocket.WebSocketApp(\"wss://127.0.0.1:{port}/\""
        ),
        &format!(" listen wss://127.0.0.1:{port} --token "),
        "The token is good for a day",
    ] {
        assert!(next.contains(what), "{what:?} is missing:\n{next}");
    }

    let before = folder.read("certs/server.pem");
    let second = folder.run(BRIEFLY);
    let shown = text(&second.stdout);
    assert!(
        shown.starts_with("listening wss://127.0.0.1:") && shown.lines().count() == 1,
        "{shown}"
    );
    assert_eq!(
        (
            folder.read("certs/server.pem"),
            folder.read("certs/jwt.key")
        ),
        (before, key)
    );
}

#[tokio::test]
async fn the_token_that_is_shown_works() {
    let server = TestServer::start("");
    server.printed("The token is good for a day").await;
    let shown = server.output();
    let token = shown
        .split_once("--token ")
        .unwrap()
        .1
        .split_whitespace()
        .next()
        .unwrap();
    let mut client = server.client_at("/", token).await.unwrap();
    client.send("test").await;
    assert_eq!(client.json().await["is_test"], true);
}

#[tokio::test]
async fn it_listens_where_it_is_told_to() {
    for (listen, scheme, count) in [
        ("--listen [::1]:0", "wss", 1),
        ("--listen localhost:0", "wss", 1),
        ("--listen 127.0.0.1:0 --listen [::1]:0", "wss", 2),
        ("--listen 127.0.0.1:0 --plaintext", "ws", 1),
        ("--listen [::1]:0 --plaintext", "ws", 1),
    ] {
        let mut server = TestServer::start(listen);
        let mut client = server.client().await;
        server.feed("buy A 1 2\n");
        assert_eq!(client.text().await, wire("buy", "A", "1", 2));
        // That comes after all addresses.
        server.printed("The token is good for a day").await;
        let shown = server.output();
        let listening = format!("listening {scheme}://");
        assert_eq!(
            shown
                .lines()
                .filter(|line| line.starts_with(&listening))
                .count(),
            count,
            "{shown}"
        );
        let made_certificates = server.folder.path("certs/server.pem").exists();
        assert_eq!(made_certificates, scheme == "wss");
        drop(client);
        server.stop();
    }
}

#[tokio::test]
async fn both_of_two_addresses_serve() {
    let mut server = TestServer::start("--listen 127.0.0.1:0 --listen [::1]:0");
    let mut first = server.client().await;
    server.printed("The token is good for a day").await;
    let shown = server.output();
    let second = shown
        .lines()
        .nth(1)
        .unwrap()
        .strip_prefix("listening wss://")
        .unwrap();
    server.address = second.parse().unwrap();
    assert!(server.address.is_ipv6());
    let mut second = server.client().await;
    server.feed("buy A 1 2\n");
    assert_eq!(first.text().await, second.text().await);
}

#[test]
fn the_development_certificate_is_not_shown_to_the_network() {
    // If it were bound, it would fail with another code: the port is taken.
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = Folder::new();
    let expected = format!(
        "signalcast: --listen: certs/server.pem is a development certificate, which no one elsewhere can check, and {address} can be reached from elsewhere; \
         make one for the names that clients use with signalcast cert --host NAME, name your own with --tls-cert and --tls-key, listen on 127.0.0.1, or allow it with --dev\n"
    );
    let arguments = format!("serve --listen 127.0.0.1:0 --listen {address}");
    assert_eq!(refused(&folder, &arguments), expected);
    assert_eq!(
        fs::read_dir(folder.path("")).unwrap().count(),
        0,
        "nothing was made"
    );
    assert!(folder.run(BRIEFLY).status.success());
    assert_eq!(
        refused(&folder, &arguments),
        expected,
        "the same when it is there"
    );
    let dev = folder.run("serve --listen 0.0.0.0:0 --source stdin --exit-on-eof --dev");
    assert!(
        text(&dev.stdout).starts_with("listening wss://0.0.0.0:"),
        "{}",
        text(&dev.stderr)
    );
    assert!(
        refused(&folder, "serve --plaintext --listen 0.0.0.0:0")
            .starts_with("signalcast: --plaintext: would send tokens")
    );
}

#[test]
fn one_line_for_each_of_three_mistakes() {
    let folder = Folder::new();
    folder.append("signalcast.toml", "[server]\ndrian = \"5s\"\nshards = 0\n");
    let mut command = folder.command("serve --source stdin");
    command.env("SIGNALCAST_SERVER_LISTEN", "8080");
    let said = said(&command.output().unwrap(), 2);
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        [
            "signalcast: signalcast.toml:2: server.drian: there is no such setting; did you mean server.drain?",
            "signalcast: SIGNALCAST_SERVER_LISTEN: \"8080\" is not an address with a port; write one such as 127.0.0.1:8080, 0.0.0.0:8080 or [::1]:8080",
            "signalcast: signalcast.toml:3: server.shards: can't be 0; write 1 or more",
        ]
    );
}

#[test]
fn keys_and_settings_are_refused_together() {
    let folder = Folder::new();
    assert!(folder.run(BRIEFLY).status.success());
    for name in ["certs/server.key", "certs/jwt.key"] {
        fs::set_permissions(folder.path(name), Permissions::from_mode(0o644)).unwrap();
    }
    assert_eq!(
        refused(&folder, "serve --listen 127.0.0.1:0 --drain 0s"),
        "signalcast: --drain: can't be 0; write how long, as in 10s\n\
         signalcast: server.tls_key: certs/server.key: others may read it (mode 0644); run chmod 600 certs/server.key\n\
         signalcast: auth.jwt_key: certs/jwt.key: others may read it (mode 0644); run chmod 600 certs/jwt.key\n"
    );
    for name in ["certs/server.key", "certs/jwt.key"] {
        fs::set_permissions(folder.path(name), Permissions::from_mode(0o640)).unwrap();
    }
    let warned = folder.run(BRIEFLY);
    assert!(warned.status.success());
    let log = text(&warned.stderr);
    assert_eq!(
        log.matches("its group may read it (mode 0640)").count(),
        2,
        "{log}"
    );
}

/// Whether anybody listens on this port of 127.0.0.1.
fn is_bound(port: u16) -> bool {
    let sockets = fs::read_to_string("/proc/net/tcp").unwrap();
    sockets.contains(&format!(" 0100007F:{port:04X} 00000000:0000 0A "))
}

/// Runs a command to its end, and tells whether anybody listened on this port until then.
fn run_watched(mut command: Command, port: u16) -> (Output, bool) {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut bound = false;
    while child.try_wait().unwrap().is_none() {
        bound |= is_bound(port);
    }
    bound |= is_bound(port);
    (child.wait_with_output().unwrap(), bound)
}

fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

/// A way to start a server wrongly.
struct Mistake {
    arguments: &'static str,
    variable: Option<(&'static str, &'static str)>,
    settings: &'static str,
    expected: &'static str,
}

fn typed(arguments: &'static str, expected: &'static str) -> Mistake {
    Mistake {
        arguments,
        variable: None,
        settings: "",
        expected,
    }
}

/// What can be wrong in a folder that [`wrong_files`] has made and in which a server runs. `PID`
/// stands for its process.
const MISTAKES: fn() -> Vec<Mistake> = || {
    vec![
        Mistake {
            settings: "server.drian = \"1s\"\n",
            ..typed(
                "",
                "signalcast.toml:1: server.drian: there is no such setting; did you mean server.drain?",
            )
        },
        typed(
            "--lisen 127.0.0.1:1",
            "--lisen: there is no such flag; did you mean --listen?",
        ),
        Mistake {
            variable: Some(("SIGNALCAST_SOURCE", "stdin")),
            ..typed(
                "",
                "SIGNALCAST_SOURCE: there is no such variable; did you mean SIGNALCAST_SOURCES?",
            )
        },
        typed(
            "--tls-cert none.pem --tls-key good.key",
            "--tls-cert: none.pem: there is no such file; name yours with --tls-cert and --tls-key, or neither, to have one made",
        ),
        typed(
            "--tls-cert folder --tls-key good.key",
            "--tls-cert: folder: cannot be read: Is a directory (os error 21); name yours with --tls-cert and --tls-key, or neither, to have one made",
        ),
        typed(
            "--tls-cert old.pem --tls-key old.key",
            "--tls-cert: old.pem: expired at 2021-01-01T00:00:00Z; renew it",
        ),
        typed(
            "--tls-cert good.pem --tls-key other.key",
            "--tls-key: other.key: does not belong to the first certificate in good.pem; name the pair that was made together, the server's own certificate first",
        ),
        typed(
            "--tls-cert good.pem --tls-key open.key",
            "--tls-key: open.key: others may read it (mode 0644); run chmod 600 open.key",
        ),
        typed(
            "--jwt-key open.jwt",
            "--jwt-key: open.jwt: others may read it (mode 0644); run chmod 600 open.jwt",
        ),
        typed(
            "--data-dir data",
            "--data-dir: process PID uses it already; stop that one, or give this one another folder",
        ),
    ]
};

fn wrong_files(folder: &Folder) {
    certify(folder, "good", (2020, 2200));
    certify(folder, "other", (2020, 2200));
    certify(folder, "old", (2020, 2021));
    fs::create_dir(folder.path("folder")).unwrap();
    folder.append("open.key", &folder.read("good.key"));
    folder.append("open.jwt", &"secret".repeat(6));
    for name in ["open.key", "open.jwt"] {
        fs::set_permissions(folder.path(name), Permissions::from_mode(0o644)).unwrap();
    }
}

#[test]
fn each_mistake_is_one_line_with_its_remedy_and_nothing_is_bound() {
    let folder = Arc::new(Folder::new());
    wrong_files(&folder);
    let server = TestServer::start_in(Arc::clone(&folder), "");
    let pid = server.pid().as_raw_nonzero().to_string();
    for mistake in MISTAKES() {
        let expected = format!("signalcast: {}\n", mistake.expected.replace("PID", &pid));
        fs::write(folder.path("signalcast.toml"), mistake.settings).unwrap();
        let start = |port: u16| {
            let arguments = mistake.arguments;
            let own = if arguments.contains("--data-dir") {
                ""
            } else {
                "--data-dir own"
            };
            let mut command = folder.command(&format!(
                "serve --listen 127.0.0.1:{port} {own} {arguments}"
            ));
            command.envs(mistake.variable);
            run_watched(command, port)
        };
        let (output, bound) = start(free_port());
        assert_eq!(said(&output, 2), expected);
        assert!(!bound, "{expected}");
        // Who tries to bind a port that is taken ends with another code.
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let (output, _) = start(taken.local_addr().unwrap().port());
        assert_eq!(said(&output, 2), expected);
    }
    assert!(!folder.path("own").exists(), "nothing was made");
    server.stop();
}

#[test]
fn all_mistakes_come_in_one_run_and_nothing_is_bound() {
    let folder = Arc::new(Folder::new());
    wrong_files(&folder);
    let server = TestServer::start_in(Arc::clone(&folder), "");
    let pid = server.pid().as_raw_nonzero().to_string();
    folder.append("signalcast.toml", "[server]\ndrian = \"1s\"\nshards = 0\n");
    let port = free_port();
    let mut command = folder.command(&format!(
        "serve --listen 127.0.0.1:{port} --lisen 127.0.0.1:1 --tls-cert old.pem --tls-key open.key \
         --jwt-key open.jwt --dead-letters-path folder --wait-clients 9 --limits-connections 8"
    ));
    command.env("SIGNALCAST_SOURCE", "stdin");
    let (output, bound) = run_watched(command, port);
    assert!(!bound);
    let expected = [
        "--lisen: there is no such flag; did you mean --listen?",
        "signalcast.toml:2: server.drian: there is no such setting; did you mean server.drain?",
        "SIGNALCAST_SOURCE: there is no such variable; did you mean SIGNALCAST_SOURCES?",
        "signalcast.toml:3: server.shards: can't be 0; write 1 or more",
        "--wait-clients: would wait for 9 clients, and only 8 are let in; wait for fewer, or raise limits.connections",
        "--dead-letters-path: can't write to folder: Is a directory (os error 21); name a file this user may write to with --dead-letters-path, or change its owner",
        "data_dir: process PID uses it already; stop that one, or give this one another folder",
        "--tls-cert: old.pem: expired at 2021-01-01T00:00:00Z; renew it",
        "--tls-key: open.key: others may read it (mode 0644); run chmod 600 open.key",
        "--tls-key: open.key: does not belong to the first certificate in old.pem; name the pair that was made together, the server's own certificate first",
        "--jwt-key: open.jwt: others may read it (mode 0644); run chmod 600 open.jwt",
    ];
    let expected = expected.map(|line| format!("signalcast: {}", line.replace("PID", &pid)));
    assert_eq!(said(&output, 2).lines().collect::<Vec<_>>(), expected);
    server.stop();
}

#[test]
fn a_server_that_listens_is_seen_to_be_bound() {
    let server = TestServer::start("");
    let seen = is_bound(server.address.port());
    assert!(seen, "the tests above would see nothing");
    server.stop();
}

#[test]
fn a_key_that_somebody_named_is_never_made() {
    let folder = Folder::new();
    folder.append("short.key", "secret\n");
    fs::set_permissions(folder.path("short.key"), Permissions::from_mode(0o600)).unwrap();
    for (key, expected) in [
        (
            "none.key",
            "there is no such file; make one with signalcast token issue, or name another as auth.jwt_key",
        ),
        (
            ".",
            "cannot be read: Is a directory (os error 21); make one with signalcast token issue, or name another as auth.jwt_key",
        ),
        (
            "short.key",
            "the secret is too short (6 of at least 32 bytes); make a longer one with openssl rand -hex 32 > short.key",
        ),
    ] {
        assert_eq!(
            refused(&folder, &format!("{BRIEFLY} --jwt-key {key}")),
            format!("signalcast: --jwt-key: {key}: {expected}\n")
        );
    }
    assert_eq!(
        fs::read_dir(folder.path("")).unwrap().count(),
        1,
        "nothing was made"
    );
}

#[test]
fn certificates_that_are_no_good_are_refused() {
    let folder = Folder::new();
    certify(&folder, "good", (2020, 2200));
    certify(&folder, "other", (2020, 2200));
    certify(&folder, "old", (2020, 2021));
    certify(&folder, "new", (2199, 2200));
    folder.append("nonsense.pem", "nonsense\n");
    let serve =
        |cert: &str, key: &str| format!("{BRIEFLY} --tls-cert {cert}.pem --tls-key {key}.key");
    for (cert, key, expected) in [
        (
            "good",
            "other",
            "signalcast: --tls-key: other.key: does not belong to the first certificate in good.pem; name the pair that was made together, the server's own certificate first\n",
        ),
        (
            "old",
            "old",
            "signalcast: --tls-cert: old.pem: expired at 2021-01-01T00:00:00Z; renew it\n",
        ),
        (
            "new",
            "new",
            "signalcast: --tls-cert: new.pem: is not valid before 2199-01-01T00:00:00Z; set the clock, or wait\n",
        ),
        (
            "nonsense",
            "good",
            "signalcast: --tls-cert: nonsense.pem: holds no PEM certificate; convert it with openssl x509 -inform DER, or name another\n",
        ),
    ] {
        assert_eq!(refused(&folder, &serve(cert, key)), expected);
    }
    let missing = refused(&folder, &serve("none", "nokey"));
    assert_eq!(
        missing.matches("there is no such file").count(),
        2,
        "{missing}"
    );
    assert!(
        !folder.path("none.pem").exists(),
        "what somebody named is never made"
    );
    let own = folder.run(&format!("{} --listen 0.0.0.0:0", serve("good", "good")));
    assert!(
        own.status.success(),
        "one's own may be shown to the network: {}",
        text(&own.stderr)
    );
}

#[test]
fn folders_and_files_that_cannot_be_written_to_are_refused() {
    let folder = Folder::new();
    folder.append("file", "in the way\n");
    assert_eq!(
        refused(&folder, &format!("{BRIEFLY} --data-dir file")),
        "signalcast: --data-dir: can't write to file: Not a directory (os error 20); name a folder this user may write to with --data-dir, or change its owner\n"
    );
    assert_eq!(
        refused(
            &folder,
            &format!("{BRIEFLY} --dead-letters-path file/dead.jsonl --data-dir file --drain 0s")
        ),
        "signalcast: --drain: can't be 0; write how long, as in 10s\n\
         signalcast: --data-dir: can't write to file: Not a directory (os error 20); name a folder this user may write to with --data-dir, or change its owner\n\
         signalcast: --dead-letters-path: can't write to file/dead.jsonl: Not a directory (os error 20); name a file this user may write to with --dead-letters-path, or change its owner\n"
    );
    assert_eq!(
        fs::read_dir(folder.path("")).unwrap().count(),
        1,
        "nothing was made"
    );
}

#[test]
fn who_stops_it_before_it_listens_does_not_kill_it() {
    for signals in [
        &[Signal::TERM][..],
        &[Signal::INT],
        &[Signal::HUP, Signal::TERM],
    ] {
        let folder = Folder::new();
        let settings = folder.fifo("settings.toml");
        let mut command =
            folder.command("serve --listen 127.0.0.1:0 --source stdin --config settings.toml");
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let server = command.spawn().unwrap();
        // It is open when the server reads its settings, before all else, and waits for them.
        let writer = OpenOptions::new().write(true).open(&settings).unwrap();
        for signal in signals {
            kill_process(Pid::from_child(&server), *signal).unwrap();
        }
        drop(writer);
        let output = server.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(
            text(&output.stderr).contains("stopping"),
            "{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn a_source_that_would_read_the_dead_letters_is_refused() {
    let folder = Folder::new();
    let refusal = |source: &str, path: &str| {
        format!(
            "signalcast: --source: file:{source} would read the dead letters in {path}, and each of them again as another one; name other files, or keep them elsewhere with dead_letters.path\n"
        )
    };
    let kept = "data/dead-letters.jsonl";
    let here = folder.path("").canonicalize().unwrap();
    for source in [
        "data/*.jsonl".to_owned(),
        "./data/dead-letters.jsonl".to_owned(),
        "**/*.jsonl".to_owned(),
        "data/*.1".to_owned(),
        format!("{}/*/dead*", here.display()),
    ] {
        let refused = refused(&folder, &format!("{BRIEFLY} --source file:{source}"));
        assert_eq!(refused, refusal(&source, kept));
    }
    // By another name of the same folder.
    std::fs::create_dir(folder.path("data")).unwrap();
    std::os::unix::fs::symlink(folder.path("data"), folder.path("kept")).unwrap();
    let arguments = "--source file:data/*.jsonl --dead-letters-path kept/dead-letters.jsonl";
    let refused = refused(&folder, &format!("{BRIEFLY} {arguments}"));
    assert_eq!(refused, refusal("data/*.jsonl", "kept/dead-letters.jsonl"));
    // A neighbour is none of it.
    folder.append("data/live.jsonl", "");
    let fine = folder.run(&format!("{BRIEFLY} --source file:data/live.jsonl"));
    assert_eq!(fine.status.code(), Some(0), "{}", text(&fine.stderr));
}

#[test]
fn a_port_that_is_taken_is_a_failure() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = Folder::new();
    let said = said(
        &folder.run(&format!("serve --listen {address} --source stdin")),
        1,
    );
    let last = said.lines().last().unwrap();
    assert_eq!(
        last,
        format!("signalcast: can't listen on {address}: Address already in use (os error 98)")
    );
}

#[test]
fn what_is_mistyped_is_named_with_the_nearest_that_exists() {
    let folder = Folder::new();
    for (arguments, expected) in [
        (
            "sevre",
            "signalcast: sevre: there is no such command; did you mean serve?\n",
        ),
        (
            "serve --sorce stdin",
            "signalcast: --sorce: there is no such flag; did you mean --source?\n",
        ),
        (
            "serve --source stdn",
            "signalcast: --source: source \"stdn\": no such kind of source; write stdin, file:PATH as in file:signals/*.jsonl, or exec:COMMAND as in exec:./strategy.py\n",
        ),
    ] {
        assert_eq!(refused(&folder, arguments), expected);
    }
    let mut command = folder.command("serve");
    command.env("SIGNALCAST_SOURCE", "stdin");
    assert_eq!(
        said(&command.output().unwrap(), 2),
        "signalcast: SIGNALCAST_SOURCE: there is no such variable; did you mean SIGNALCAST_SOURCES?\n"
    );
}

#[test]
fn a_token_is_all_that_token_issue_prints() {
    let folder = Folder::new();
    let output = folder.run("token issue --sub bot-1");
    assert_eq!(
        (output.status.code(), text(&output.stderr)),
        (Some(0), String::new())
    );
    let token = text(&output.stdout);
    let token = token.strip_suffix('\n').unwrap();
    assert!(
        token
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)),
        "{token}"
    );
    assert_eq!(mode(&folder, "certs/jwt.key"), 0o600);

    folder.append("public.pem", &KeyPair::generate().unwrap().public_key_pem());
    assert_eq!(
        refused(&folder, "token issue --sub bot-1 --jwt-key public.pem"),
        "signalcast: --jwt-key: there are public keys only, and those can't sign; add a secret or a private key with --jwt-key\n"
    );
}

#[tokio::test]
async fn a_reader_that_has_seen_the_first_line_may_go() {
    for folder in [Arc::new(Folder::new()), prepared()] {
        let command = folder.command("serve --listen 127.0.0.1:0 --source stdin");
        let mut server = TestServer::start_read(folder, command, Stdio::piped(), Reader::OfOneLine);
        let mut client = server.client().await;
        server.feed("buy A 1 2\n");
        assert_eq!(client.text().await, wire("buy", "A", "1", 2));
        drop(client);
        server.stop();
    }
}

/// A folder in which a server has been before.
fn prepared() -> Arc<Folder> {
    let folder = Folder::new();
    assert!(folder.run(BRIEFLY).status.success());
    Arc::new(folder)
}

/// A server whose log nobody reads, when it has more to say than a pipe and itself can hold.
async fn unread() -> TestServer {
    let folder = Arc::new(Folder::new());
    folder.append("many/a.txt", "");
    // Each of them is a line: it can't be followed.
    for number in 0..12_000 {
        symlink("/dev/null", folder.path(format!("many/{number}"))).unwrap();
    }
    let command = folder
        .command("serve --listen 127.0.0.1:0 --source stdin --source file:many/* --log trace");
    let mut server =
        TestServer::start_read(folder, command, Stdio::piped(), Reader::OfOneLineAndNoLog);
    let mut client = server.client().await;
    server.folder.append("many/a.txt", "buy A 1 2\n");
    assert_eq!(client.text().await, wire("buy", "A", "1", 2));
    for number in 0..100 {
        server.feed(&format!("buy A 1 {number}\n"));
        assert_eq!(client.text().await, wire("buy", "A", "1", number));
    }
    server
}

#[tokio::test]
async fn a_log_that_nobody_reads_delays_neither_signals_nor_the_end() {
    let mut server = unread().await;
    let stderr = server.take_stderr();
    server.signal(Signal::TERM);
    let (status, _) = server.wait();
    assert_eq!(status.code(), Some(0));
    drop(stderr);
}

#[tokio::test]
async fn a_closed_log_does_not_matter() {
    let mut server = unread().await;
    drop(server.take_stderr());
    let mut client = server.client().await;
    client.send("test").await;
    client.text().await;
    drop(client);
    server.stop();
}

#[tokio::test]
async fn dropped_lines_of_the_log_are_counted_and_told() {
    let mut server = unread().await;
    let mut stderr = server.take_stderr();
    let reader = thread::spawn(move || {
        let mut log = String::new();
        stderr.read_to_string(&mut log).unwrap();
        log
    });
    let mut client = server.client().await;
    client.send("test").await;
    client.text().await;
    drop(client);
    server.stop();
    let log = patiently("log", async { reader.join().unwrap() }).await;
    assert!(
        log.contains("lines of the log were dropped"),
        "{}",
        &log[log.len() - 2000..]
    );
}
