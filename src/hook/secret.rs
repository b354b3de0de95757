use std::fmt;
use std::path::Path;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

use crate::key_file::{KeyFile, UnusableFile};

/// What ends a hook's URL and lets its sender in. Only its SHA-256 is kept, and that is compared in
/// constant time.
#[derive(Clone, Copy)]
pub struct Secret([u8; SHA256_OUTPUT_LEN]);

impl Secret {
    /// The secret in a file: its bytes without one line end behind them. A warning comes with it if
    /// its group may read it.
    ///
    /// # Errors
    /// It can't be read, others may read it, it is too short, or it can't stand in a URL.
    pub fn load(path: &Path) -> Result<(Self, Option<String>), UnusableFile> {
        let file = KeyFile::read_up_to(path, MOST_BYTES, MAKE_ONE)?;
        let warning = file.check_secrecy()?;
        let secret = without_line_end(&file.bytes);
        if secret.len() < LEAST_BYTES {
            let reason = format!("the secret is shorter than {LEAST_BYTES} characters");
            return Err(UnusableFile::new(path, reason, MAKE_ONE));
        }
        if !secret.iter().copied().all(fits_a_url) {
            let reason = "the secret holds what can't stand in the path of a URL as it is";
            return Err(UnusableFile::new(path, reason, MAKE_ONE));
        }
        Ok((Self::of(secret), warning))
    }

    /// What somebody shows.
    pub(super) fn of(secret: &[u8]) -> Self {
        let mut sum = [0; SHA256_OUTPUT_LEN];
        sum.copy_from_slice(digest(&SHA256, secret).as_ref());
        Self(sum)
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

fn without_line_end(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

/// `pchar` and `/` of RFC 3986, but for the percent sign, which means something else there.
fn fits_a_url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte)
}

/// 64 bits if they are hex digits: with 20 tries a minute nobody gets through those.
const LEAST_BYTES: usize = 16;

/// A URL of more is taken by nobody.
const MOST_BYTES: u64 = 1024;

const MAKE_ONE: &str = "make one with openssl rand -hex 32 > FILE and chmod 600 FILE";

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn load(bytes: &[u8], mode: u32) -> Result<(Secret, Option<String>), String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        Secret::load(&path).map_err(|why| why.to_string())
    }

    #[test]
    fn a_secret_is_what_its_file_holds_but_for_one_line_end() {
        let text = b"0123456789abcdef";
        for bytes in [
            &b"0123456789abcdef"[..],
            b"0123456789abcdef\n",
            b"0123456789abcdef\r\n",
        ] {
            let (secret, warning) = load(bytes, 0o600).unwrap();
            assert_eq!(secret, Secret::of(text));
            assert_ne!(secret, Secret::of(b"0123456789abcdeF"));
            assert_eq!(warning, None);
            assert_eq!(format!("{secret:?}"), "Secret(***)");
        }
        load(b"-._~!$&'()*+,;=:@/", 0o600).unwrap();
        assert!(load(text, 0o640).unwrap().1.is_some());
    }

    #[test]
    fn what_is_no_good_secret_is_refused_without_being_shown() {
        for (bytes, mode, reason) in [
            (&b"0123456789abcde\n"[..], 0o600, "is shorter than 16"),
            (b"", 0o600, "is shorter than 16"),
            (b"0123456789abcdef\n\n", 0o600, "can't stand in the path"),
            (b"0123456789 abcdef", 0o600, "can't stand in the path"),
            (b"0123456789abcde%41", 0o600, "can't stand in the path"),
            (b"0123456789abcde?f", 0o600, "can't stand in the path"),
            (
                "0123456789abcdefé".as_bytes(),
                0o600,
                "can't stand in the path",
            ),
            (b"0123456789abcdef", 0o644, "others may read it"),
        ] {
            let why = load(bytes, mode).unwrap_err();
            assert!(why.contains(reason), "{why}");
            assert!(!why.contains("0123456789"), "{why}");
        }
    }
}
