//! When the figures are not the server's, or lack.

use super::report::{Feed, Own, Server};

/// What is known of a measurement.
pub(super) struct Seen<'a> {
    pub(super) own: &'a Own,
    /// How long was measured.
    pub(super) seconds: f64,
    pub(super) server: Option<&'a Server>,
    /// A process that was to be measured and is gone, unless the report tells of its end otherwise.
    pub(super) ended_process: Option<u32>,
    pub(super) feed: Option<&'a Feed>,
    /// Whether lines came at a rate.
    pub(super) is_paced: bool,
    /// CPU of the thread of the clients while it connected them, in percent of a core.
    pub(super) connecting_percent: f64,
    /// That of the server.
    pub(super) server_connecting_percent: Option<f64>,
}

/// A thread that needs so much of a core has none left.
const FULL: f64 = 90.0;

/// A thread that waits for a CPU so long is not what delays a message, the machine is.
const MUCH_WAITING: f64 = 10.0;

/// What was measured for less than this says nothing of how busy anybody is.
const SHORT: f64 = 0.05;

/// Of the lines, in percent.
const MANY_LATE: f64 = 1.0;

/// Why these figures may be somebody else's than the server's.
pub(super) fn warnings(seen: &Seen<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(pid) = seen.ended_process {
        warnings.push(format!(
            "process {pid} has ended: what it used is not known"
        ));
    }
    if seen.seconds < SHORT {
        return warnings;
    }
    let (own, server) = (seen.own, seen.server.map(|server| server.cpu_percent));
    if own.cpu_percent >= FULL && server.is_none_or(|percent| percent < FULL) {
        warnings.push(format!(
            "this tool needed {:.0} % of a core to read: the server could do more, and latencies are longer than it makes them",
            own.cpu_percent
        ));
    }
    if own.waited_percent >= MUCH_WAITING {
        warnings.push(format!(
            "this tool waited {:.0} % of the time for a CPU: something else needs it, and latencies are longer than the server makes them",
            own.waited_percent
        ));
    }
    if seen.connecting_percent >= FULL
        && seen
            .server_connecting_percent
            .is_none_or(|percent| percent < FULL)
    {
        warnings.push(format!(
            "this tool needed {:.0} % of a core to connect: the server could take more connections a second",
            seen.connecting_percent
        ));
    }
    if let Some(feed) = seen.feed {
        if feed.cpu_percent >= FULL {
            warnings.push(format!(
                "this tool needed {:.0} % of a core to write lines: the server could take more",
                feed.cpu_percent
            ));
        }
        if seen.is_paced && feed.late as f64 * 100.0 > MANY_LATE * feed.lines as f64 {
            warnings.push(format!(
                "{} of {} lines were written more than a millisecond late: the rate was not even",
                feed.late, feed.lines
            ));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(cpu_percent: f64, waited_percent: f64) -> Own {
        Own {
            cpu_percent,
            waited_percent,
            reads: 1,
            messages_per_read: 1.0,
        }
    }

    fn seen<'a>(own: &'a Own, feed: Option<&'a Feed>) -> Seen<'a> {
        Seen {
            own,
            seconds: 2.0,
            server: None,
            ended_process: None,
            feed,
            is_paced: true,
            connecting_percent: 50.0,
            server_connecting_percent: Some(40.0),
        }
    }

    #[test]
    fn a_tool_with_time_to_spare_warns_of_nothing() {
        assert!(warnings(&seen(&own(50.0, 2.0), None)).is_empty());
    }

    #[test]
    fn each_warning_is_told() {
        let feed = Feed {
            lines: 100,
            seconds: 1.0,
            lines_per_second: 100.0,
            latest_us: 30_000.0,
            late: 20,
            cpu_percent: 97.0,
            error: None,
        };
        let own = own(96.0, 30.0);
        let busy = Seen {
            connecting_percent: 99.0,
            ..seen(&own, Some(&feed))
        };
        assert_eq!(warnings(&busy).len(), 5, "{:?}", warnings(&busy));
        let server_too = Seen {
            server_connecting_percent: Some(99.0),
            ..busy
        };
        assert_eq!(warnings(&server_too).len(), 4);
    }
}
