//! The issuer's public keys behind a URL (`auth.jwks`): fetched, kept, fetched again.
//!
//! `auth` reads what is fetched and judges tokens by it; it knows nothing of URLs.

use std::path::Path;
use std::time::Duration;

use hyper::http::Uri;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::auth::KeySet;

mod fetch;
mod keeper;
mod kept;

pub use keeper::Keeper;

use kept::Kept;

/// The keys of this URL that were kept in the data folder when they were last fetched; none if
/// nothing usable was.
pub fn kept(url: &Uri, data_dir: &Path) -> KeySet {
    let restored = Kept::in_folder(data_dir).read(url).ok().flatten();
    restored.map(|restored| restored.set).unwrap_or_default()
}

/// Asks for a look at the URL before its time.
#[derive(Clone, Debug)]
pub struct Refresh {
    /// Counts the questions.
    asked: watch::Sender<u64>,
    /// The last question that is answered.
    answered: watch::Receiver<u64>,
}

impl Refresh {
    /// Waits until the keys are as new as the bound on questions lets them be, but no longer than
    /// `longest` and a few seconds.
    ///
    /// # Cancel safety
    /// Who goes away has asked all the same.
    pub async fn now(&self, longest: Duration) {
        let ours = self.ask();
        let mut answered = self.answered.clone();
        let answer = answered.wait_for(|answered| *answered >= ours);
        // Too late, or the server is about to end: judged by what is known.
        timeout(longest.min(LONGEST_WAIT), answer).await.ok();
    }

    /// Asks without waiting; returns the number of the question.
    pub(crate) fn ask(&self) -> u64 {
        let mut ours = 0;
        self.asked.send_modify(|asked| {
            *asked += 1;
            ours = *asked;
        });
        ours
    }
}

/// A bot that waits longer for its upgrade gives up.
const LONGEST_WAIT: Duration = Duration::from_secs(4);
