use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::moment::Moment;

/// A command that was started for the run, and ends with it.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
}

impl Running {
    /// Starts it through the shell, in a process group of its own: Ctrl-C is ours to handle. What it
    /// prints goes to standard error, for standard output is the report's.
    pub(super) fn start(command: &str, stdin: Stdio) -> io::Result<Self> {
        let output = || io::stderr().as_fd().try_clone_to_owned().map(Stdio::from);
        let child = Command::new("/bin/sh")
            .args(["-c", command])
            .stdin(stdin)
            .stdout(output()?)
            .stderr(output()?)
            .process_group(0)
            .spawn()?;
        Ok(Self { child })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// How it has ended, if it has.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }
}

impl Drop for Running {
    /// Asks it to end, and ends it when it takes too long.
    fn drop(&mut self) {
        let group = Pid::from_child(&self.child);
        drop(self.child.stdin.take());
        // It may be gone already.
        let _ = kill_process_group(group, Signal::TERM);
        let deadline = Moment::now() + PATIENCE;
        while Moment::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.child.wait();
    }
}

/// For its end, once it was asked to.
const PATIENCE: Duration = Duration::from_secs(15);
