//! Certificates, keys, tokens and secrets of hooks that are replaced while the server runs.
//!
//! On SIGHUP, and when files change, a thread of its own reads them again. New connections see
//! what is new; what can't be used is told once, and the old stays. Knows nothing of connections.

mod certificate;
mod expiry;
mod kept;
mod news;
mod revoker;
mod stamp;

use std::io;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::auth::{Authenticator, KeySet, Keys, TokenBook};
use crate::certs::Shown;
use crate::config::{Config, Jwks, Refusals};
use crate::credentials::{load_book, load_hooks, load_keys};
use crate::first_start::Prepared;
use crate::hook::Hooks;
use crate::jwks::{Keeper, Refresh};
use crate::metrics::{Registry, Reloads};

use certificate::Certificate;
use kept::{Kept, Outcome};
use news::News;
use revoker::Asked;

pub use revoker::Revoker;

/// Keeps certificate, keys and tokens up to date until it is dropped.
#[derive(Debug)]
pub struct Reloader {
    stop: CancellationToken,
    ended: mpsc::Receiver<()>,
}

/// What there is to reload, and where it goes.
#[derive(Debug)]
pub struct Reload {
    config: Config,
    certificate: Option<Certificate>,
    keys: Kept<Keys>,
    tokens: Kept<TokenBook>,
    hooks: Kept<Hooks>,
    shown_hooks: watch::Sender<Hooks>,
    authenticator: Arc<watch::Sender<Arc<Authenticator>>>,
    key_refresh: Option<Refresh>,
    asked: Asked,
    metrics: Reloads,
}

/// Why files are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// They may have changed. Nobody asked, so nothing is said if they have not.
    Look,
    /// SIGHUP: somebody waits for an answer.
    Asked,
}

/// What the files are, in the log and in metrics.
const CERTIFICATE: &str = "certificate";
const KEYS: &str = "keys";
const TOKENS: &str = "tokens";
const HOOKS: &str = "hooks";

/// Files are looked at this often even if the kernel tells of no change.
const LOOK: Duration = Duration::from_secs(1);

/// Between news of a change and the look at it: what is replaced together is then seen together.
const PAUSE: Duration = Duration::from_millis(50);

/// How long the end of the server waits for a file that is just being read. Longer than any but a
/// dead mount takes.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Who gets in with these keys and tokens.
fn authenticator(
    config: &Config,
    keys: &Keys,
    book: &TokenBook,
    set: Option<Arc<KeySet>>,
) -> Arc<Authenticator> {
    let rules = config.auth.jwt_rules();
    let authenticator = Authenticator::new(keys.clone(), book.clone(), rules);
    Arc::new(match set {
        Some(set) => authenticator.with_key_set(set),
        None => authenticator,
    })
}

impl Reload {
    /// What was loaded at the start, to be kept up to date. Beside it how to revoke a token, and, if
    /// `auth.jwks` is a URL, who keeps the keys behind that up to date, to be run by the server, and
    /// how to ask for them.
    pub fn new(
        config: &Config,
        prepared: &Prepared,
        metrics: &Registry,
    ) -> (Self, Revoker, Option<(Keeper, Refresh)>) {
        let identity = prepared.identity.as_ref();
        let mut key_files = config.auth.jwt_key.clone();
        let authenticator = authenticator(config, &prepared.keys, &prepared.book, None);
        let authenticator = Arc::new(watch::Sender::new(authenticator));
        let mut issuer = None;
        match &config.auth.jwks {
            Some(Jwks::File(path)) => key_files.push(path.clone()),
            Some(Jwks::Url(url)) => {
                let holds = Arc::downgrade(&authenticator);
                issuer = Some(Keeper::new(url.clone(), &config.data_dir, holds));
            }
            None => {}
        }
        let secret_files = config.hooks.iter().map(|hook| hook.secret_file.clone());
        let mut metrics = Reloads::new(metrics, &[CERTIFICATE, KEYS, TOKENS, HOOKS]);
        if let Some(identity) = identity {
            metrics.certificate(identity.expires_at());
        }
        let (revoker, asked) = Revoker::new(config);
        let reload = Self {
            asked,
            config: config.clone(),
            certificate: identity.map(|identity| Certificate::new(config, identity)),
            keys: Kept::new(key_files, prepared.keys.clone()),
            tokens: Kept::new(vec![config.auth.tokens.clone()], prepared.book.clone()),
            hooks: Kept::new(secret_files.collect(), prepared.hooks.clone()),
            shown_hooks: watch::Sender::new(prepared.hooks.clone()),
            authenticator,
            key_refresh: issuer.as_ref().map(|(_, refresh)| refresh.clone()),
            metrics,
        };
        (reload, revoker, issuer)
    }

    /// The certificate as it changes; none with plaintext.
    pub fn shown(&self) -> Option<&Arc<Shown>> {
        self.certificate.as_ref().map(Certificate::shown)
    }

    /// Who gets in, as it changes.
    pub fn authenticator(&self) -> watch::Receiver<Arc<Authenticator>> {
        self.authenticator.subscribe()
    }

    /// Doors for senders that can't set headers, as they change.
    pub fn hooks(&self) -> watch::Receiver<Hooks> {
        self.shown_hooks.subscribe()
    }

