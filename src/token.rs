//! `signalcast token issue`.

use std::time::{Duration, SystemTime};

use uuid::Uuid;

use crate::auth::{
    self, IssueError, Keys, NewClaims, Scopes, Token, TokenBook, create_signing_key,
};
use crate::config::{Config, Problem, Refusals};
use crate::key_file::UnusableFile;

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
}

/// Makes the token, and first the key if there is none.
///
/// # Errors
/// No key that can sign, or none that can be used.
pub fn issue(config: &Config, issue: &Issue, now: SystemTime) -> Result<Token, Refusals> {
    let paths = &config.auth.jwt_key;
    if let [first, ..] = paths.as_slice()
        && !paths.iter().any(|path| path.exists())
    {
        create_signing_key(first).map_err(|error| keys_refused(config, &[error]))?;
    }
    let keys = Keys::load(paths).map_err(|errors| keys_refused(config, &errors))?;
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
    auth::issue(&keys, claims).map_err(|error| match error {
        IssueError::NoSigningKey => config
            .refusal(
                "auth.jwt_key",
                "there are public keys only, and those can't sign",
                "add a secret or a private key with --jwt-key",
            )
            .into(),
        IssueError::Lifetime => Problem::said(error).with("--ttl").into(),
        IssueError::Symbols(error) => Problem::said(error).with("--symbols").into(),
        IssueError::NoSubject => Problem::said(error).with("--sub").into(),
        IssueError::Signing(_) => Problem::said(error).with("token").into(),
    })
}

/// What is wrong with key files, named by the setting.
pub(crate) fn keys_refused(config: &Config, errors: &[UnusableFile]) -> Refusals {
    let mut refusals = Refusals::new();
    for error in errors {
        let Problem { reason, remedy } = Problem::said(error);
        refusals.push(config.refusal("auth.jwt_key", reason, remedy));
    }
    refusals
}

/// The file of `auth.tokens`, or what is wrong with it, named by the setting.
pub(crate) fn load_book(config: &Config) -> Result<TokenBook, Refusals> {
    TokenBook::load(&config.auth.tokens).map_err(|error| book_refused(config, &error))
}

fn book_refused(config: &Config, error: &UnusableFile) -> Refusals {
    let Problem { reason, remedy } = Problem::said(error);
    config.refusal("auth.tokens", reason, remedy).into()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::auth::{Authenticator, JwtRules};
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
        }
    }

    #[test]
    fn the_key_is_made_once_and_the_token_says_what_was_asked() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("certs/jwt.key");
        let mut config = config(std::slice::from_ref(&key));
        config.auth.audience = Some("bots".to_owned());
        let now = SystemTime::now();
        let token = issue(&config, &for_bot(), now).unwrap();
        let made = fs::read(&key).unwrap();
        issue(&config, &for_bot(), now).unwrap();
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
        let refused = issue(&config(&[key]), &for_bot(), SystemTime::now()).unwrap_err();
        insta::assert_snapshot!(refused, @"signalcast: auth.jwt_key: there are public keys only, and those can't sign; add a secret or a private key with --jwt-key");
    }

    #[test]
    fn a_key_missing_beside_others_is_not_made_up() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        create_signing_key(&one).unwrap();
        let paths = [one, other.clone()];
        issue(&config(&paths), &for_bot(), SystemTime::now()).unwrap_err();
        assert!(!other.exists());
    }
}
