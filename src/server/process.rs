use std::io;

use tokio::runtime::{Builder, Runtime};

use super::interrupts::Interrupts;

/// What a server runs on, before there is a server: from here on SIGTERM and Ctrl-C no longer kill
/// the process. One that comes early is kept, and the server ends in good order as soon as it can.
#[derive(Debug)]
pub struct Process {
    pub(super) runtime: Runtime,
    pub(super) interrupts: Interrupts,
}

impl Process {
    /// Catches the signals.
    ///
    /// # Errors
    /// The system refuses a runtime or a signal handler.
    pub fn begin() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let interrupts = {
            let _inside = runtime.enter();
            Interrupts::new()?
        };
        Ok(Self {
            runtime,
            interrupts,
        })
    }
}
