//! A file that holds a key or a certificate. Knows nothing of what the bytes mean.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{
    FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown,
};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

/// A file of keys or certificates that cannot be used: which one, why, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}; {remedy}", path.display())]
pub struct UnusableFile {
    path: PathBuf,
    reason: String,
    remedy: String,
}

impl UnusableFile {
    pub(crate) fn new(path: &Path, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            reason: reason.into(),
            remedy: remedy.into(),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether something had to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// It is new.
    New,
    /// It was there already and is as it was.
    Existing,
}

/// What was read, and who else may read it.
pub(crate) struct KeyFile {
    path: PathBuf,
    mode: u32,
    pub(crate) bytes: Vec<u8>,
}

impl KeyFile {
    /// Reads the whole file; `if_missing` is the remedy when it is not there.
    pub(crate) fn read(path: &Path, if_missing: &str) -> Result<Self, UnusableFile> {
        Self::read_up_to(path, MOST_BYTES, if_missing)
    }

    /// The same for a file of at most so many bytes.
    pub(crate) fn read_up_to(
        path: &Path,
        most_bytes: u64,
        if_missing: &str,
    ) -> Result<Self, UnusableFile> {
        let refuse = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => UnusableFile::new(path, "there is no such file", if_missing),
            io::ErrorKind::PermissionDenied => UnusableFile::new(
                path,
                "this user may not read it",
                "make it a file of the user that runs signalcast",
            ),
            _ => UnusableFile::new(path, format!("cannot be read: {error}"), if_missing),
        };
        let no_wait = OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(no_wait)
            .open(path)
            .map_err(refuse)?;
        // Of the open file, not of the path: it may be replaced in between.
        let found = file.metadata().map_err(refuse)?;
        if found.file_type().is_fifo() && !comes_soon(&file).map_err(refuse)? {
            let reason = "is a pipe to which nobody writes";
            return Err(UnusableFile::new(path, reason, "put it in a file"));
        }
        let mode = found.mode() & 0o7777;
        let mut bytes = Vec::new();
        file.take(most_bytes + 1)
            .read_to_end(&mut bytes)
            .map_err(refuse)?;
        if bytes.len() as u64 > most_bytes {
            let reason = format!("is longer than {} KiB", most_bytes / 1024);
            return Err(UnusableFile::new(path, reason, if_missing));
        }
        Ok(Self {
            path: path.to_owned(),
            mode,
            bytes,
        })
    }

    /// The rule for what must stay secret. A warning if only the group has access: some
    /// deployments hand keys over that way, and nobody outside it sees them.
    pub(crate) fn check_secrecy(&self) -> Result<Option<String>, UnusableFile> {
        let may = |bits: u32, who: &str| {
            let what = match self.mode & bits {
                0 => return None,
                found if found & 0o044 != 0 => "read",
                _ => "write",
            };
            let reason = format!("{who} may {what} it (mode {:04o})", self.mode);
            let remedy = format!("run chmod 600 {}", self.path.display());
            Some(UnusableFile::new(&self.path, reason, remedy))
        };
        match may(0o006, "others") {
            Some(refused) => Err(refused),
            None => Ok(may(0o060, "its group").map(|warning| warning.to_string())),
        }
    }
}

/// Whether a pipe has something to read, or has ended. Whoever waited for it without end would
/// learn of no revocation any more.
fn comes_soon(pipe: &File) -> io::Result<bool> {
    let mut waiting = [PollFd::new(pipe, PollFlags::IN)];
    let longest = Timespec {
        tv_sec: LONGEST_WAIT_SECONDS,
        tv_nsec: 0,
    };
    Ok(poll(&mut waiting, Some(&longest))? > 0)
}

/// Puts a new file in place, whole or not at all, and never over one that is there. The folder is
/// made if it is missing.
pub(crate) fn put_new(path: &Path, bytes: &[u8], mode: u32) -> Result<Made, UnusableFile> {
    try_put_new(path, bytes, mode).map_err(|error| cannot_make(path, &error))
}

/// Puts a file in place of the one that is there, if there is one, whole or not at all: whoever
/// reads it meanwhile reads the old one or the new one. Owner, group and mode stay as they were;
/// a new file has this mode. The folder is made if it is missing.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), UnusableFile> {
    try_replace(path, bytes, mode).map_err(|error| cannot_make(path, &error))
}

fn try_replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mode = existing(path)?.map_or(mode, |old| old.mode() & 0o7777);
    Replacement::try_write(path, bytes, mode)?.try_put()
}

/// A file that is written and has yet to take its place: several can be made ready before the
/// first of them does.
pub(crate) struct Replacement {
    draft: Draft,
    path: PathBuf,
}

impl Replacement {
    /// A file of this mode, for the owner and the group of the one that it replaces, if there is
    /// one.
    pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<Self, UnusableFile> {
        Self::try_write(path, bytes, mode).map_err(|error| cannot_make(path, &error))
    }

    /// Takes its place.
    pub(crate) fn put(self) -> Result<(), UnusableFile> {
        self.try_put()
            .map_err(|error| cannot_make(&self.path, &error))
    }

    fn try_write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<Self> {
        let folder = folder_of(path);
        fs::create_dir_all(folder)?;
        let draft = Draft::beside(folder, path.file_name().unwrap_or_default())?;
        let file = draft.make(bytes)?;
        if let Some(old) = existing(path)? {
            let new = file.metadata()?;
            if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
                // A command of root's must not take the file from the user who runs the server.
                fchown(&file, Some(old.uid()), Some(old.gid()))?;
            }
        }
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()?;
        let path = path.to_owned();
        Ok(Self { draft, path })
    }

    fn try_put(&self) -> io::Result<()> {
        fs::rename(&self.draft.0, &self.path)?;
        File::open(folder_of(&self.path))?.sync_all()
    }
}