    /// Begins to look at the files, and takes SIGHUP from now on.
    ///
    /// # Errors
    /// The system gives no thread or no signal handler.
    pub fn start(self) -> io::Result<Reloader> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let hangups = {
            let _inside = runtime.enter();
            signal(SignalKind::hangup())?
        };
        let news = News::of(self.files());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        // Nothing is ever sent: its end is the news.
        let (alive, ended) = mpsc::sync_channel::<()>(0);
        thread::Builder::new()
            .name("reload".to_owned())
            .spawn(move || {
                let _alive = alive;
                runtime.block_on(stopped.run_until_cancelled(self.run(hangups, news)));
            })?;
        Ok(Reloader { stop, ended })
    }

    fn files(&self) -> impl Iterator<Item = &Path> {
        let certificate = self.certificate.iter().flat_map(Certificate::files);
        certificate
            .chain(self.keys.files())
            .chain(self.tokens.files())
            .chain(self.hooks.files())
    }

    async fn run(mut self, mut hangups: Signal, news: News) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let cause = tokio::select! {
                // Ends with the process only.
                _ = hangups.recv() => Cause::Asked,
                () = news.next() => {
                    sleep(PAUSE).await;
                    Cause::Look
                }
                _ = look.tick() => Cause::Look,
                Some(ask) = self.asked.recv() => {
                    // Whoever asked may be gone.
                    ask.send(self.reload_tokens()).ok();
                    continue;
                }
            };
            self.reload(cause);
        }
    }

    /// Reads files, which may take its time: this thread does nothing else.
    fn reload(&mut self, cause: Cause) {
        let wall = SystemTime::now();
        if let Some(certificate) = &mut self.certificate {
            certificate.reload(&self.config, cause, wall, &mut self.metrics);
        }
        let now = (Instant::now(), wall);
        let keys = self.keys.look(cause, now, || load_keys(&self.config));
        let tokens = self.look_at_tokens(cause, now);
        // One that is the same would have every connection checked again for nothing.
        if keys == Outcome::Taken || tokens == Outcome::Taken {
            self.renew();
        }
        if let (Cause::Asked, Some(refresh)) = (cause, &self.key_refresh) {
            refresh.ask();
        }
        if !self.config.hooks.is_empty() {
            self.reload_hooks(cause, now);
        }
        let metrics = &self.metrics;
        report(KEYS, &keys, self.keys.current().warnings(), metrics);
        report(TOKENS, &tokens, self.tokens.current().warnings(), metrics);
    }

    fn reload_hooks(&mut self, cause: Cause, now: (Instant, SystemTime)) {
        let hooks = self.hooks.look(cause, now, || load_hooks(&self.config));
        let current = self.hooks.current();
        if hooks == Outcome::Taken {
            self.shown_hooks.send_replace(current.clone());
        }
        report(HOOKS, &hooks, current.warnings(), &self.metrics);
    }

    /// Reads the tokens alone, and at once. True if what their file says holds now.
    fn reload_tokens(&mut self) -> bool {
        let now = (Instant::now(), SystemTime::now());
        let tokens = self.look_at_tokens(Cause::Asked, now);
        if tokens == Outcome::Taken {
            self.renew();
        }
        // It may have been seen already.
        if tokens != Outcome::Unchanged {
            let warnings = self.tokens.current().warnings();
            report(TOKENS, &tokens, warnings, &self.metrics);
        }
        !matches!(tokens, Outcome::Refused(_))
    }

    fn look_at_tokens(&mut self, cause: Cause, now: (Instant, SystemTime)) -> Outcome {
        let config = &self.config;
        let had_tokens = self.tokens.current() != &TokenBook::default();
        self.tokens
            .look(cause, now, || load_tokens(config, had_tokens))
    }

    /// Lets those keys and tokens hold that were read last.
    fn renew(&self) {
        let (config, keys, book) = (&self.config, self.keys.current(), self.tokens.current());
        self.authenticator.send_modify(|holds| {
            let set = match &config.auth.jwks {
                // It comes from elsewhere.
                Some(Jwks::Url(_)) => holds.key_set().cloned(),
                _ => None,
            };
            *holds = authenticator(config, keys, book, set);
        });
    }
}

/// A file that was there and is gone would give back what was revoked.
fn load_tokens(config: &Config, had_tokens: bool) -> Result<TokenBook, Refusals> {
    let path = &config.auth.tokens;
    let gone = || {
        let error = path.symlink_metadata().err();
        error.is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    if had_tokens && gone() {
        let reason = format!("{}: there is no such file any more", path.display());
        let remedy = "put it back, or an empty one to forget all tokens and revocations";
        return Err(config.refusal("auth.tokens", reason, remedy).into());
    }
    load_book(config)
}

/// Errors and warnings are said as at the start, a line for each.
fn report(what: &'static str, outcome: &Outcome, warnings: &[String], metrics: &Reloads) {
    match outcome {
        Outcome::Nothing => {}
        Outcome::Taken => {
            metrics.taken(what);
            info!("{what} reloaded");
            warnings.iter().for_each(|line| warn!("{line}"));
        }
        Outcome::Unchanged => info!("{what} unchanged"),
        Outcome::Mended => {
            metrics.fine(what);
            info!("{what} fine again");
        }
        Outcome::Refused(refusals) => {
            metrics.refused(what);
            for line in refusals.lines() {
                error!("old {what} kept: {line}");
            }
        }
    }
}

impl Drop for Reloader {
    fn drop(&mut self) {
        self.stop.cancel();
        // Whether it ended in time makes no difference to the end of the process.
        let _ = self.ended.recv_timeout(LAST_WAIT);
    }
}

#[cfg(test)]
mod tests;
