use std::fmt::Write as _;
use std::path::Path;

use crate::key_file::{self, Made, UnusableFile};

/// Makes a secret to sign tokens with, unless there is a file at this place: 64 hex digits and a
/// newline, readable by its owner only. Two processes at once end up with one secret.
///
/// # Errors
/// The file cannot be written, or the system gives no random numbers.
pub fn create_signing_key(path: &Path) -> Result<Made, UnusableFile> {
    if path.symlink_metadata().is_ok() {
        return Ok(Made::Existing);
    }
    let mut secret = [0_u8; 32];
    aws_lc_rs::rand::fill(&mut secret).map_err(|_| {
        UnusableFile::new(
            path,
            "the system gives no random numbers",
            "put a secret of at least 32 random bytes there yourself",
        )
    })?;
    let mut text = String::with_capacity(2 * secret.len() + 1);
    for byte in secret {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    key_file::put_new(path, text.as_bytes(), 0o600)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::auth::Keys;

    #[test]
    fn a_new_key_is_made_once_and_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("certs/jwt.key");
        assert_eq!(create_signing_key(&path), Ok(Made::New));
        let text = fs::read_to_string(&path).unwrap();
        let digits = text.strip_suffix('\n').unwrap();
        assert_eq!(digits.len(), 64);
        assert!(
            digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        );
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );

        assert_eq!(create_signing_key(&path), Ok(Made::Existing));
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert!(Keys::load(&[path]).unwrap().can_sign());
    }

    #[test]
    fn processes_that_start_at_once_end_up_with_one_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jwt.key");
        let made = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| create_signing_key(&path)))
                .collect();
            starts
                .into_iter()
                .map(|start| start.join().unwrap().unwrap())
                .collect::<Vec<_>>()
        });
        assert_eq!(made.iter().filter(|made| **made == Made::New).count(), 1);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
