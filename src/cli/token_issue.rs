//! What was typed for `token issue`.

use super::typed::Typed;
use crate::auth::Scopes;
use crate::config::{Problem, units};
use crate::token::{Issue, Kind};

/// What the token shall be good for; none if that can't be told.
pub(super) fn read(typed: &mut Typed<'_>) -> Option<Issue> {
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
    let kind = if typed.is_there("opaque") {
        Kind::Opaque
    } else {
        Kind::Jwt
    };
    Some(Issue {
        subject: subject?,
        scopes: scopes?,
        symbols: symbols.ok()?,
        ttl: ttl?,
        kind,
    })
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
pub(super) const SCOPES: &str = "signals:read signals:test";

/// Long enough not to be a nuisance, short enough that a lost one dies by itself.
pub(super) const TTL: &str = "30d";
