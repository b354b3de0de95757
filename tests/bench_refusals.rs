//! What `signalcast bench` says when it cannot measure.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::TcpListener;

mod benching;
mod common;

use benching::{bench, free_address};
use common::{Folder, TestServer};

#[test]
fn a_server_is_not_started_where_somebody_listens() {
    let folder = Folder::new();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let arguments = format!("ws://{address} --server");
    let run = bench(&folder, "any", &arguments, &["echo > started"]);
    assert_eq!(run.code, Some(1));
    assert_eq!(
        run.said,
        format!(
            "signalcast: somebody listens at {address} before the server is started; \
             end that, or leave --server out to measure it\n"
        )
    );
    assert!(!folder.path("started").exists());
}

#[test]
fn whoever_is_not_let_in_is_told_why() {
    let server = TestServer::start("");
    let run = bench(
        &server.folder,
        "wrong",
        &format!("{} --clients 3", server.url("")),
        &[],
    );
    assert_eq!(run.code, Some(1));
    assert_eq!(
        run.said,
        "signalcast: no client could connect: refused: 401 Unauthorized\n"
    );
    server.stop();
}

#[test]
fn an_authority_that_nobody_named_is_told() {
    let server = TestServer::start("");
    let elsewhere = Folder::new();
    let run = bench(
        &elsewhere,
        "any",
        &format!("{} --clients 1", server.url("")),
        &[],
    );
    assert!(run.said.ends_with("with --ca\n"), "{}", run.said);
    server.stop();
}

#[test]
fn nobody_who_listens_is_told() {
    let folder = Folder::new();
    let address = free_address();
    let run = bench(&folder, "any", &format!("ws://{address}"), &[]);
    assert_eq!(run.code, Some(1));
    assert_eq!(
        run.said,
        format!("signalcast: nobody listens at {address}; is the server running?\n")
    );
}

#[test]
fn a_pipe_that_nobody_reads_is_told() {
    let folder = Folder::new();
    folder.fifo("fifo");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let arguments = format!("ws://{address} --feed-to file:fifo");
    let run = bench(&folder, "any", &arguments, &[]);
    assert_eq!(run.code, Some(1));
    assert_eq!(
        run.said,
        "signalcast: fifo: nobody reads this pipe; start the server on it first\n"
    );
}

#[test]
fn options_that_cannot_be_are_refused_all_at_once() {
    let folder = Folder::new();
    let run = bench(
        &folder,
        "any",
        "ws://127.0.0.1:9 --clients 0 --rate 5 --header nonsense --pid x --subprotocol a,b --hello base64:? --duration 5",
        &[],
    );
    assert_eq!(run.code, Some(2));
    insta::assert_snapshot!(run.said, @r#"
    signalcast: --header: is no header; write one such as 'X-Api-Key: abc'
    signalcast: --subprotocol: "a,b" can't be one; write one such as signalcast.v2
    signalcast: --hello: is no base64; write what `base64 -w0` prints behind base64:
    signalcast: --clients: can't be "0"; write a whole number from 1 on, as in 100
    signalcast: --pid: can't be "x"; write a whole number from 1 on, as in 100
    signalcast: --rate: is about a feed, and nothing is fed; say where to with --feed-to
    signalcast: --duration: "5" has no unit; write a whole number and ms, s, m, h or d, as in 10s
    "#);
    let run = bench(
        &folder,
        "any",
        "ws://127.0.0.1:9 --clients 999999999 --filtered 101 --filter symbols=X --feed-to stdin --rate 5 --window 6 --line-bytes 70000 --sequence n",
        &[],
    );
    let said = run.said.replace(char::is_numeric, "");
    insta::assert_snapshot!(said, @r#"
    signalcast: --clients:  need  open files, and  are allowed; raise the limit (ulimit -n), or write  at most
    signalcast: --sequence: is there beside --feed-to, whose lines are numbered; leave one
    signalcast: --feed-to: stdin is that of a server which is started; add --server COMMAND, or write file:PATH or exec:COMMAND
    signalcast: --window: is there beside --rate; leave one
    signalcast: --line-bytes: is more than a line may have; write  at most
    signalcast: --filter: "symbols=X" asks for no symbol; write {symbol} where it is to stand, as in symbols={symbol}
    signalcast: --filtered: is more than all clients; write  at most
    "#);
    let run = bench(
        &folder,
        "any",
        "--feed-to nowhere --lines 0 --server true --pid 1",
        &[],
    );
    insta::assert_snapshot!(run.said, @r#"
    signalcast: URL: is missing; write one such as wss://127.0.0.1:8080
    signalcast: --pid: is there beside --server; leave one
    signalcast: --feed-to: "nowhere" says not where; write stdin, file:PATH or exec:COMMAND
    signalcast: --lines: can't be "0"; write a whole number from 1 on, as in 100
    "#);
}

#[test]
fn numbers_beyond_all_bounds_are_refused() {
    let folder = Folder::new();
    let run = bench(
        &folder,
        "any",
        "ws://127.0.0.1:9 --clients 18446744073709551615 --feed-to file:f --warm-up 18446744073709551610",
        &[],
    );
    assert_eq!(run.code, Some(2), "{}", run.said);
    let said: Vec<&str> = run.said.lines().collect();
    assert!(said[0].starts_with("signalcast: --clients: "), "{said:?}");
    assert!(said[1].starts_with("signalcast: --warm-up: "), "{said:?}");
}

#[test]
fn no_secret_is_repeated() {
    let folder = Folder::new();
    for command in ["listen", "bench", "bench --json"] {
        for url in [
            "ws://me:s3cr3t@127.0.0.1:9/?a=1",
            "ws://me:s3/cr3t@127.0.0.1:9",
        ] {
            let refused = folder.run(&format!("{command} {url}"));
            assert_eq!(refused.status.code(), Some(2), "{command} {url}");
            assert_eq!(
                String::from_utf8(refused.stderr).unwrap(),
                "signalcast: URL: names a user, who would not be asked for; \
                 show a token with --token; in a path, write %40 for @\n"
            );
        }
    }
    let run = bench(
        &folder,
        "any",
        "ws://127.0.0.1:9 --header",
        &["Bearer s3cr3t"],
    );
    assert_eq!(
        run.said,
        "signalcast: --header: is no header; write one such as 'X-Api-Key: abc'\n"
    );
}
