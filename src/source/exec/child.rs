use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{self, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use procfs::process::{Stat, all_processes};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitOptions, getpid, pidfd_open, waitpid};
use tracing::warn;

use super::leash::{Leash, Told};
use super::stderr::{Stderr, timespec};
use crate::source::SourceName;

/// A command that was started, and all that it has started itself in its process group.
///
/// It is over when its first process has ended: whatever is left of the group is asked to end then,
/// for it would stand beside the next one. Dropped before, it is killed.
#[derive(Debug)]
pub(super) struct Child {
    source: SourceName,
    process: process::Child,
    leash: Leash,
    /// Readable when the first process has ended, which stays a zombie, and so keeps the group's id,
    /// until the whole group has.
    exit: OwnedFd,
    /// What it prints; none after its end.
    output: Option<ChildStdout>,
    stderr: Option<Stderr>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Running,
    /// Its first process was asked to end.
    Asked {
        deadline: Instant,
    },
    /// Its first process has ended, and the rest of the group was asked to.
    Ended {
        deadline: Instant,
        how: How,
    },
    /// All of it has ended.
    Over {
        status: ExitStatus,
        how: How,
    },
}

/// How a group came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// By itself: nobody in it was told to.
    ByItself,
    /// It was asked to, or what was left of it when its first process had ended.
    Asked,
    /// It was killed, wherever it was.
    Killed,
}

/// What to do next for a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// There may be something to read.
    Read,
    /// Something else has happened, or the time is over.
    Look,
}

impl Child {
    /// Starts a command by the shell; none if the leash lets nothing be started any more.
    pub(super) fn start(
        source: &SourceName,
        command: &str,
        leash: &Leash,
    ) -> io::Result<Option<Self>> {
        let spawn = || {
            Command::new("/bin/sh")
                .args(["-c", command])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .process_group(0)
                .spawn()
        };
        let Some(mut process) = leash.start(spawn)? else {
            return Ok(None);
        };
        let kept = Self::keep(source, &mut process);
        let (exit, output, stderr) = match kept {
            Ok(kept) => kept,
            Err(why) => {
                leash.kill();
                leash.let_go();
                // It is dead: this takes no time.
                let _ = process.wait();
                return Err(why);
            }
        };
        Ok(Some(Self {
            source: source.clone(),
            process,
            leash: leash.clone(),
            exit,
            output,
            stderr: Some(stderr),
            stage: Stage::Running,
        }))
    }

    fn keep(
        source: &SourceName,
        process: &mut process::Child,
    ) -> io::Result<(OwnedFd, Option<ChildStdout>, Stderr)> {
        let exit = pidfd_open(Pid::from_child(process), PidfdFlags::empty())?;
        let stderr = process.stderr.take().expect("it was asked for");
        let stderr = Stderr::log(source.clone(), stderr)?;
        Ok((exit, process.stdout.take(), stderr))
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// What it prints; none when all of that was read.
    pub(super) fn output(&self) -> Option<BorrowedFd<'_>> {
        self.output.as_ref().map(AsFd::as_fd)
    }

    /// Nothing more will be read of what it prints.
    pub(super) fn close_output(&mut self) {
        self.output = None;
    }

    /// Whether its first process has not ended yet, as far as was seen.
    pub(super) fn runs(&self) -> bool {
        matches!(self.stage, Stage::Running | Stage::Asked { .. })
    }

    /// How all of it has ended, if it has.
    pub(super) fn over(&self) -> Option<(ExitStatus, How)> {
        match self.stage {
            Stage::Over { status, how } => Some((status, how)),
            Stage::Running | Stage::Asked { .. } | Stage::Ended { .. } => None,
        }
    }

    /// Asks it to end; at the deadline it is killed.
    pub(super) fn end(&mut self, deadline: Instant) {
        self.leash.ask();
        self.stage = match self.stage {
            Stage::Running => Stage::Asked { deadline },
            Stage::Ended {
                deadline: earlier,
                how,
            } => Stage::Ended {
                deadline: deadline.min(earlier),
                how,
            },
            stage @ (Stage::Asked { .. } | Stage::Over { .. }) => stage,
        };
    }

    /// Sees what has become of it, and does what is due.
    ///
    /// # Errors
    /// The system can't tell how it has ended.
    pub(super) fn look(&mut self, now: Instant) -> io::Result<()> {
        if self.runs() && is_readable(&self.exit)? {
            // Looked at first: whoever is asked may be gone a moment later.
            let is_alone = is_left(self.group()) == Some(false);
            let how = match self.leash.ask() {
                Told::Now if is_alone => How::ByItself,
                Told::Now | Told::Before => How::Asked,
            };
            let deadline = match self.stage {
                Stage::Asked { deadline } => deadline,
                _ => now + GRACE_OF_THE_REST,
            };
            self.stage = Stage::Ended { deadline, how };
        }
        match self.stage {
            Stage::Running | Stage::Over { .. } => Ok(()),
            Stage::Asked { deadline } if now < deadline => Ok(()),
            Stage::Asked { .. } => {
                warn!(source = %self.source, "the command does not end when asked to; killing it");
                self.bury(How::Killed)
            }
            // Without /proc nobody knows: then the rest has no grace.
            Stage::Ended { deadline, .. } if is_left(self.group()) == Some(true) => {
                if now < deadline {
                    return Ok(());
                }
                warn!(source = %self.source, "what the command has started does not end when asked to; killing it");
                self.bury(How::Killed)
            }
            Stage::Ended { how, .. } => self.bury(how),
        }
    }

