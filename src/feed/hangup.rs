//! What becomes of us when the terminal goes away.

use std::fs;

/// Whether the end of the terminal is none of our business: who started us has had SIGHUP ignored, as
/// `nohup` does. To be asked before anything handles it. A system that does not say so (in proc(5),
/// `SigIgn`) has it handled.
pub(super) fn is_ignored() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
}

fn ignores_hangup(status: &str) -> bool {
    let mut lines = status.lines();
    let ignored = lines.find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Signal 1 is the lowest bit.
    ignored.is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ignored_if_the_system_says_so() {
        for (status, is_ignored) in [
            (
                "SigBlk:\t0000000000000001\nSigIgn:\t0000000000000000\n",
                false,
            ),
            (
                "SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n",
                true,
            ),
            (
                "SigIgn:\t0000000000001000\nSigCgt:\t0000000000000001\n",
                false,
            ),
            ("SigIgn:\tx\n", false),
            ("", false),
        ] {
            assert_eq!(ignores_hangup(status), is_ignored, "{status}");
        }
    }
}
