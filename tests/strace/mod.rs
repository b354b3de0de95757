//! What a server asks of the system, watched, or refused, from outside.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "each test file compiles its own copy and uses a part of it; a test that cannot go on fails"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::{Folder, TestServer};

/// strace, attached to all threads of a server until it is dropped.
pub struct Strace {
    child: Child,
    file: PathBuf,
    /// Open as long as it runs: it would end when it can't tell of a new thread.
    _stderr: BufReader<ChildStderr>,
}

/// One system call, whole: when it was begun and when it was over.
#[derive(Debug)]
pub struct Call {
    pub begun: usize,
    pub ended: usize,
    pub text: String,
}

impl Call {
    pub fn is(&self, names: &[&str]) -> bool {
        let name = self.text.split('(').next();
        names.iter().any(|known| Some(*known) == name)
    }

    /// Whether this is the file of its first argument.
    pub fn is_on(&self, file: &str) -> bool {
        let descriptor = self.text.split_once('(').map(|(_, rest)| rest);
        let path = descriptor.and_then(|rest| rest.split_once('>'));
        path.is_some_and(|(path, _)| path.ends_with(file))
    }
}

impl Strace {
    /// Attaches it with these arguments; what it sees goes to a file in this folder.
    ///
    /// # Panics
    /// It is not installed, or may not look at other processes.
    pub fn attach(server: &TestServer, folder: &Folder, arguments: &[&str]) -> Self {
        let file = folder.path("strace");
        let pid = server.pid().as_raw_nonzero().to_string();
        let mut child = Command::new("strace")
            .args(["-f", "-p", &pid, "-o"])
            .arg(&file)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("strace: {error}; run: make tools"));
        let mut said = String::new();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        stderr.read_line(&mut said).unwrap();
        assert!(
            said.contains("attached"),
            "strace can't watch another process here (in a container: CAP_SYS_PTRACE): {said}"
        );
        Self {
            child,
            file,
            _stderr: stderr,
        }
    }

    /// Lets go of the server; returns what it did meanwhile.
    pub fn detach(mut self) -> Vec<Call> {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        self.child.wait().unwrap();
        calls(&fs::read_to_string(&self.file).unwrap())
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).ok();
        self.child.wait().ok();
    }
}

/// The calls in what strace wrote, in the order in which they were begun. What another thread did
/// meanwhile stands between the two parts of one.
fn calls(text: &str) -> Vec<Call> {
    let mut calls: Vec<(&str, Call)> = Vec::new();
    for (place, line) in text.lines().enumerate() {
        let Some((thread, text)) = line.split_once(' ') else {
            continue;
        };
        let text = text.trim_start();
        let is_open = |call: &Call| call.ended == usize::MAX;
        if let Some(begin) = text.strip_suffix(" <unfinished ...>") {
            let call = Call {
                begun: place,
                ended: usize::MAX,
                text: begin.to_owned(),
            };
            calls.push((thread, call));
        } else if text.starts_with("<... ") {
            let mut open = calls.iter_mut().rev();
            if let Some((_, call)) =
                open.find(|(begun_by, call)| *begun_by == thread && is_open(call))
            {
                call.ended = place;
                call.text.push_str(text.split_once('>').unwrap().1);
            }
        } else {
            let call = Call {
                begun: place,
                ended: place,
                text: text.to_owned(),
            };
            calls.push((thread, call));
        }
    }
    calls.into_iter().map(|(_, call)| call).collect()
}
