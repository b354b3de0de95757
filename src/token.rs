//! `signalcast token issue`.

use std::time::{Duration, SystemTime};

use uuid::Uuid;

use crate::auth::{self, IssueError, Keys, NewClaims, Scopes, Token, create_signing_key};
use crate::cli::Typed;
use crate::config::{Config, Problem, Refusals, units};
use crate::key_file::UnusableFile;

/// What a new token shall be good for.
#[derive(Clone, Debug)]
pub struct Issue {
    subject: String,
    scopes: Scopes,
    symbols: Option<Vec<String>>,
    ttl: Duration,
}

impl Issue {
    pub(crate) fn from_typed(typed: &mut Typed<'_>) -> Option<Self> {
        let subject = typed.once("sub").filter(|subject| !subject.is_empty());
        if subject.is_none() {
            typed.refuse(
                "--sub",
                "is missing",
                "say whom the token is for, as in --sub bot-1",
            );
        }
        let scopes = typed.parsed("scope", SCOPES, |text| {
            let scopes = text.parse::<Scopes>().map_err(Problem::said)?;
            if scopes == Scopes::default() {
                return Err(Problem::new("is empty", format!("write {SCOPES:?}")));
            }
            Ok(scopes)
        });
        let ttl = typed.parsed("ttl", TTL, |text| match units::duration(text)? {
            ttl if ttl.as_secs() == 0 => Err(Problem::new("is too short", "write 1s or more")),
            ttl => Ok(ttl),
        });
        let symbols = patterns(typed);
        Some(Self {
            subject: subject?,
            scopes: scopes?,
            symbols: symbols.ok()?,
            ttl: ttl?,
        })
    }
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
        create_signing_key(first).map_err(|error| refused(config, &[error]))?;
    }
    let keys = Keys::load(paths).map_err(|errors| refused(config, &errors))?;
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
pub(crate) fn refused(config: &Config, errors: &[UnusableFile]) -> Refusals {
    let mut refusals = Refusals::new();
    for error in errors {
        let Problem { reason, remedy } = Problem::said(error);
        refusals.push(config.refusal("auth.jwt_key", reason, remedy));
    }
    refusals
}

/// None: all symbols.
fn patterns(typed: &mut Typed<'_>) -> Result<Option<Vec<String>>, ()> {
    let given = typed.many("symbols");
    let patterns: Vec<String> = given
        .iter()
        .flat_map(|list| list.split(','))
        .map(|pattern| pattern.trim().to_owned())
        .filter(|pattern| !pattern.is_empty())
        .collect();
    match (given.is_empty(), patterns.is_empty()) {
        (true, _) => Ok(None),
        (false, false) => Ok(Some(patterns)),
        (false, true) => {
            typed.refuse(
                "--symbols",
                "is empty, and the token would be good for none",
                "write patterns such as BTC*,ETHUSDT, or leave it out for all",
            );
            Err(())
        }
    }
}

/// What a bot needs.
const SCOPES: &str = "signals:read signals:test";

/// Long enough not to be a nuisance, short enough that a lost one dies by itself.
const TTL: &str = "30d";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::auth::{Authenticator, JwtRules};
    use crate::config::Surroundings;

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
            ttl: units::duration(TTL).unwrap(),
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
        let guard = Authenticator::new(Keys::load(&[key]).unwrap(), rules);
        let principal = guard.authenticate(&token, now).unwrap();
        assert_eq!(principal.subject(), "bot-1");
        assert_eq!(principal.scopes().to_string(), SCOPES);
        assert!(principal.symbols().matches("BTCUSDT"));
        assert!(!principal.symbols().matches("ETHUSDT"));
        assert!(principal.token_id().is_some());
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
