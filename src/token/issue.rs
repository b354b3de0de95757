use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use uuid::Uuid;

use crate::auth::{
    self, IssueError, Keys, NewClaims, Scopes, Token, TokenFile, create_signing_key,
};
use crate::config::{Config, Problem, Refusal, Refusals};
use crate::credentials::{book_refused, keys_refused, load_book};

/// What a new token shall be good for.
#[derive(Clone, Debug)]
pub struct Issue {
    /// Whom it is for; not empty.
    pub subject: String,
    /// What it allows.
    pub scopes: Scopes,
    /// Patterns of the symbols it is good for. None: all symbols.
    pub symbols: Option<Vec<String>>,
    /// How long it is good.
    pub ttl: Duration,
    /// What kind of token it shall be.
    pub kind: Kind,
}

/// The two kinds of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Signed: every server that has the key knows it is good.
    Jwt,
    /// Random, and noted in the file of `auth.tokens`.
    Opaque,
}

/// Makes the token, and first the key if it takes one and there is none.
///
/// When all tokens of the subject have been revoked within this second, it waits for the next:
/// the new token would be one of them.
///
/// # Errors
/// No key that can sign, or none that can be used; the file of opaque tokens can't be.
pub fn issue(
    config: &Config,
    issue: &Issue,
    clock: impl Fn() -> SystemTime,
) -> Result<Token, Refusals> {
    let now = after_revocation(config, &issue.subject, clock)?;
    let claims = NewClaims {
        subject: issue.subject.clone(),
        scopes: issue.scopes,
        symbols: issue.symbols.clone(),
        ttl: issue.ttl,
        issuer: config.auth.issuer.clone(),
        audience: config.auth.audience.clone(),
        now,
        token_id: Some(Uuid::now_v7().to_string()),
    };
    match issue.kind {
        Kind::Jwt => jwt(config, claims),
        Kind::Opaque => opaque(config, claims, now),
    }
}

fn jwt(config: &Config, claims: NewClaims) -> Result<Token, Refusals> {
    let paths = &config.auth.jwt_key;
    if let [first, ..] = paths.as_slice()
        && !paths.iter().any(|path| path.exists())
    {
        create_signing_key(first).map_err(|error| keys_refused(config, &[error]))?;
    }
    let keys = Keys::load(paths).map_err(|errors| keys_refused(config, &errors))?;
    auth::issue(&keys, claims).map_err(|error| refusal(config, &error).into())
}

fn opaque(config: &Config, claims: NewClaims, now: SystemTime) -> Result<Token, Refusals> {
    let refuse = |error| book_refused(config, &error);
    let mut file = TokenFile::hold(&config.auth.tokens).map_err(refuse)?;
    let token = file
        .issue(claims)
        .map_err(|error| refusal(config, &error))?;
    file.save(config.auth.leeway, now).map_err(refuse)?;
    Ok(token)
}

fn refusal(config: &Config, error: &IssueError) -> Refusal {
    match error {
        IssueError::NoSigningKey => config.refusal(
            "auth.jwt_key",
            "there are public keys only, and those can't sign",
            "add a secret or a private key with --jwt-key",
        ),
        IssueError::Lifetime => Problem::said(error).with("--ttl"),
        IssueError::Symbols(error) => Problem::said(error).with("--symbols"),
        IssueError::NoSubject => Problem::said(error).with("--sub"),
        IssueError::Signing(_) | IssueError::Random(_) => Problem::said(error).with("token"),
    }
}

/// The time, once it is later than the last second whose tokens are revoked.
fn after_revocation(
    config: &Config,
    subject: &str,
    clock: impl Fn() -> SystemTime,
) -> Result<SystemTime, Refusals> {
    let Some(until) = load_book(config)?.revoked_until(subject) else {
        return Ok(clock());
    };
    let good_from = UNIX_EPOCH + Duration::from_secs(until + 1);
    while let Ok(wait) = good_from.duration_since(clock())
        && !wait.is_zero()
    {
        if wait > LONGEST_WAIT {
            let reason = format!(
                "the tokens of {subject:?} are revoked up to a moment that is {} s ahead of the clock",
                wait.as_secs()
            );
            return Err(Refusal::new("--sub", reason, "set the clock right").into());
        }
        thread::sleep(wait);
    }
    Ok(clock())
}

/// One second is the rule; what a clock may have been set back by meanwhile comes on top.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::auth::{Authenticator, JwtRules, TokenBook};
    use crate::config::Surroundings;

    const SCOPES: &str = "signals:read signals:test";

    fn config(keys: &[PathBuf]) -> Config {
        let around = Surroundings {
            folder: PathBuf::new(),
            variables: Vec::new(),
            cores: 1,
            open_files: None,
        };
        let mut config = Config::defaults(&around);
        config.auth.jwt_key = keys.to_vec();
        config
    }

    fn for_bot() -> Issue {
        Issue {
            subject: "bot-1".to_owned(),
            scopes: SCOPES.parse().unwrap(),
            symbols: Some(vec!["BTC*".to_owned()]),
            ttl: Duration::from_secs(60),
            kind: Kind::Jwt,
        }
    }

    #[test]
    fn the_key_is_made_once_and_the_token_says_what_was_asked() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("certs/jwt.key");
        let mut config = config(std::slice::from_ref(&key));
        config.auth.audience = Some("bots".to_owned());
        let now = SystemTime::now();
        let token = issue(&config, &for_bot(), || now).unwrap();
        let made = fs::read(&key).unwrap();
        issue(&config, &for_bot(), || now).unwrap();
        assert_eq!(fs::read(&key).unwrap(), made);

        let rules = JwtRules {
            issuer: None,
            audience: Some("bots".to_owned()),
            leeway: Duration::ZERO,
        };
        let guard = Authenticator::new(Keys::load(&[key]).unwrap(), TokenBook::default(), rules);
        let principal = guard.authenticate(&token, now).unwrap();
        assert_eq!(principal.subject(), "bot-1");
        assert_eq!(principal.scopes().to_string(), SCOPES);
        assert!(principal.symbols().matches("BTCUSDT"));
        assert!(!principal.symbols().matches("ETHUSDT"));
    }

    #[test]
    fn public_keys_alone_sign_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("public.pem");
        let pair = rcgen::KeyPair::generate().unwrap();
        fs::write(&key, pair.public_key_pem()).unwrap();
        let refused = issue(&config(&[key]), &for_bot(), SystemTime::now).unwrap_err();
        insta::assert_snapshot!(refused, @"signalcast: auth.jwt_key: there are public keys only, and those can't sign; add a secret or a private key with --jwt-key");
    }

    #[test]
    fn a_key_missing_beside_others_is_not_made_up() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        create_signing_key(&one).unwrap();
        let paths = [one, other.clone()];
        issue(&config(&paths), &for_bot(), SystemTime::now).unwrap_err();
        assert!(!other.exists());
    }
}
