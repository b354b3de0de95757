//! Ids for signals that come without one, always the same for the same: a sender that is not sure
//! whether it was heard sends again, and that must not be a second signal.

use aws_lc_rs::digest::{Context, Digest, SHA256, digest};
use uuid::Builder;

use super::name::HookName;
use crate::signal::Id;

/// A body, to make the ids of its signals of: it may hold thousands of them.
pub(super) struct Body<'a> {
    name: &'a HookName,
    digest: Digest,
}

impl<'a> Body<'a> {
    pub(super) fn new(name: &'a HookName, body: &[u8]) -> Self {
        let digest = digest(&SHA256, body);
        Self { name, digest }
    }

    /// The id of the signal on this line; the first is 1.
    pub(super) fn id(&self, line: u64) -> Id {
        let parts = [b"body", self.digest.as_ref(), &line.to_be_bytes()];
        made(self.name, &parts)
    }
}

/// The id of the signal that the hook's sender knows by this text.
pub(super) fn of_value(name: &HookName, text: &str) -> Id {
    made(name, &[b"id", text.as_bytes()])
}

/// A UUID of SHA-256 (version 8, RFC 9562 section 5.8): 122 bits of it, far more than chance or
/// ill will find a second text for.
fn made(name: &HookName, parts: &[&[u8]]) -> Id {
    let mut sum = Context::new(&SHA256);
    for part in [&[name.as_str().as_bytes()][..], parts].concat() {
        // With its length before it, so that no two lists of parts look alike.
        sum.update(&(part.len() as u64).to_be_bytes());
        sum.update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&sum.finish().as_ref()[..16]);
    Builder::from_custom_bytes(bytes).into_uuid().into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_same_has_the_same_id_and_nothing_else_has_it() {
        let (a, b): (HookName, HookName) = ("a".parse().unwrap(), "b".parse().unwrap());
        let ids = [
            Body::new(&a, b"x").id(1),
            Body::new(&a, b"x").id(2),
            Body::new(&a, b"x ").id(1),
            Body::new(&b, b"x").id(1),
            of_value(&a, "x"),
            of_value(&b, "x"),
        ];
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        // What is in somebody's log: another version must make the same.
        assert_eq!(
            Body::new(&a, b"x").id(1).as_str(),
            "562d02fd-9773-818a-889e-4f4bdd17c5ef"
        );
        assert_eq!(
            of_value(&a, "x").as_str(),
            "7fe41dc0-122b-8fd8-9dab-cc8ee1236347"
        );
    }
}
