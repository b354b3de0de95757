//! What there is before the first client: the server, whoever takes the lines, the feed's way.

use std::fs::{File, OpenOptions};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU32;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use super::BenchError;
use super::command::Running;
use super::crowd::Crowd;
use super::feed::Sink;
use super::interrupt::Interrupt;
use super::mark::Marks;
use super::moment::Moment;
use super::options::{FeedTo, Options};
use super::progress::Progress;
use super::run::Run;
use super::target::{self, Target};

impl<'a> Run<'a> {
    /// All is there but clients.
    pub(super) fn prepare(options: &'a Options) -> Result<Self, BenchError> {
        let address = target::resolve(options)?;
        let interrupt = Interrupt::new()?;
        let mut commands = Vec::new();
        if let Some(command) = &options.server {
            if does_somebody_listen(address) {
                return Err(BenchError::SomebodyListens(address));
            }
            let to = options.feed.as_ref().map(|feed| &feed.to);
            let is_fed = to == Some(&FeedTo::Server);
            let stdin = if is_fed {
                Stdio::piped()
            } else {
                Stdio::null()
            };
            commands.push(start(command, stdin)?);
        }
        wait_until_somebody_listens(address, &mut commands, &interrupt)?;
        let marks = match &options.feed {
            Some(_) => Marks::of_lines(),
            None => Marks::member(&options.sequence),
        };
        let mut run = Self {
            options,
            crowd: Crowd::new(Target::new(options, address)?, marks)?,
            interrupt,
            progress: Progress::new(),
            sink: None,
            pid: commands.first().map(Running::pid),
            commands,
            before: None,
        };
        run.pid = run.pid.or(options.pid.map(NonZeroU32::get));
        if let Some(feed) = &options.feed {
            run.sink = Some(run.open(&feed.to)?);
        }
        run.before = run.usage();
        match run.pid {
            Some(pid) if run.before.is_none() => Err(BenchError::NoProcess(pid)),
            _ => Ok(run),
        }
    }

    fn open(&mut self, to: &FeedTo) -> Result<Sink, BenchError> {
        match to {
            FeedTo::Server => {
                let stdin = self.commands.first_mut().and_then(Running::take_stdin);
                Ok(Box::new(stdin.expect("the server was started with a pipe")))
            }
            FeedTo::File(path) => {
                let may_wait = !self.commands.is_empty();
                let file = open_for_appending(path, may_wait, &self.interrupt)?;
                Ok(Box::new(file))
            }
            FeedTo::Command(command) => {
                let mut started = start(command, Stdio::piped())?;
                let stdin = started.take_stdin().expect("it was started with a pipe");
                self.commands.push(started);
                Ok(Box::new(stdin))
            }
        }
    }
}

fn wait_until_somebody_listens(
    address: SocketAddr,
    commands: &mut [Running],
    interrupt: &Interrupt,
) -> Result<(), BenchError> {
    let deadline = Moment::now() + LISTENS_WITHIN;
    loop {
        let does_listen = does_somebody_listen(address);
        for command in &mut *commands {
            if let Some(status) = command.ended()? {
                return Err(BenchError::ServerEnded(status));
            }
        }
        if does_listen {
            return Ok(());
        }
        // We did not start the server, so waiting does not help.
        if commands.is_empty() {
            return Err(BenchError::NobodyListens(address));
        }
        if interrupt.came() {
            return Err(BenchError::Interrupted);
        }
        if Moment::now() >= deadline {
            return Err(BenchError::NobodyListens(address));
        }
        thread::sleep(GLANCE);
    }
}

fn does_somebody_listen(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, LISTENS_WITHIN).is_ok()
}

/// A pipe is opened without waiting for its reader in the system, where Ctrl-C would not be heeded.
fn open_for_appending(
    path: &Path,
    may_wait: bool,
    interrupt: &Interrupt,
) -> Result<File, BenchError> {
    let name = || path.display().to_string();
    let failed = |why: io::Error| BenchError::Feed(name(), why);
    let mut options = OpenOptions::new();
    options
        .create(true)
        .append(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let deadline = Moment::now() + LISTENS_WITHIN;
    loop {
        match options.open(path) {
            Ok(file) => {
                // Writes do wait for a reader that is slow.
                let flags = fcntl_getfl(&file).map_err(|why| failed(why.into()))?;
                fcntl_setfl(&file, flags - OFlags::NONBLOCK).map_err(|why| failed(why.into()))?;
                return Ok(file);
            }
            Err(why) if why.raw_os_error() != Some(Errno::NXIO.raw_os_error()) => {
                return Err(failed(why));
            }
            Err(_) if interrupt.came() => return Err(BenchError::Interrupted),
            // As above: waiting helps only where we started the server.
            Err(_) if !may_wait || Moment::now() >= deadline => {
                return Err(BenchError::NobodyReads(name()));
            }
            Err(_) => thread::sleep(GLANCE),
        }
    }
}

fn start(command: &str, stdin: Stdio) -> Result<Running, BenchError> {
    Running::start(command, stdin).map_err(|why| BenchError::Command(command.to_owned(), why))
}

/// Between two looks whether somebody is there.
const GLANCE: Duration = Duration::from_millis(20);

/// Somebody who does not listen, or read a pipe, by then never will.
const LISTENS_WITHIN: Duration = Duration::from_secs(20);
