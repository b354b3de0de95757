use jsonwebtoken::Algorithm;

/// A token was refused. The text is the `error_description` of RFC 6750: plain words in ASCII
/// without quotes or backslashes, and nothing that came out of the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// It has not the form of a signed JWT.
    #[error("{0}")]
    Malformed(&'static str),
    /// The header names a known algorithm, but no key here takes it.
    #[error("the header names alg {0:?}, which no key of this server takes")]
    ForeignAlgorithm(Algorithm),
    /// The header names no algorithm that signs.
    #[error("{0}")]
    BadAlgorithm(&'static str),
    /// The header asks for something that this server does not do.
    #[error("{0}")]
    BadHeader(&'static str),
    /// No key here has signed this.
    #[error("the signature does not match")]
    Signature,
    /// It looks like one of our opaque tokens and is none.
    #[error("the token is not known here")]
    Unknown,
    /// It is meant to be a ticket, and none that is good.
    #[error("the ticket is not known here: it was used or is too old")]
    UnknownTicket,
    /// Somebody has revoked it.
    #[error("the token has been revoked")]
    Revoked,
    /// No key here has signed this, and it may be by one of the issuer's that we have not seen.
    #[error("the token is signed by a key that this server does not know")]
    UnknownKey,
    /// A claim is missing or has the wrong type.
    #[error("the claim {name} {problem}")]
    Claim {
        /// The claim's name.
        name: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// `exp` is over, the leeway too.
    #[error("the token has expired")]
    Expired,
    /// `nbf` is further in the future than the leeway.
    #[error("the token is not valid yet: nbf is in the future")]
    NotYetValid,
    /// `iat` is further in the future than the leeway.
    #[error("the token was issued in the future: iat is ahead of the server's clock")]
    IssuedInFuture,
    /// Not from the configured issuer.
    #[error("the claim iss is not the issuer this server trusts")]
    Issuer,
    /// Not for the configured audience.
    #[error("the claim aud does not name this server")]
    Audience,
}

impl InvalidToken {
    /// All that [`Self::reason`] may say.
    pub const REASONS: &[&str] = &[
        "malformed",
        "algorithm",
        "header",
        "signature",
        "unknown",
        "ticket",
        "revoked",
        "unknown_key",
        "claims",
        "expired",
        "not_yet_valid",
        "issuer",
        "audience",
    ];

    /// One word for metrics and logs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::ForeignAlgorithm(_) | Self::BadAlgorithm(_) => "algorithm",
            Self::BadHeader(_) => "header",
            Self::Signature => "signature",
            Self::Unknown => "unknown",
            Self::UnknownTicket => "ticket",
            Self::Revoked => "revoked",
            Self::UnknownKey => "unknown_key",
            Self::Claim { .. } => "claims",
            Self::Expired => "expired",
            Self::NotYetValid | Self::IssuedInFuture => "not_yet_valid",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_counted_from_the_start() {
        let all = [
            InvalidToken::Malformed(""),
            InvalidToken::ForeignAlgorithm(Algorithm::HS256),
            InvalidToken::BadAlgorithm(""),
            InvalidToken::BadHeader(""),
            InvalidToken::Signature,
            InvalidToken::Unknown,
            InvalidToken::UnknownTicket,
            InvalidToken::Revoked,
            InvalidToken::UnknownKey,
            InvalidToken::Claim {
                name: "",
                problem: "",
            },
            InvalidToken::Expired,
            InvalidToken::NotYetValid,
            InvalidToken::IssuedInFuture,
            InvalidToken::Issuer,
            InvalidToken::Audience,
        ];
        let mut reasons: Vec<_> = all.iter().map(InvalidToken::reason).collect();
        reasons.dedup();
        assert_eq!(reasons, InvalidToken::REASONS);
    }
}
