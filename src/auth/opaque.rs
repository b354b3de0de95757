use super::Token;

/// How every opaque token starts, so that people and scanners for leaked secrets know one when
/// they see it. No JWT starts so: in base64url this is not the beginning of a JSON object.
pub(super) const PREFIX: &str = "sgc_";

/// Whether this is meant to be one.
pub(super) fn looks_opaque(token: &Token) -> bool {
    token.reveal().starts_with(PREFIX)
}
