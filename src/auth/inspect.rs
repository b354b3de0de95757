use std::fmt;
use std::time::SystemTime;

use super::claims::Claims;
use super::entries::Second;
use super::{Authenticator, InvalidToken, Token, jwt};
use crate::printable::printable;

/// What a token says, and whether a server would let its owner in. Prints as a few lines for
/// people, without the token.
#[derive(Clone, Debug)]
pub struct Inspection {
    facts: Vec<(&'static str, String)>,
    verdict: Result<(), InvalidToken>,
}

impl Inspection {
    /// Whether the token is good.
    pub fn is_good(&self) -> bool {
        self.verdict.is_ok()
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.facts {
            writeln!(f, "{name:10} {}", printable(value))?;
        }
        match &self.verdict {
            Ok(()) => writeln!(f, "{:10} good", "verdict"),
            Err(problem) => writeln!(f, "{:10} refused: {problem}", "verdict"),
        }
    }
}

impl Authenticator {
    /// What this token says, whether it is to be believed or not, and whether it is good now.
    pub fn inspect(&self, token: &Token, now: SystemTime) -> Inspection {
        let facts = if token.is_opaque() {
            self.facts_of_opaque(token)
        } else {
            self.facts_of_jwt(token)
        };
        Inspection {
            facts,
            verdict: self.authenticate(token, now).map(drop),
        }
    }

    fn facts_of_opaque(&self, token: &Token) -> Vec<(&'static str, String)> {
        let mut facts = vec![("kind", "opaque".to_owned())];
        if let Ok((_, found)) = self.book().find(token) {
            facts.extend([
                ("id", found.id()),
                ("subject", found.subject.to_string()),
                ("scopes", found.scopes.to_string()),
                ("symbols", found.symbols.to_string()),
                ("issued", Second(found.created).to_string()),
                ("expires", Second(found.expires).to_string()),
            ]);
        }
        facts
    }

    fn facts_of_jwt(&self, token: &Token) -> Vec<(&'static str, String)> {
        let Ok((claims, _)) = jwt::unverified(token) else {
            return Vec::new();
        };
        let mut facts = vec![("kind", "JWT".to_owned())];
        facts.extend(facts_of(&claims));
        let key = match jwt::verify(token, self.keys()) {
            Ok(verified) => self
                .keys()
                .shown(verified.key)
                .unwrap_or_default()
                .to_owned(),
            Err(_) => "none of ours: what is said above is not to be believed".to_owned(),
        };
        facts.push(("signed by", key));
        facts
    }
}

fn facts_of(claims: &Claims) -> Vec<(&'static str, String)> {
    let time = |second: u64| Second(second).to_string();
    let mut facts = vec![
        ("subject", claims.sub.to_string()),
        ("scopes", claims.scopes.to_string()),
        ("symbols", claims.symbols.to_string()),
    ];
    facts.extend(claims.iat.map(|iat| ("issued", time(iat))));
    facts.extend(claims.nbf.map(|nbf| ("not before", time(nbf))));
    facts.push(("expires", time(claims.exp)));
    facts.extend(claims.jti.as_deref().map(|jti| ("jti", jti.to_owned())));
    facts.extend(claims.iss.as_deref().map(|iss| ("issuer", iss.to_owned())));
    if !claims.aud.is_empty() {
        facts.push(("audience", claims.aud.join(" ")));
    }
    facts
}
