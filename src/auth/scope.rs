use std::fmt;
use std::str::FromStr;

/// One thing a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Receive signals.
    SignalsRead,
    /// Ask for a synthetic signal, for oneself alone.
    SignalsTest,
    /// Bring signals in.
    SignalsPublish,
    /// Clients, sources, revocations, the halt.
    Admin,
}

impl Scope {
    /// Every scope there is.
    pub const ALL: [Self; 4] = [
        Self::SignalsRead,
        Self::SignalsTest,
        Self::SignalsPublish,
        Self::Admin,
    ];

    /// The word in the claim `scope`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignalsRead => "signals:read",
            Self::SignalsTest => "signals:test",
            Self::SignalsPublish => "signals:publish",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no scope of this server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{word:?} is no scope; write some of {}, with spaces between",
    Scopes::from_iter(Scope::ALL)
)]
pub struct UnknownScope {
    word: String,
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(word: &str) -> Result<Self, UnknownScope> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == word)
            .ok_or_else(|| UnknownScope {
                word: word.to_owned(),
            })
    }
}

/// What a token allows in all. Written with a space between (RFC 8693, section 4.2).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Scopes(u8);

impl Scopes {
    /// The scopes of a claim. Words that mean nothing here are for other servers, and ignored.
    pub fn known_in(claim: &str) -> Self {
        claim
            .split_ascii_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect()
    }

    /// Whether this one is among them.
    pub fn contains(self, scope: Scope) -> bool {
        self.0 & Self::bit(scope) != 0
    }

    fn bit(scope: Scope) -> u8 {
        1 << scope as u8
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |all, one| all | Self::bit(one)))
    }
}

impl FromStr for Scopes {
    type Err = UnknownScope;

    /// As [`Self::known_in`], but an unknown word is refused: for what an operator types.
    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        text.split_ascii_whitespace().map(str::parse).collect()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ours = Scope::ALL.into_iter().filter(|scope| self.contains(*scope));
        for (n, scope) in ours.enumerate() {
            write!(f, "{}{scope}", if n == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scopes({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_a_whole_word_in_exactly_this_spelling() {
        for (claim, known) in [
            ("", ""),
            ("signals:read", "signals:read"),
            (
                "  signals:test   signals:read ",
                "signals:read signals:test",
            ),
            ("openid signals:read email", "signals:read"),
            ("signals:read,signals:test", ""),
            ("Signals:Read signals signals:readx admins", ""),
            ("admin signals:publish admin", "signals:publish admin"),
        ] {
            assert_eq!(Scopes::known_in(claim).to_string(), known, "{claim}");
        }
        assert!(!Scopes::known_in("admin").contains(Scope::SignalsRead));
    }

    #[test]
    fn what_an_operator_mistypes_is_named() {
        assert_eq!(
            "signals:read signals:raed"
                .parse::<Scopes>()
                .unwrap_err()
                .to_string(),
            "\"signals:raed\" is no scope; write some of \
             signals:read signals:test signals:publish admin, with spaces between"
        );
    }
}
