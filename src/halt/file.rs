use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::{Halt, Reason};
use crate::key_file::{self, KeyFile, UnusableFile, folder_of};
use crate::signal::{ReceivedAt, Seq};

/// The file in which a halt outlives the process. It is there as long as the halt holds.
#[derive(Debug)]
pub struct HaltFile {
    path: PathBuf,
}

/// What a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The halt.
    pub halt: Halt,
    /// The first signal that was void, if that was known when it was written.
    pub from: Option<Seq>,
}

/// `{"reason":"…","since":"2026-11-20T10:00:00.123456Z","from_seq":1025}`
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    reason: Reason,
    since: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from_seq: Option<u64>,
}

/// What it is called in the data folder.
const NAME: &str = "halt.json";

/// Far more than the longest reason takes.
const MOST_BYTES: u64 = 16 * 1024;

const REMEDY: &str = "mend it, or delete it to lift the halt";

impl HaltFile {
    /// The one in this data folder.
    pub fn in_folder(data_dir: &Path) -> Self {
        let path = data_dir.join(NAME);
        Self { path }
    }

    /// The halt that holds, if one does.
    ///
    /// # Errors
    /// It can't be read, or is not what was written: whether to halt can't be told.
    pub fn load(&self) -> Result<Option<Kept>, UnusableFile> {
        let is_there = fs::symlink_metadata(&self.path);
        if is_there.is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return Ok(None);
        }
        let file = KeyFile::read_up_to(&self.path, MOST_BYTES, REMEDY)?;
        let refuse = |why: &dyn std::fmt::Display| {
            UnusableFile::new(&self.path, format!("is no halt: {why}"), REMEDY)
        };
        let text: Text = serde_json::from_slice(&file.bytes).map_err(|why| refuse(&why))?;
        let since: ReceivedAt = text.since.parse().map_err(|why| refuse(&why))?;
        let from = match text.from_seq {
            None => None,
            Some(from) => Some(Seq::new(from).ok_or_else(|| refuse(&"from_seq is 0"))?),
        };
        let reason = text.reason;
        let halt = Halt { reason, since };
        Ok(Some(Kept { halt, from }))
    }

    /// Writes it, whole or not at all; when this returns, a halt outlives a loss of power.
    ///
    /// # Errors
    /// It can't be written; what was there before still is.
    pub fn save(&self, kept: &Kept) -> Result<(), UnusableFile> {
        let text = Text {
            reason: kept.halt.reason.clone(),
            since: kept.halt.since.to_string(),
            from_seq: kept.from.map(Seq::get),
        };
        let mut bytes = serde_json::to_vec(&text).expect("texts and numbers serialize");
        bytes.push(b'\n');
        key_file::replace(&self.path, &bytes, 0o600)
    }

    /// Takes it away, if it is there.
    ///
    /// # Errors
    /// It may still be there.
    pub fn remove(&self) -> Result<(), UnusableFile> {
        let removed = match fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        let settled = removed.and_then(|()| fs::File::open(folder_of(&self.path))?.sync_all());
        settled.map_err(|error| {
            let reason = format!("cannot be deleted: {error}");
            UnusableFile::new(&self.path, reason, "let this user write to its folder")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn file() -> (tempfile::TempDir, HaltFile) {
        let folder = tempfile::tempdir().unwrap();
        let file = HaltFile::in_folder(folder.path());
        (folder, file)
    }

    fn kept(reason: &str, from: Option<u64>) -> Kept {
        Kept {
            halt: Halt {
                reason: reason.to_owned().try_into().unwrap(),
                since: ReceivedAt::from_micros(1_720_000_000_123_456),
            },
            from: from.and_then(Seq::new),
        }
    }

    #[test]
    fn what_was_saved_is_loaded_and_its_owners_alone() {
        let (folder, file) = file();
        assert_eq!(file.load().unwrap(), None);
        for halt in [
            kept("the exchange is down", None),
            kept("\"quoted\" \\ 💥", Some(1025)),
        ] {
            file.save(&halt).unwrap();
            assert_eq!(file.load().unwrap(), Some(halt));
        }
        let path = folder.path().join("halt.json");
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "{\"reason\":\"\\\"quoted\\\" \\\\ 💥\",\"since\":\"2024-07-03T09:46:40.123456Z\",\"from_seq\":1025}\n"
        );
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        let beside = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(beside, 1, "nothing is left beside it");
        for _ in 0..2 {
            file.remove().unwrap();
            assert_eq!(file.load().unwrap(), None);
        }
    }

    #[test]
    fn a_damaged_file_is_told_and_not_taken_for_none() {
        let (folder, file) = file();
        let path = folder.path().join("halt.json");
        file.save(&kept("the exchange is down", Some(7))).unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        // Without its newline it says the same.
        for end in 0..whole.len() - 1 {
            fs::write(&path, &whole[..end]).unwrap();
            let why = file.load().unwrap_err().to_string();
            assert!(why.contains("/halt.json: is no halt: "), "{why}");
            assert!(
                why.ends_with("; mend it, or delete it to lift the halt"),
                "{why}"
            );
        }
        for (text, said) in [
            ("{}", "missing field `reason`"),
            (r#"{"reason":"x","since":"yesterday"}"#, "is not a time"),
            (
                r#"{"reason":"","since":"2024-07-03T09:46:40Z"}"#,
                "reason is empty",
            ),
            (
                r#"{"reason":"x","since":"2024-07-03T09:46:40Z","from_seq":0}"#,
                "from_seq is 0",
            ),
            (
                r#"{"reason":"x","since":"2024-07-03T09:46:40Z","until":1}"#,
                "unknown field `until`",
            ),
        ] {
            fs::write(&path, text).unwrap();
            let why = file.load().unwrap_err().to_string();
            assert!(why.contains(said), "{text}: {why}");
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let why = file.load().unwrap_err().to_string();
        assert!(why.contains("cannot be read"), "{why}");
        let why = file.remove().unwrap_err().to_string();
        assert!(why.contains("cannot be deleted"), "{why}");
    }
}
