//! The program as a shell sees it: exit codes, and what goes where.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs it in a folder, with none of our variables set.
fn signalcast(folder: &Path, args: &[&str]) -> Output {
    let ours =
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SIGNALCAST_"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_signalcast"));
    for (name, _) in ours {
        command.env_remove(name);
    }
    let output = command
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output();
    output.expect("the program starts")
}

fn texts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn a_token_is_printed_with_a_newline_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, err) = texts(&signalcast(
        folder.path(),
        &["token", "issue", "--sub", "bot-1"],
    ));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let token = out.strip_suffix('\n').unwrap();
    assert_eq!(token.split('.').count(), 3, "{token}");
    assert!(!token.contains(char::is_whitespace));
    assert!(folder.path().join("certs/jwt.key").is_file());
}

#[test]
fn mistakes_go_to_stderr_with_exit_code_2_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, err) = texts(&signalcast(
        folder.path(),
        &["serve", "--drian", "1s", "--shards=0"],
    ));
    assert_eq!((code, out.as_str()), (Some(2), ""));
    insta::assert_snapshot!(err, @"
    signalcast: --drian: there is no such flag; did you mean --drain?
    signalcast: --shards: can't be 0; write 1 or more
    ");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn help_and_version_go_to_stdout_and_no_command_is_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    for args in [&["--help"][..], &["--version"], &["serve", "--help"]] {
        let (code, out, err) = texts(&signalcast(folder.path(), args));
        assert_eq!((code, err.as_str()), (Some(0), ""));
        assert!(!out.is_empty());
    }
    let (code, out, err) = texts(&signalcast(folder.path(), &[]));
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(err.contains("Usage: signalcast <COMMAND>"), "{err}");
}

#[test]
fn settings_and_keys_that_cannot_be_are_told_together() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("short.key"), "secret").unwrap();
    let args = [
        "serve",
        "--jwt-key=short.key",
        "--tls-cert=none.pem",
        "--drain=0s",
    ];
    let (code, _, err) = texts(&signalcast(folder.path(), &args));
    assert_eq!(code, Some(2));
    insta::assert_snapshot!(err, @"
    signalcast: --drain: can't be 0; write how long, as in 10s
    signalcast: --tls-cert: none.pem: there is no such file; name yours with --tls-cert and --tls-key, or neither, to have one made
    signalcast: server.tls_key: certs/server.key: there is no such file; name yours with --tls-cert and --tls-key, or neither, to have one made
    signalcast: --jwt-key: short.key: the secret is too short (6 of at least 32 bytes); make a longer one with openssl rand -hex 32 > short.key
    ");
}

#[test]
fn settings_are_shown_without_what_they_name_being_there() {
    let folder = tempfile::tempdir().unwrap();
    let args = [
        "serve",
        "--print-config",
        "--tls-cert=none.pem",
        "--data-dir=/dev/null",
    ];
    let (code, out, err) = texts(&signalcast(folder.path(), &args));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(
        out.contains("\ntls_cert = \"none.pem\"  # --tls-cert\n"),
        "{out}"
    );
    assert!(out.contains("\nleeway = \"30s\"  # default\n"), "{out}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

    let mistaken = ["serve", "--print-config", "--drain=0s", "--exit-on-eof"];
    let (code, out, err) = texts(&signalcast(folder.path(), &mistaken));
    assert_eq!((code, out.as_str()), (Some(2), ""));
    insta::assert_snapshot!(err, @"
    signalcast: --drain: can't be 0; write how long, as in 10s
    signalcast: --exit-on-eof: none of the sources ever ends; add --source stdin, add ?restart=never to an exec: source, or leave it out
    ");
}

#[test]
fn what_secret_files_hold_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("jwt.key"), "s3cr3t".repeat(8)).unwrap();
    fs::write(folder.path().join("tokens.toml"), "s3cr3t").unwrap();
    let args = [
        "serve",
        "--print-config",
        "--jwt-key=jwt.key",
        "--tls-key=jwt.key",
        "--tokens=tokens.toml",
    ];
    let (code, out, err) = texts(&signalcast(folder.path(), &args));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(
        out.contains("jwt_key = [\"jwt.key\"]") && !out.contains("s3cr3t"),
        "{out}"
    );
}

#[test]
fn a_first_start_with_the_printed_settings_makes_what_it_needs_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let args = [
        "serve",
        "--print-config",
        "--listen=127.0.0.1:0",
        "--source=stdin",
        "--exit-on-eof",
    ];
    let (_, printed, _) = texts(&signalcast(folder.path(), &args));
    fs::write(folder.path().join("signalcast.toml"), &printed).unwrap();
    let (code, out, err) = texts(&signalcast(folder.path(), &["serve"]));
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with("listening wss://127.0.0.1:"), "{out}");
    assert!(folder.path().join("certs/server.pem").exists());
}
