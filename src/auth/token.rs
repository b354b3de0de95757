use std::fmt;

/// How every opaque token starts, so that people and scanners for leaked secrets know one when
/// they see it. No JWT starts so: in base64url this is not the beginning of a JSON object.
pub(super) const OPAQUE_PREFIX: &str = "sgc_";

/// The secret text of a credential, as it came in. It does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Box<str>);

impl Token {
    /// Any text; whether it is good for anything, an [`Authenticator`](super::Authenticator) says.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// Whether it is meant to be an opaque token, and not a JWT.
    pub fn is_opaque(&self) -> bool {
        self.0.starts_with(OPAQUE_PREFIX)
    }

    /// The secret itself: for its owner's eyes, never for a log or an answer to anybody else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}
