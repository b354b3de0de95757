//! Named points at which a test lets the process die as `kill -9` would have it: nothing is
//! flushed, closed or dropped. They are in builds with debug assertions only.

/// The process dies here if the variable `SIGNALCAST_CRASH_AT` says so: `NAME`, or `NAME:3` for
/// the third time that it comes here.
pub(crate) fn point(name: &str) {
    #[cfg(debug_assertions)]
    armed::pass(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

/// The variable. In builds without these points it is unknown, as any other.
#[cfg(debug_assertions)]
pub(crate) const VARIABLE: &str = "SIGNALCAST_CRASH_AT";

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    struct Armed {
        name: String,
        /// Times to pass it yet.
        left: AtomicU64,
    }

    pub(super) fn pass(name: &str) {
        static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
        let armed = ARMED.get_or_init(|| parse(&std::env::var(super::VARIABLE).ok()?));
        if let Some(armed) = armed
            && armed.name == name
            && armed.left.fetch_sub(1, Ordering::Relaxed) == 1
        {
            // It does not come back from that; what other threads do until then a kill from
            // outside would let them do, too.
            let killed = kill_process(getpid(), Signal::KILL);
            unreachable!("a process can kill itself: {killed:?}");
        }
    }

    fn parse(text: &str) -> Option<Armed> {
        let (name, pass) = text.split_once(':').unwrap_or((text, "1"));
        Some(Armed {
            name: name.to_owned(),
            left: AtomicU64::new(pass.parse().ok()?),
        })
    }
}
