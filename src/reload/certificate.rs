use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tracing::{error, warn};

use super::expiry::{Expiry, Reminder};
use super::kept::{Kept, Outcome};
use super::{CERTIFICATE, Cause, report};
use crate::certs::{Identity, Shown, rfc3339};
use crate::config::Config;
use crate::credentials::load_certificate;
use crate::metrics::Reloads;

/// The certificate, and those to whom it is shown.
#[derive(Debug)]
pub(super) struct Certificate {
    kept: Kept<Identity>,
    shown: Arc<Shown>,
    reminder: Reminder,
}

impl Certificate {
    pub(super) fn new(config: &Config, identity: &Identity) -> Self {
        let files = [&config.server.tls_cert, &config.server.tls_key];
        Self {
            kept: Kept::new(files.into_iter().cloned().collect(), identity.clone()),
            shown: Shown::new(identity),
            reminder: Reminder::default(),
        }
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.kept.files()
    }

    pub(super) fn shown(&self) -> &Arc<Shown> {
        &self.shown
    }

    /// Loads it again, if that is due, and says when it ends.
    pub(super) fn reload(
        &mut self,
        config: &Config,
        cause: Cause,
        wall: SystemTime,
        metrics: &mut Reloads,
    ) -> Outcome {
        let load = || load_certificate(config, wall);
        let outcome = self.kept.look(cause, (Instant::now(), wall), load);
        let identity = self.kept.current();
        if outcome == Outcome::Taken {
            self.shown.replace(identity);
            metrics.certificate(identity.expires_at());
            self.reminder = Reminder::default();
        }
        report(CERTIFICATE, &outcome, identity.warnings(), metrics);
        if let Some(expiry) = self.reminder.due(identity, wall) {
            remind(config, identity, expiry);
        }
        outcome
    }
}

fn remind(config: &Config, identity: &Identity, expiry: Expiry) {
    let path = config.server.tls_cert.display();
    let until = rfc3339(identity.expires_at());
    match expiry {
        Expiry::Near => warn!(certificate = %path, %until, "expires soon; {RENEW}"),
        Expiry::Over => error!(certificate = %path, %until, "has expired; {RENEW}"),
    }
}

const RENEW: &str = "renew it, or make another with signalcast cert";
