//! `signalcast listen` against a real server: what it prints, and how it ends.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use rustix::process::{Pid, Signal, kill_process};

mod common;

use common::{Folder, PATIENCE, TestServer, wire};

/// A running `listen`.
struct Listener {
    child: Child,
    stdout: mpsc::Receiver<String>,
    stderr: mpsc::Receiver<String>,
}

impl Listener {
    /// Listens to a server, with its development CA, which lies in the folder both run in.
    fn start(server: &TestServer, arguments: &str) -> Self {
        let token = server.token();
        let mut command = Self::command(&server.folder, server, arguments);
        command.env("SIGNALCAST_TOKEN", token);
        Self::start_command(command)
    }

    fn command(folder: &Folder, server: &TestServer, arguments: &str) -> Command {
        folder.command(&format!("listen {} {arguments}", server.url("")))
    }

    /// One that is connected.
    fn start_command(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = lines(child.stdout.take().unwrap());
        let stderr = lines(child.stderr.take().unwrap());
        let mut listener = Self {
            child,
            stdout,
            stderr,
        };
        listener.said(": connected");
        listener
    }

    /// The next line on standard output.
    fn line(&mut self) -> String {
        self.stdout
            .recv_timeout(PATIENCE)
            .expect("a line on standard output")
    }

    /// Waits for a line on standard error that ends so.
    fn said(&mut self, end: &str) -> String {
        loop {
            let line = self
                .stderr
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|_| panic!("it never said {end:?}"));
            if line.ends_with(end) {
                return line;
            }
        }
    }

    fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
    }

    fn wait(mut self) -> ExitStatus {
        wait(&mut self.child)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Lines as they come.
fn lines(output: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (line, lines) = mpsc::sync_channel(1000);
    thread::spawn(move || {
        for text in BufReader::new(output).lines() {
            if line.send(text.unwrap()).is_err() {
                return;
            }
        }
    });
    lines
}

/// Waits for the end, which comes by itself.
fn wait(child: &mut Child) -> ExitStatus {
    let (done, ended) = mpsc::sync_channel(1);
    let pid = Pid::from_child(child);
    let watch: JoinHandle<()> = thread::spawn(move || {
        if ended.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            kill_process(pid, Signal::KILL).ok();
        }
    });
    let status = child.wait().unwrap();
    done.send(()).ok();
    watch.join().unwrap();
    status
}

/// Exit code and what is said of a `listen` that ends by itself.
fn ended(mut command: Command) -> (Option<i32>, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.stdout, b"");
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn signals_are_lines_for_people_or_the_frames_as_they_came() {
    let mut server = TestServer::start("");
    let mut human = Listener::start(&server, "");
    let mut exact = Listener::start(&server, "--json");
    server.feed("buy BTCUSDT 75000.00 1720000000\n");
    server.feed("{\"side\":\"sell\",\"symbol\":\"BTC/USDT:USDT\",\"price\":0.10,\"time\":0,\"is_test\":true,\"quantity\":1.50,\"note\":\"a b\"}\n");
    assert_eq!(human.line(), "2024-07-03T09:46:40Z BUY BTCUSDT 75000.00");
    assert_eq!(
        human.line(),
        "1970-01-01T00:00:00Z SELL BTC/USDT:USDT 0.10 TEST quantity=1.50 note=\"a b\""
    );
    assert_eq!(
        exact.line(),
        wire("buy", "BTCUSDT", "75000.00", 1_720_000_000)
    );
    assert_eq!(
        exact.line(),
        r#"{"type":"sell","content":{"symbol":"BTC/USDT:USDT","price":0.10,"timestamp":0,"quantity":1.50,"note":"a b"},"is_test":true}"#
    );
    for listener in [human, exact] {
        listener.interrupt();
        assert_eq!(listener.wait().code(), Some(0), "Ctrl-C is no failure");
    }
}

#[tokio::test]
async fn ctrl_c_says_goodbye() {
    let server = TestServer::start("");
    let listener = Listener::start(&server, "");
    listener.interrupt();
    assert_eq!(listener.wait().code(), Some(0));
    server.logged("closed by the client code=1000").await;
}

#[test]
fn the_token_comes_from_an_argument_a_file_or_the_environment() {
    let mut server = TestServer::start("");
    let token = server.token();
    server.folder.append("token", &format!("{token}\n"));
    let by_argument = Listener::command(&server.folder, &server, &format!("--token {token}"));
    let by_file = Listener::command(&server.folder, &server, "--token-file token");
    let mut by_variable = Listener::command(&server.folder, &server, "");
    by_variable.env("SIGNALCAST_TOKEN", &token);
    let mut listeners = [by_argument, by_file, by_variable].map(Listener::start_command);
    server.feed("buy A 1 0\n");
    for listener in &mut listeners {
        assert_eq!(listener.line(), "1970-01-01T00:00:00Z BUY A 1");
    }
}

