//! Who may come in: a credential becomes a principal, or it is said why not.
//!
//! Knows nothing of sockets or HTTP, and reads no clock: the time comes in as an argument.

mod authenticator;
mod bearer;
mod book;
mod claims;
mod credential;
mod digest;
mod entries;
mod inspect;
mod invalid;
mod issue;
mod json;
mod jwks;
mod jwt;
mod key;
mod keys;
mod listing;
mod opaque;
mod principal;
mod scope;
mod signing_key;
mod throttle;
mod token;
mod token_file;

#[cfg(test)]
mod testing;

pub use authenticator::{Authenticator, JwtRules, Withdrawn};
pub use bearer::{NoCredential, bearer};
pub use book::TokenBook;
pub use inspect::Inspection;
pub use invalid::InvalidToken;
pub use issue::{IssueError, NewClaims, issue};
pub use jwks::{BadKeySet, KeySet};
pub use keys::Keys;
pub use opaque::NoRandom;
pub use principal::Principal;
pub use scope::{Scope, Scopes, UnknownScope};
pub use signing_key::create_signing_key;
pub use throttle::{RetryAfter, Throttle};
pub use token::Token;
pub use token_file::{NotRevoked, RevokeError, Target, TokenFile};
