use std::time::SystemTime;

use metrics::Gauge;

use super::registry::Registry;
use super::table::{CERTIFICATE_EXPIRES, RELOAD_REFUSED, RELOADS};

/// What is counted of files that are read again while the server runs.
#[derive(Debug, Default)]
pub struct Reloads {
    registry: Registry,
    expires: Option<Gauge>,
}

impl Reloads {
    /// The handles for these kinds of files, resolved.
    pub fn new(registry: &Registry, kinds: &[&'static str]) -> Self {
        for kind in kinds {
            for outcome in [TAKEN, REFUSED] {
                let labels = [("what", *kind), ("outcome", outcome)];
                registry.counter(&RELOADS, &labels).increment(0);
            }
            registry.gauge(&RELOAD_REFUSED, &[("what", *kind)]).set(0.0);
        }
        Self {
            registry: registry.clone(),
            expires: None,
        }
    }

    /// The certificate that is shown from now on expires then.
    pub fn certificate(&mut self, expires_at: SystemTime) {
        let gauge = || self.registry.gauge(&CERTIFICATE_EXPIRES, &[]);
        let expires = jiff::Timestamp::try_from(expires_at);
        // One that is beyond the calendar is as good as one that never expires.
        let seconds = expires.unwrap_or(jiff::Timestamp::MAX).as_second();
        #[expect(clippy::cast_precision_loss, reason = "seconds are far below 2^53")]
        self.expires.get_or_insert_with(gauge).set(seconds as f64);
    }

    /// What these files say holds from now on.
    pub fn taken(&self, what: &str) {
        self.count(what, TAKEN);
        self.fine(what);
    }

    /// They can be used again, and say what they said before.
    pub fn fine(&self, what: &str) {
        self.registry
            .gauge(&RELOAD_REFUSED, &[("what", what)])
            .set(0.0);
    }

    /// They can't be used; what was before stays.
    pub fn refused(&self, what: &str) {
        self.count(what, REFUSED);
        self.registry
            .gauge(&RELOAD_REFUSED, &[("what", what)])
            .set(1.0);
    }

    fn count(&self, what: &str, outcome: &str) {
        let labels = [("what", what), ("outcome", outcome)];
        self.registry.counter(&RELOADS, &labels).increment(1);
    }
}

const TAKEN: &str = "taken";
const REFUSED: &str = "refused";