fn existing(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::metadata(path) {
        Ok(old) => Ok(Some(old)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The refusal when something cannot be written at this place.
pub(crate) fn cannot_make(path: &Path, error: &io::Error) -> UnusableFile {
    UnusableFile::new(
        path,
        format!("cannot be made: {error}"),
        "let this user write to its folder, or choose another place",
    )
}

fn try_put_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<Made> {
    let folder = folder_of(path);
    fs::create_dir_all(folder)?;
    let draft = Draft::beside(folder, path.file_name().unwrap_or_default())?;
    let file = draft.make(bytes)?;
    // Only now, and whatever the umask is.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()?;
    // A link never replaces what is there; rename would.
    match fs::hard_link(&draft.0, path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(Made::Existing),
        Err(error) => return Err(error),
    }
    File::open(folder)?.sync_all()?;
    Ok(Made::New)
}

/// Where this file is.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// A name that is gone again when this is dropped.
struct Draft(PathBuf);

impl Draft {
    fn beside(folder: &Path, name: &OsStr) -> io::Result<Self> {
        let mut random = [0; 8];
        aws_lc_rs::rand::fill(&mut random)
            .map_err(|_| io::Error::other("the system gives no random numbers"))?;
        let name = name.to_string_lossy();
        let random = u64::from_ne_bytes(random);
        Ok(Self(folder.join(format!(".{name}.{random:016x}"))))
    }

    /// A file of this name, its owner's alone, with these bytes.
    fn make(&self, bytes: &[u8]) -> io::Result<File> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.0)?;
        file.write_all(bytes)?;
        Ok(file)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // What is left behind after a failure is a file that nobody reads.
        let _ = fs::remove_file(&self.0);
    }
}

/// A shell's `<(command)` needs some of them.
const LONGEST_WAIT_SECONDS: i64 = 3;

/// Far more than a long certificate chain; less than what a wrong path may name.
const MOST_BYTES: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn who_else_may_read_a_secret_decides() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        fs::write(&path, "secret").unwrap();
        for (mode, expected) in [
            (0o600, "fine"),
            (0o400, "fine"),
            (0o700, "fine"),
            (0o640, "its group may read it (mode 0640); run chmod 600 "),
            (0o660, "its group may read it (mode 0660); run chmod 600 "),
            (0o620, "its group may write it (mode 0620); run chmod 600 "),
            (0o644, "others may read it (mode 0644); run chmod 600 "),
            (0o604, "others may read it (mode 0604); run chmod 600 "),
            (0o602, "others may write it (mode 0602); run chmod 600 "),
        ] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let said = match KeyFile::read(&path, "").unwrap().check_secrecy() {
                Ok(None) => "fine".to_owned(),
                Ok(Some(warning)) => warning,
                Err(refused) => refused.to_string(),
            };
            assert!(said.contains(expected), "{mode:o}: {said}");
            assert_eq!(said.contains("others"), mode & 0o006 != 0);
        }
    }

    #[test]
    fn nobody_waits_for_a_pipe_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let read = |path: &Path| {
            let (path, (said, heard)) = (path.to_owned(), mpsc::sync_channel(1));
            thread::spawn(move || said.send(KeyFile::read(&path, "").map(|file| file.bytes)));
            heard.recv_timeout(Duration::from_secs(20)).unwrap()
        };
        let error = read(&path).unwrap_err().to_string();
        assert!(
            error.ends_with("/k: is a pipe to which nobody writes; put it in a file"),
            "{error}"
        );
        // What a shell hands over as `<(command)`.
        let (reading, writing) = std::io::pipe().unwrap();
        let path = format!("/proc/self/fd/{}", reading.as_raw_fd());
        (&writing).write_all(b"secret").unwrap();
        drop(writing);
        assert_eq!(read(Path::new(&path)).unwrap(), b"secret");
    }

    #[test]
    fn a_new_file_never_replaces_one_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/er/k");
        assert_eq!(put_new(&path, b"one", 0o640), Ok(Made::New));
        assert_eq!(put_new(&path, b"two", 0o600), Ok(Made::Existing));
        let file = KeyFile::read(&path, "").unwrap();
        assert_eq!((file.bytes.as_slice(), file.mode), (&b"one"[..], 0o640));
        let names = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(names, 1);
    }

    #[test]
    fn what_takes_a_files_place_is_its_owners_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/er/t");
        replace(&path, b"one", 0o600).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        // Only root may give files away.
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            std::os::unix::fs::chown(&path, Some(12), Some(34)).unwrap();
        }
        replace(&path, b"two", 0o600).unwrap();
        let file = fs::metadata(&path).unwrap();
        assert_eq!(file.mode() & 0o7777, 0o640);
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert!(!is_root || (file.uid(), file.gid()) == (12, 34));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        let error = replace(dir.path(), b"three", 0o600).unwrap_err();
        assert!(error.to_string().contains("cannot be made: "), "{error}");
    }

    #[test]
    fn what_cannot_be_read_is_named_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let missing = KeyFile::read(&dir.path().join("k"), "make one")
            .err()
            .unwrap();
        assert!(
            missing
                .to_string()
                .ends_with("/k: there is no such file; make one")
        );
        let folder = KeyFile::read(dir.path(), "name a file").err().unwrap();
        assert!(folder.to_string().contains("cannot be read: "), "{folder}");
        let long = dir.path().join("long");
        fs::write(&long, vec![b'a'; 1024 * 1024 + 1]).unwrap();
        let long = KeyFile::read(&long, "name another").err().unwrap();
        assert!(
            long.to_string().contains("is longer than 1024 KiB"),
            "{long}"
        );
    }
}
