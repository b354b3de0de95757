use std::time::SystemTime;

use super::credential::Credential;
use super::{Scope, Scopes};
use crate::signal::SymbolFilter;

/// Somebody who was let in: who, what for, and until when.
///
/// Only this module makes one, from a token it has checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    pub(super) subject: Box<str>,
    pub(super) scopes: Scopes,
    pub(super) symbols: SymbolFilter,
    pub(super) expires_at: SystemTime,
    /// What lets it be told later whether it still holds.
    pub(super) credential: Credential,
}

impl Principal {
    /// Who it is: the claim `sub`, never empty.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Whether the token allows this.
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(scope)
    }

    /// All that the token allows.
    pub fn scopes(&self) -> Scopes {
        self.scopes
    }

    /// The symbols the token is good for; what a client asks for holds besides.
    pub fn symbols(&self) -> &SymbolFilter {
        &self.symbols
    }

    /// From this moment on the token counts as expired: `exp` and the leeway.
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }
}

#[cfg(test)]
impl Principal {
    /// Somebody whose token ends then.
    pub(crate) fn until(expires_at: SystemTime) -> Self {
        Self {
            subject: "bot-1".into(),
            scopes: Scopes::default(),
            symbols: SymbolFilter::All,
            expires_at,
            credential: Credential {
                name: super::digest::Name::of_jti("t-1"),
                key: None,
                issued: 0,
            },
        }
    }

    /// Somebody of this name.
    pub(crate) fn of(subject: &str) -> Self {
        Self {
            subject: subject.into(),
            ..Self::until(SystemTime::UNIX_EPOCH)
        }
    }
}
