use super::digest::Name;
use super::key::KeyId;

/// What is remembered of the token somebody came in with. Small, for every client has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Credential {
    /// Of a JWT its `jti`, or without one what was signed; of an opaque token itself.
    pub(super) name: Name,
    /// The key that signed it; none: an opaque token.
    pub(super) key: Option<KeyId>,
    /// When it was issued, in Unix seconds. A JWT that does not say is as old as can be.
    pub(super) issued: u64,
}
