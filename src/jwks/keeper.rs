use std::error::Error;
use std::mem;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use hyper::body::Bytes;
use hyper::http::Uri;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::Refresh;
use super::fetch::{Fetched, fetch};
use super::kept::Kept;
use crate::auth::{Authenticator, KeySet};
use crate::backoff::Backoff;

/// Keeps the key set of a URL up to date in the authenticator that holds.
#[derive(Debug)]
pub struct Keeper {
    url: Uri,
    kept: Kept,
    /// Not ours to keep: whoever made it notices its own end by it.
    authenticator: Weak<watch::Sender<Arc<Authenticator>>>,
    asked: watch::Receiver<u64>,
    answered: watch::Sender<u64>,
    /// The text of the set that holds, if this process has fetched it.
    text: Bytes,
    /// Usable keys of the set that holds.
    keys: usize,
    /// Waits between tries since the URL has given no good set.
    trouble: Option<Backoff>,
}

impl Keeper {
    /// Puts the keys that were kept in the data folder into the authenticator, and is ready to
    /// [run](Self::run).
    pub fn new(
        url: Uri,
        data_dir: &Path,
        authenticator: Weak<watch::Sender<Arc<Authenticator>>>,
    ) -> (Self, Refresh) {
        let (asked, questions) = watch::channel(0);
        let (answers, answered) = watch::channel(0);
        let mut keeper = Self {
            url,
            kept: Kept::in_folder(data_dir),
            authenticator,
            asked: questions,
            answered: answers,
            text: Bytes::new(),
            keys: 0,
            trouble: None,
        };
        keeper.restore();
        (keeper, Refresh { asked, answered })
    }

    /// Fetches the set now, whenever it has become old, and when somebody asks. Ends when it is
    /// told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut due = Instant::now();
        let (mut questions_from, mut is_asked) = (due, false);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep_until(due) => {}
                Ok(()) = self.asked.changed() => {
                    is_asked = true;
                    if Instant::now() < questions_from {
                        // Answered with what is known, and looked after as soon as may be.
                        self.answer();
                        due = due.min(questions_from);
                        continue;
                    }
                }
            }
            if mem::take(&mut is_asked) {
                questions_from = Instant::now() + BETWEEN_QUESTIONS;
            }
            let wait = tokio::select! {
                () = stop.cancelled() => return,
                wait = self.look() => wait,
            };
            due = Instant::now() + wait;
        }
    }

    fn restore(&mut self) {
        match self.kept.read(&self.url) {
            Ok(Some(restored)) => {
                info!(
                    keys = restored.set.len(),
                    fetched_at = %restored.fetched_at,
                    "keys of auth.jwks kept from an earlier run hold until it answers"
                );
                self.trust(restored.set);
            }
            Ok(None) => self.trust(KeySet::default()),
            Err(problem) => {
                warn!("keys of auth.jwks kept from an earlier run can't be used: {problem}");
                self.trust(KeySet::default());
            }
        }
    }

    /// Fetches once, and answers whoever has asked until then. Returns how long what is known now
    /// may do.
    async fn look(&mut self) -> Duration {
        let fetched = match fetch(&self.url).await {
            Ok(fetched) => fetched,
            Err(error) => {
                let wait = self.failed(&error);
                self.answer();
                return wait;
            }
        };
        if self.trouble.take().is_some() {
            info!(keys = fetched.set.len(), "auth.jwks can be fetched again");
        }
        let wait = until_old(fetched.fresh_for);
        if fetched.text == self.text {
            debug!("auth.jwks has not changed");
            self.answer();
        } else {
            self.take_over(fetched).await;
        }
        wait
    }

    async fn take_over(&mut self, fetched: Fetched) {
        let warnings = fetched.set.warnings().to_vec();
        self.text = fetched.text;
        self.trust(fetched.set);
        // Nobody waits for the disk.
        self.answer();
        self.keep(self.text.clone()).await;
        info!(keys = self.keys, "auth.jwks fetched");
        for warning in warnings {
            warn!("auth.jwks: {warning}");
        }
    }

    fn trust(&mut self, set: KeySet) {
        self.keys = set.len();
        let set = Arc::new(set);
        // Without it the server is about to end.
        if let Some(authenticator) = self.authenticator.upgrade() {
            authenticator.send_modify(|holds| {
                *holds = Arc::new(Authenticator::clone(holds).with_key_set(set));
            });
        }
    }

    /// Says so when it begins, and not at each try.
    fn failed(&mut self, error: &dyn Error) -> Duration {
        let why = with_causes(error);
        if self.trouble.is_some() {
            debug!(error = why, "auth.jwks still can't be fetched");
        } else {
            warn!(
                keys = self.keys,
                error = why,
                "auth.jwks can't be fetched; the keys known so far go on, and it is tried again and again"
            );
        }
        self.trouble.get_or_insert_default().next()
    }

    async fn keep(&self, text: Bytes) {
        let (kept, url) = (self.kept.clone(), self.url.clone());
        let written = spawn_blocking(move || kept.write(&url, &text, Timestamp::now())).await;
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(
                %error,
                "the keys of auth.jwks can't be kept in the data folder for the next start"
            ),
            Err(died) => warn!(%died, "the keys of auth.jwks were not kept; this is a bug"),
        }
    }

    /// All who have asked so far.
    fn answer(&mut self) {
        let asked = *self.asked.borrow_and_update();
        self.answered.send_replace(asked);
    }
}

/// How long a set does. A little of it is left to chance, so that the servers of one issuer don't
/// all ask at once.
fn until_old(fresh_for: Option<Duration>) -> Duration {
    let full = fresh_for.unwrap_or(FRESH).clamp(SHORTEST, LONGEST);
    full.mul_f64(0.9 + 0.1 * crate::backoff::chance())
}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Whoever sends tokens with made-up names of keys makes us ask the issuer no more often.
const BETWEEN_QUESTIONS: Duration = Duration::from_secs(30);

/// When the answer does not say.
const FRESH: Duration = Duration::from_secs(3600);

/// Whatever the answer says: issuers are not to be bothered, and a key that was withdrawn is not
/// to be trusted for days.
const SHORTEST: Duration = Duration::from_secs(5 * 60);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_fetched_again_within_bounds() {
        for (fresh_for, least, most) in [
            (None, 54 * 60, 3600),
            (Some(0), 270, 300),
            (Some(600), 540, 600),
            (Some(u64::MAX), 77_760, 86_400),
        ] {
            let wait = until_old(fresh_for.map(Duration::from_secs));
            let bounds = Duration::from_secs(least)..=Duration::from_secs(most);
            assert!(bounds.contains(&wait), "{fresh_for:?}: {wait:?}");
        }
    }
}
