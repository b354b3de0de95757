//! Where signals are printed: a reader that is slow or gone does not keep the rest from going on.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

/// Standard output, or in tests something else.
#[derive(Debug)]
pub(crate) enum Output<W> {
    /// Standard output. It stays blocking, because the shell and others share it.
    Standard {
        /// Another handle of it.
        fd: Arc<OwnedFd>,
        /// Cancelled when its reader is gone.
        gone: CancellationToken,
    },
    /// What takes everything at once.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests print into memory"))]
    Taken(W),
}

/// A pipe that is writable takes as much as this without blocking (`PIPE_BUF`).
const AT_ONCE: usize = 4096;

impl Output<io::Stdout> {
    /// Standard output. Needs a runtime, which must not wait for blocking tasks when it ends.
    ///
    /// # Errors
    /// No handles left.
    pub(crate) fn standard() -> io::Result<Self> {
        let fd = Arc::new(io::stdout().as_fd().try_clone_to_owned()?);
        let gone = CancellationToken::new();
        let (watched, told) = (Arc::clone(&fd), gone.clone());
        // Lasts as long as the process, unless the reader goes first.
        spawn_blocking(move || {
            if wait(&watched, PollFlags::empty(), None).is_ok() {
                told.cancel();
            }
        });
        Ok(Self::Standard { fd, gone })
    }
}

impl<W: Write> Output<W> {
    /// Writes all of it.
    ///
    /// # Cancel safety
    /// Dropped, it may have written a part.
    pub(crate) async fn write(&mut self, text: &[u8]) -> io::Result<()> {
        let fd = match self {
            Self::Standard { fd, .. } => &*fd,
            Self::Taken(to) => return to.write_all(text).and_then(|()| to.flush()),
        };
        let mut rest = text;
        while !rest.is_empty() {
            if !wait(fd, PollFlags::OUT, Some(&Timespec::default()))? {
                let full = Arc::clone(fd);
                spawn_blocking(move || wait(&full, PollFlags::OUT, None))
                    .await
                    .map_err(io::Error::other)??;
                continue;
            }
            match rustix::io::write(fd, &rest[..rest.len().min(AT_ONCE)]) {
                Ok(count) => rest = &rest[count..],
                // The second: somebody else made it non-blocking.
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(why) => return Err(why.into()),
            }
        }
        Ok(())
    }

    /// Ends when the reader is gone. Holds nothing of the output, so that somebody may write
    /// meanwhile.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) fn closed(&self) -> impl Future<Output = ()> + use<W> {
        let gone = match self {
            Self::Standard { gone, .. } => gone.clone(),
            Self::Taken(_) => CancellationToken::new(),
        };
        async move { gone.cancelled().await }
    }
}

/// Waits for this, or for an error, which need not be asked for; false when the time is up.
fn wait(fd: &OwnedFd, what: PollFlags, limit: Option<&Timespec>) -> io::Result<bool> {
    loop {
        match poll(&mut [PollFd::new(fd, what)], limit) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(why) => return Err(why.into()),
        }
    }
}
