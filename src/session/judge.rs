use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;

use crate::auth::{Principal, Token};

/// Says who may go on with a new token, as it was said when they came in.
pub trait Judge: fmt::Debug {
    /// Who this is, if the token lets in a client at this moment. One that does not counts as a
    /// failed try of this address. It may take a while: the token may be signed by a key that has
    /// to be fetched.
    fn judge(&self, token: Token, address: IpAddr) -> Verdict;
}

/// Whom a token lets in, once that is known.
pub type Verdict = Pin<Box<dyn Future<Output = Result<Principal, Refused>>>>;

/// Why a token is of no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The word for programs.
    pub code: &'static str,
    /// The words for people, which hold nothing of the token.
    pub message: String,
}