#[test]
fn another_folder_needs_the_ca_named() {
    let server = TestServer::start("");
    let (elsewhere, ca) = (Folder::new(), server.folder.path("certs/ca.pem"));
    let token = server.token();
    let arguments = format!("--token {token}");
    let (code, said) = ended(Listener::command(&elsewhere, &server, &arguments));
    assert_eq!(code, Some(1));
    assert!(
        said.starts_with("signalcast: invalid peer certificate: UnknownIssuer"),
        "{said}"
    );
    assert!(said.ends_with("name its authority with --ca\n"), "{said}");
    let mut named = Listener::command(&elsewhere, &server, &arguments);
    named.arg("--ca").arg(ca);
    Listener::start_command(named);
}

#[test]
fn a_refusal_is_told_in_the_servers_words() {
    let server = TestServer::start("");
    let scopeless = server.folder.token("--sub a --scope signals:test");
    for (token, expected) in [
        (
            None,
            "signalcast: refused: there is no token; send Authorization: Bearer TOKEN (missing_token, 401); give one with --token, --token-file or SIGNALCAST_TOKEN\n",
        ),
        (
            Some("nonsense"),
            "signalcast: refused: the token has not the three parts of a JWT (invalid_token, 401)\n",
        ),
        (
            Some(scopeless.as_str()),
            "signalcast: refused: the token lacks the scope signals:read (insufficient_scope, 403)\n",
        ),
    ] {
        let mut command = Listener::command(&server.folder, &server, "");
        command.envs(token.map(|token| ("SIGNALCAST_TOKEN", token)));
        assert_eq!(ended(command), (Some(1), expected.to_owned()));
    }
    let mut elsewhere = server
        .folder
        .command(&format!("listen {}", server.url("/signals")));
    elsewhere.env("SIGNALCAST_TOKEN", server.token());
    let (code, said) = ended(elsewhere);
    assert_eq!(
        (code, said.as_str()),
        (
            Some(1),
            "signalcast: refused: there is nothing here; signals are at / and /ws (not_found, 404)\n"
        )
    );
}

#[test]
fn it_stays_with_a_server_that_is_started_anew() {
    let server = TestServer::start("");
    let (folder, address) = (Arc::clone(&server.folder), server.address);
    let mut listener = Listener::start(&server, "--json");
    server.stop();
    let lost = listener.said(" s");
    assert!(lost.contains("closed by the server: the server is shutting down: reconnect (1001); connecting again in "), "{lost}");
    let mut server = TestServer::start_in(folder, &format!("--listen {address}"));
    listener.said(": connected");
    server.feed("buy A 1 2\n");
    assert_eq!(listener.line(), wire("buy", "A", "1", 2));
    drop(server);
    // A server that is killed says nothing.
    listener.said(" s");
    listener.interrupt();
    assert_eq!(listener.wait().code(), Some(0), "also while it waits");
}

/// `listen`, and its standard output, which nobody reads on.
fn with_a_reader(server: &TestServer) -> (Child, ChildStdout, mpsc::Receiver<String>) {
    let mut command = Listener::command(&server.folder, server, "--json");
    command.env("SIGNALCAST_TOKEN", server.token());
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (stdout, stderr) = (
        child.stdout.take().unwrap(),
        lines(child.stderr.take().unwrap()),
    );
    while !stderr
        .recv_timeout(PATIENCE)
        .unwrap()
        .ends_with(": connected")
    {}
    (child, stdout, stderr)
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_also_when_nothing_happens() {
    let mut server = TestServer::start("");
    let (mut child, stdout, stderr) = with_a_reader(&server);
    server.feed("buy A 1 2\n");
    let mut stdout = BufReader::new(stdout);
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line.trim_end(), wire("buy", "A", "1", 2));
    // As `head -1` does. No further signal comes that could not be written.
    drop(stdout);
    assert_eq!(wait(&mut child).code(), Some(0));
    assert_eq!(
        stderr.recv_timeout(PATIENCE),
        Err(mpsc::RecvTimeoutError::Disconnected),
        "it ends quietly"
    );
}

#[test]
fn a_reader_that_does_not_read_does_not_keep_ctrl_c_from_working() {
    let mut server = TestServer::start("");
    let (mut child, stdout, _stderr) = with_a_reader(&server);
    // More than a pipe holds.
    server.feed(&"buy A 1 2\n".repeat(5000));
    let mut watcher = Listener::start(&server, "");
    server.feed("buy B 1 2\n");
    watcher.line();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(wait(&mut child).code(), Some(0));
    drop(stdout);
}
