//! Certificate, keys and tokens as the settings name them: loaded, and what is wrong with them told
//! by the name of the setting. Makes nothing.

use std::time::SystemTime;

use crate::auth::{KeySet, Keys, TokenBook};
use crate::certs::{self, Identity};
use crate::config::{self, Config, Jwks, Problem, Refusals, Transport};
use crate::hook::{Hook, Hooks, Secret};
use crate::key_file::UnusableFile;

/// The keys that the settings name, but for those behind a URL: another server must not keep this
/// one from starting.
///
/// # Errors
/// All that can't be used.
pub(crate) fn load_keys(config: &Config) -> Result<Keys, Refusals> {
    let keys = Keys::load(&config.auth.jwt_key).map_err(|errors| keys_refused(config, &errors));
    match (keys, load_key_set(config)) {
        (Ok(keys), Ok(None)) => Ok(keys),
        (Ok(keys), Ok(Some(set))) => Ok(keys.with_set(set)),
        (keys, set) => {
            let mut refusals = keys.err().unwrap_or_default();
            refusals.extend(set.err().unwrap_or_default());
            Err(refusals)
        }
    }
}

/// The key set, if it is in a file.
///
/// # Errors
/// It can't be used.
pub(crate) fn load_key_set(config: &Config) -> Result<Option<KeySet>, Refusals> {
    let Some(Jwks::File(path)) = &config.auth.jwks else {
        return Ok(None);
    };
    KeySet::load(path).map(Some).map_err(|error| {
        let Problem { reason, remedy } = Problem::said(error);
        config.refusal("auth.jwks", reason, remedy).into()
    })
}

/// The certificate that the settings name, if it may be shown on these addresses.
///
/// # Errors
/// All that is wrong with it.
pub(crate) fn load_certificate(config: &Config, now: SystemTime) -> Result<Identity, Refusals> {
    let (cert, key) = (&config.server.tls_cert, &config.server.tls_key);
    let identity =
        certs::load(cert, key, now).map_err(|errors| certificate_refused(config, &errors))?;
    if identity.is_development()
        && let Some(refusal) = config.development_certificate_on_a_network()
    {
        return Err(refusal.into());
    }
    Ok(identity)
}

/// The same; none with plaintext.
///
/// # Errors
/// All that is wrong with it.
pub(crate) fn load_identity(
    config: &Config,
    now: SystemTime,
) -> Result<Option<Identity>, Refusals> {
    match config.server.transport {
        Transport::Plaintext => Ok(None),
        Transport::Tls => load_certificate(config, now).map(Some),
    }
}

/// The opaque tokens and revocations of `auth.tokens`.
///
/// # Errors
/// It can't be used.
pub(crate) fn load_book(config: &Config) -> Result<TokenBook, Refusals> {
    TokenBook::load(&config.auth.tokens).map_err(|error| book_refused(config, &error))
}

/// The hooks with their secrets.
///
/// # Errors
/// All secrets that can't be used.
pub(crate) fn load_hooks(config: &Config) -> Result<Hooks, Refusals> {
    let (mut hooks, mut warnings, mut refusals) = (Vec::new(), Vec::new(), Refusals::new());
    for hook in &config.hooks {
        match Secret::load(&hook.secret_file) {
            Ok((secret, warning)) => {
                warnings.extend(warning);
                hooks.push(Hook {
                    name: hook.name.clone(),
                    secret,
                    allow: hook.allow.clone(),
                    reading: hook.reading.clone(),
                });
            }
            Err(error) => {
                let Problem { reason, remedy } = Problem::said(error);
                let key = config::Hook::key(&hook.name, "secret_file");
                refusals.push(config.refusal(&key, reason, remedy));
            }
        }
    }
    refusals.into_result()?;
    Ok(Hooks::new(hooks, warnings))
}

/// What is wrong with a certificate and its key.
pub(crate) fn certificate_refused(config: &Config, errors: &[UnusableFile]) -> Refusals {
    let mut refusals = Refusals::new();
    for error in errors {
        let key = if error.path() == config.server.tls_key {
            "server.tls_key"
        } else {
            "server.tls_cert"
        };
        let Problem { reason, remedy } = Problem::said(error);
        refusals.push(config.refusal(key, reason, remedy));
    }
    refusals
}

/// What is wrong with key files.
pub(crate) fn keys_refused(config: &Config, errors: &[UnusableFile]) -> Refusals {
    let mut refusals = Refusals::new();
    for error in errors {
        let Problem { reason, remedy } = Problem::said(error);
        refusals.push(config.refusal("auth.jwt_key", reason, remedy));
    }
    refusals
}

/// What is wrong with the file of opaque tokens and revocations.
pub(crate) fn book_refused(config: &Config, error: &UnusableFile) -> Refusals {
    let Problem { reason, remedy } = Problem::said(error);
    config.refusal("auth.tokens", reason, remedy).into()
}
