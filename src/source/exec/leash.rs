use std::io;
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process_group};

/// By what the process group of a source's command is ended, from any thread. Cheap to clone.
///
/// A group's id is another's as soon as nobody is in it, so it is known here only until its first
/// process is waited for.
#[derive(Clone, Debug, Default)]
pub(super) struct Leash(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    group: Option<Pid>,
    /// It was asked to end: once is enough, for a second time many programs drop everything.
    asked: bool,
    /// No more commands are started.
    stopped: bool,
}

/// When a group was first asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Now,
    Before,
}

/// The commands that the sources have started. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Children(Vec<Leash>);

impl Children {
    pub(super) fn add(&mut self, leash: Leash) {
        self.0.push(leash);
    }

    /// Ends all that run, at once and with all that they have started, and lets none be started any
    /// more: for when the process ends and nobody can wait for them.
    pub fn kill(&self) {
        for leash in &self.0 {
            let mut held = leash.held();
            held.stopped = true;
            held.signal(Signal::KILL);
        }
    }
}

impl Leash {
    /// Starts a command that leads a group of its own; none if it was stopped before.
    pub(super) fn start(
        &self,
        spawn: impl FnOnce() -> io::Result<Child>,
    ) -> io::Result<Option<Child>> {
        let mut held = self.held();
        if held.stopped {
            return Ok(None);
        }
        let child = spawn()?;
        held.group = Some(Pid::from_child(&child));
        held.asked = false;
        Ok(Some(child))
    }

    /// Asks the group to end. No command is started any more.
    pub(super) fn stop(&self) {
        let mut held = self.held();
        held.stopped = true;
        held.ask();
    }

    /// Asks the group to end, unless it was asked before.
    pub(super) fn ask(&self) -> Told {
        self.held().ask()
    }

    pub(super) fn kill(&self) {
        self.held().signal(Signal::KILL);
    }

    /// To be called before the group's first process is waited for.
    pub(super) fn let_go(&self) {
        self.held().group = None;
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing that runs under the lock can leave it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn ask(&mut self) -> Told {
        if std::mem::replace(&mut self.asked, true) {
            return Told::Before;
        }
        self.signal(Signal::TERM);
        // One that was stopped can't heed it before it goes on.
        self.signal(Signal::CONT);
        Told::Now
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // It fails when only processes are left that have become another user's: nobody here
            // can end those.
            let _ = kill_process_group(group, signal);
        }
    }
}
