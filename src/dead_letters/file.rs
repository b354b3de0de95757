use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tracing::warn;

/// The file itself: found again when somebody moved it, put aside when it is full.
#[derive(Debug)]
pub(super) struct LetterFile {
    path: PathBuf,
    max_bytes: u64,
    file: File,
    /// Bytes of the file; none are counted of a device or pipe, which is not ours to put aside.
    length: Option<u64>,
    /// It could not be put aside, and that was said.
    too_long: bool,
}

impl LetterFile {
    pub(super) fn open(path: PathBuf, max_bytes: u64) -> io::Result<Self> {
        let (file, length) = open(&path)?;
        Ok(Self {
            path,
            max_bytes,
            file,
            length,
            too_long: false,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes this at the end of the file. Returns how much of it is there: all or nothing, but in
    /// a pipe or device, from which nothing can be taken back.
    pub(super) fn append(&mut self, letter: &[u8]) -> (usize, io::Result<()>) {
        if let Err(why) = self.prepare(letter.len() as u64) {
            return (0, Err(why));
        }
        let (written, outcome) = write_all(&mut self.file, letter);
        let Some(length) = &mut self.length else {
            return (written, outcome);
        };
        match outcome {
            Ok(()) => {
                *length += letter.len() as u64;
                (written, Ok(()))
            }
            // Take back what there may be of it: half a letter would spoil the next one.
            Err(why) => (0, self.file.set_len(*length).and(Err(why))),
        }
    }

    /// Sees to it that the file is there, and not too long for so many bytes more.
    fn prepare(&mut self, size: u64) -> io::Result<()> {
        self.find_again()?;
        if !matches!(self.length, Some(length) if length > 0 && length + size > self.max_bytes) {
            return Ok(());
        }
        // What can't be put aside is still written.
        match (self.rotate(), self.too_long) {
            (Ok(()), _) => self.too_long = false,
            (Err(why), false) => {
                warn!(file = %self.path.display(), %why, "the dead letters can't be put aside, so the file grows beyond dead_letters.max_bytes");
                self.too_long = true;
            }
            (Err(_), true) => {}
        }
        Ok(())
    }

    /// Whoever has read the letters may move, empty or delete the file while it is open here.
    fn find_again(&mut self) -> io::Result<()> {
        let Some(length) = &mut self.length else {
            return Ok(());
        };
        let ours = self.file.metadata()?;
        let is_there = fs::metadata(&self.path)
            .is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino()));
        if is_there {
            *length = ours.len();
        } else {
            (self.file, self.length) = open(&self.path)?;
        }
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let mut older = self.path.clone().into_os_string();
        older.push(".1");
        fs::rename(&self.path, &older)?;
        (self.file, self.length) = open(&self.path)?;
        Ok(())
    }
}

/// The file, which ends with a newline, and its length.
fn open(path: &Path) -> io::Result<(File, Option<u64>)> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(PRIVATE)
        // A pipe that nobody empties must not hold up the feed.
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok((file, None));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(PRIVATE))?;
    }
    let mut length = metadata.len();
    if length > 0 {
        // A crash may have left half a letter: the next one gets a line of its own.
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
            length += 1;
        }
    }
    Ok((file, Some(length)))
}

/// Lines may hold what somebody wants to keep to himself.
const PRIVATE: u32 = 0o600;

/// As [`Write::write_all`], but tells how far it got.
fn write_all(file: &mut File, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) => return (written, Err(why)),
        }
    }
    (written, Ok(()))
}
