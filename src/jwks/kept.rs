//! The last good set, kept for a start at which the URL is down.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use hyper::http::Uri;
use jiff::{Timestamp, Unit};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::auth::KeySet;
use crate::key_file::KeyFile;

/// A file in the data folder.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    path: PathBuf,
}

/// What was kept.
#[derive(Debug)]
pub(super) struct Restored {
    pub(super) set: KeySet,
    /// When it was fetched.
    pub(super) fetched_at: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Contents<'a> {
    /// The keys of one issuer must not be taken for those of another.
    url: &'a str,
    fetched_at: String,
    #[serde(borrow)]
    set: &'a RawValue,
}

impl Kept {
    pub(super) fn in_folder(data_dir: &Path) -> Self {
        Self {
            path: data_dir.join("jwks.json"),
        }
    }

    /// What was kept of this URL; `None` if nothing was.
    ///
    /// # Errors
    /// In words: the file is there and can't be used.
    pub(super) fn read(&self, url: &Uri) -> Result<Option<Restored>, String> {
        if !self.path.exists() {
            return Ok(None);
        }
        let file = KeyFile::read_up_to(&self.path, MOST_BYTES, "remove it")
            .map_err(|error| error.to_string())?;
        let damaged = |why: &dyn std::fmt::Display| format!("{}: {why}", self.path.display());
        let contents: Contents<'_> =
            serde_json::from_slice(&file.bytes).map_err(|error| damaged(&error))?;
        if *url != contents.url {
            return Ok(None);
        }
        let set = KeySet::parse(contents.set.get().as_bytes()).map_err(|error| damaged(&error))?;
        Ok(Some(Restored {
            set,
            fetched_at: contents.fetched_at,
        }))
    }

    /// Keeps this text of the URL from now on, whole or not at all.
    pub(super) fn write(&self, url: &Uri, text: &[u8], now: Timestamp) -> io::Result<()> {
        let contents = Contents {
            url: &url.to_string(),
            fetched_at: now.round(Unit::Second).unwrap_or(now).to_string(),
            set: serde_json::from_slice(text)?,
        };
        let draft = self.path.with_extension("json.new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)?;
        // Whoever can write it can let himself in, whatever the mode of an older draft is.
        file.set_permissions(Permissions::from_mode(0o600))?;
        serde_json::to_writer(&mut file, &contents)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&draft, &self.path)?;
        File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()
    }
}

/// A set of the greatest size and what is around it.
const MOST_BYTES: u64 = KeySet::MOST_BYTES as u64 + 16 * 1024;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set() -> String {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let x = {
            use base64::Engine as _;
            use base64::engine::general_purpose::URL_SAFE_NO_PAD;
            URL_SAFE_NO_PAD.encode(key.public_key_raw())
        };
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]}).to_string()
    }

    #[test]
    fn what_is_kept_is_the_set_of_one_url() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::in_folder(dir.path());
        let url: Uri = "https://id.example.org/jwks.json".parse().unwrap();
        let other: Uri = "https://id.example.com/jwks.json".parse().unwrap();
        assert!(kept.read(&url).unwrap().is_none());

        let moment = "2026-11-20T10:00:00.25Z".parse().unwrap();
        kept.write(&url, set().as_bytes(), moment).unwrap();
        kept.write(&url, set().as_bytes(), moment).unwrap();
        let restored = kept.read(&url).unwrap().unwrap();
        assert_eq!(restored.set.len(), 1);
        assert_eq!(restored.fetched_at, "2026-11-20T10:00:00Z");
        assert!(kept.read(&other).unwrap().is_none());
        let mode = fs::metadata(&kept.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft");
    }

    #[test]
    fn a_damaged_file_is_named_and_a_set_of_the_greatest_size_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::in_folder(dir.path());
        let url: Uri = "https://id.example.org/".parse().unwrap();
        for text in [
            "",
            "{}",
            r#"{"url":"https://id.example.org/","fetched_at":"","set":{"keys":[]}}"#,
        ] {
            fs::write(&kept.path, text).unwrap();
            let problem = kept.read(&url).unwrap_err();
            assert!(problem.contains("/jwks.json: "), "{problem}");
        }
        let text = set();
        let padding = " ".repeat(KeySet::MOST_BYTES - text.len());
        let text = text.replacen('{', &format!("{{{padding}"), 1);
        kept.write(&url, text.as_bytes(), Timestamp::now()).unwrap();
        assert!(kept.read(&url).unwrap().is_some());
    }
}