    /// Sleeps until something has happened: there is something to read, if that is of interest, it
    /// has ended, `bell` can be read, or the time has come to look again.
    ///
    /// # Errors
    /// The system can't wait for it.
    pub(super) fn wait(
        &self,
        bell: impl AsFd,
        wants_output: bool,
        until: Option<Instant>,
    ) -> io::Result<Next> {
        let output = self.output.as_ref().filter(|_| wants_output);
        let mut watched = vec![PollFd::new(&bell, PollFlags::IN)];
        if self.runs() {
            watched.push(PollFd::new(&self.exit, PollFlags::IN));
        }
        if let Some(output) = output {
            watched.push(PollFd::new(output, PollFlags::IN));
        }
        let now = Instant::now();
        let next_look = match self.stage {
            Stage::Running => None,
            Stage::Asked { deadline } => Some(deadline),
            Stage::Ended { deadline, .. } => Some(deadline.min(now + BETWEEN_LOOKS)),
            // What it printed is in the pipe by now.
            Stage::Over { .. } => output.map(|_| now),
        };
        let deadline = [until, next_look].into_iter().flatten().min();
        let patience = deadline.map(|deadline| deadline.saturating_duration_since(now));
        sleep(&mut watched, patience)?;
        let is_there =
            output.is_some() && watched.last().is_some_and(|fd| !fd.revents().is_empty());
        Ok(if is_there { Next::Read } else { Next::Look })
    }

    /// Ends what is left of the group, and of its first process.
    fn bury(&mut self, how: How) -> io::Result<()> {
        self.leash.kill();
        let deadline = Instant::now() + LONGEST_DEATH;
        while !is_readable(&self.exit)? {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::other("it was killed and does not end"));
            }
            sleep(&mut [PollFd::new(&self.exit, PollFlags::IN)], Some(left))?;
        }
        self.reap_rest(deadline)?;
        self.leash.let_go();
        let status = self.process.wait()?;
        // Waits until all that was said on standard error is on its way to the log.
        self.stderr = None;
        self.stage = Stage::Over { status, how };
        Ok(())
    }

    /// Waits for those of the group that have become children of this process. That they do where it is
    /// the first of a container, and there nobody else would ever wait for them. Before its first process
    /// is waited for, so that the group's id is still its own.
    fn reap_rest(&self, deadline: Instant) -> io::Result<()> {
        // Killed, but maybe not dead yet.
        while is_left(self.group()) == Some(true) && Instant::now() < deadline {
            sleep(&mut [], Some(BETWEEN_LOOKS))?;
        }
        let own = getpid().as_raw_nonzero().get();
        let others = others_in(self.group()).into_iter().flatten();
        for pid in others.filter_map(|stat| (stat.ppid == own).then(|| Pid::from_raw(stat.pid))?) {
            // It fails when it is none of ours after all.
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
        Ok(())
    }

    fn group(&self) -> Pid {
        Pid::from_child(&self.process)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.over().is_none()
            && let Err(why) = self.bury(How::Killed)
        {
            warn!(source = %self.source, %why, "a command could not be ended");
        }
    }
}

/// Whether anybody is in the group besides its first process; none if there is no /proc to tell.
fn is_left(group: Pid) -> Option<bool> {
    // Those that nobody has waited for have ended all the same.
    let runs = |stat: Stat| !matches!(stat.state, 'Z' | 'X');
    others_in(group).map(|mut others| others.any(runs))
}

/// All processes of the group but its first, also those that have ended and that nobody has waited
/// for; none if there is no /proc to tell.
fn others_in(group: Pid) -> Option<impl Iterator<Item = Stat>> {
    let group = group.as_raw_nonzero().get();
    let stats = all_processes().ok()?.flatten();
    let stats = stats.filter_map(|process| process.stat().ok());
    Some(stats.filter(move |stat| stat.pgrp == group && stat.pid != group))
}

fn is_readable(fd: impl AsFd) -> io::Result<bool> {
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    sleep(&mut fds, Some(Duration::ZERO))?;
    Ok(!fds[0].revents().is_empty())
}

/// Waits for one of these. It may come back for nothing.
fn sleep(fds: &mut [PollFd<'_>], longest: Option<Duration>) -> io::Result<()> {
    match poll(fds, longest.map(timespec).as_ref()) {
        Ok(_) | Err(Errno::INTR | Errno::AGAIN) => Ok(()),
        Err(why) => Err(why.into()),
    }
}

/// How long what is left of a command has to end when its first process has ended by itself.
const GRACE_OF_THE_REST: Duration = Duration::from_secs(5);

/// How often it is looked whether it has.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Longest wait for a process that was killed: dead within moments, unless it hangs in the kernel.
/// That is tried twice, and a source is left alone when it has not stopped within a second.
const LONGEST_DEATH: Duration = Duration::from_millis(400);
