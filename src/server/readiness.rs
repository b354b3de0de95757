use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use warp::http::StatusCode;

use super::public_names::public_names;
use crate::disk::{Disk, NEARLY_FULL_PERCENT};
use crate::halt::Switch;
use crate::ingest::LogState;
use crate::source::States;

/// What is looked at to tell whether clients should be sent here. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Readiness {
    pub(super) log: watch::Receiver<LogState>,
    pub(super) draining: CancellationToken,
    pub(super) halts: Switch,
    pub(super) sources: States,
    /// The one that the log is on.
    pub(super) disk: Disk,
}

impl Readiness {
    /// The answer to `/readyz`. How the sources are is only information: clients that are here
    /// lose nothing by a feed that has failed, and those that come would find it no better
    /// elsewhere. So is how full the disk is: it is a warning, before the log fails; and a halt, for
    /// whoever is here is told when it is over.
    pub(super) fn report(&self) -> (StatusCode, Value) {
        let draining = self.draining.is_cancelled();
        let log = *self.log.borrow();
        let status = match (draining, log) {
            (true, _) => "draining",
            (false, LogState::Failing) => "failing",
            (false, LogState::Writable) => "ready",
        };
        let code = match status {
            "ready" => StatusCode::OK,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        let log = match log {
            LogState::Writable => "ok",
            LogState::Failing => "failing",
        };
        let names = public_names(self.sources.iter().map(|(name, _)| name));
        let states = self.sources.iter().map(|(_, state)| state);
        let sources: Map<String, Value> = names
            .into_iter()
            .zip(states)
            .map(|(name, state)| (name, json!({ "state": state.as_str() })))
            .collect();
        let disk = said_of(self.disk.used_percent().ok());
        // Not why: anybody may look.
        let halted = self.halts.halt().is_some();
        let checks = json!({
            "log": log, "disk": disk, "draining": draining, "halted": halted, "sources": sources,
        });
        (code, json!({ "status": status, "checks": checks }))
    }
}

/// What is said of a disk that is used to so many percent.
fn said_of(used: Option<u64>) -> String {
    match used {
        None => "unknown".to_owned(),
        Some(used) if used >= NEARLY_FULL_PERCENT => format!("{used} % full"),
        Some(_) => "ok".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::ReceivedAt;

    #[test]
    fn a_disk_that_is_nearly_full_is_warned_of() {
        for (used, said) in [
            (None, "unknown"),
            (Some(0), "ok"),
            (Some(89), "ok"),
            (Some(90), "90 % full"),
            (Some(100), "100 % full"),
        ] {
            assert_eq!(said_of(used), said);
        }
    }

    fn readiness(log: watch::Receiver<LogState>, sources: &[&str]) -> Readiness {
        Readiness {
            log,
            draining: CancellationToken::new(),
            halts: Switch::unkept(),
            sources: States::new(sources.iter().map(|&name| name.into())),
            disk: Disk::of("nowhere".as_ref()),
        }
    }

    #[test]
    fn clients_are_sent_elsewhere_while_the_log_fails_and_while_draining() {
        let (log, looking) = watch::channel(LogState::Writable);
        let readiness = readiness(looking, &["stdin"]);
        let report = || {
            let (code, body) = readiness.report();
            (code.as_u16(), body.to_string())
        };
        let expected = |status, log, draining| {
            let checks = json!({
                "log": log, "disk": "unknown", "draining": draining, "halted": false, "sources": { "stdin": { "state": "waiting" } },
            });
            json!({ "status": status, "checks": checks }).to_string()
        };
        assert_eq!(report(), (200, expected("ready", "ok", false)));
        log.send_replace(LogState::Failing);
        assert_eq!(report(), (503, expected("failing", "failing", false)));
        log.send_replace(LogState::Writable);
        assert_eq!(report(), (200, expected("ready", "ok", false)));
        readiness.draining.cancel();
        assert_eq!(report(), (503, expected("draining", "ok", true)));
    }

    #[test]
    fn a_halt_is_told_and_sends_nobody_away() {
        let (_log, looking) = watch::channel(LogState::Writable);
        let readiness = readiness(looking, &[]);
        let reason = "the exchange is down".to_owned().try_into().unwrap();
        readiness.halts.throw(reason, ReceivedAt::MIN);
        let (code, body) = readiness.report();
        let checks = json!({
            "log": "ok", "disk": "unknown", "draining": false, "halted": true, "sources": {},
        });
        assert_eq!(code.as_u16(), 200);
        assert_eq!(body, json!({ "status": "ready", "checks": checks }));
    }
}
