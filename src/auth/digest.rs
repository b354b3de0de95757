use std::fmt;
use std::hash::{Hash, Hasher};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

/// SHA-256 of a credential: what is kept in its place. Compared in constant time.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Digest([u8; 32]);

impl Digest {
    pub(super) fn of(bytes: impl AsRef<[u8]>) -> Self {
        let mut sum = [0; 32];
        sum.copy_from_slice(digest(&SHA256, bytes.as_ref()).as_ref());
        Self(sum)
    }

    /// Its first half, to find it by.
    pub(super) fn name(&self) -> Name {
        let mut name = [0; 16];
        name.copy_from_slice(&self.0[..16]);
        Name(name)
    }

    /// Its first quarter, to remember a key by.
    pub(super) fn first_8(&self) -> u64 {
        self.0[..8]
            .iter()
            .fold(0, |all, &byte| all << 8 | u64::from(byte))
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for Digest {}

/// In hex, as `sha256sum` shows it.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let wrong = "is no SHA-256, which has 64 hex digits";
        let mut sum = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong);
        }
        for (byte, at) in sum.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong)?;
        }
        Ok(Self(sum))
    }
}

/// What one token is called among all: 128 bits of a SHA-256, which nobody can make another
/// token for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name([u8; 16]);

impl Name {
    /// Of a JWT that names itself.
    pub(super) fn of_jti(jti: &str) -> Self {
        // Starts as no JWT and no opaque token does, so that a name is never of two kinds.
        Digest::of(format!("jti:{jti}")).name()
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_what_sha256sum_says_and_comes_back_from_its_text() {
        let digest = Digest::of("abc");
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_string(), hex);
        assert_eq!(Digest::try_from(hex.to_owned()), Ok(digest));
        assert_eq!(Digest::try_from(hex.to_uppercase()), Ok(digest));
        assert_eq!(digest.first_8(), 0xba78_16bf_8f01_cfea);
        for wrong in [
            "",
            &hex[1..],
            &format!("{hex}0"),
            &hex.replace('b', "x"),
            &"é".repeat(32),
        ] {
            assert!(Digest::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
