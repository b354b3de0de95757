use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use tracing::{error, info};

use super::super::{Epoch, JournalError};
use crate::signal::Seq;

/// How far the log went, in a file of its own beside it: `signals.head`.
///
/// A database whose write-ahead log was taken away, or of which an old copy was put in its place,
/// looks like one that ends there. This tells that it went on: it is written after each commit,
/// before anybody is sent what that holds. It may be behind the log, after a crash between the two,
/// and is never ahead of it.
#[derive(Debug)]
pub(super) struct Witness {
    path: PathBuf,
    /// `None` if it was not there, until the log begins.
    file: Option<File>,
    said: Said,
    is_failing: bool,
}

/// What stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It is not there.
    Missing,
    /// Something that this server did not write.
    Garbled,
    /// The newest signal that clients may have seen.
    Head(Epoch, Option<Seq>),
}

/// Its name in the data folder.
pub(super) const NAME: &str = "signals.head";

impl Witness {
    /// The one in this folder, if it is there.
    pub(super) fn in_folder(folder: &Path) -> io::Result<Self> {
        let path = folder.join(NAME);
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            opened => Some(opened?),
        };
        let said = match &file {
            Some(file) => Said::read(file)?,
            None => Said::Missing,
        };
        Ok(Self {
            path,
            file,
            said,
            is_failing: false,
        })
    }

    /// What it says.
    pub(super) fn said(&self) -> Said {
        self.said
    }

    /// It is of this log from now on, on the disk too, so that there is room for what comes. If it
    /// was not there it is made, for those who may use the database.
    pub(super) fn begin(
        &mut self,
        database: &Path,
        epoch: Epoch,
        head: Option<Seq>,
    ) -> Result<(), JournalError> {
        let saying = Said::Head(epoch, head);
        if self.said == saying {
            return Ok(());
        }
        let begun = match self.file.take() {
            Some(file) => write_anew(&file, epoch, head).map(|()| file),
            None => make(&self.path, database, epoch, head),
        };
        self.file = Some(begun.map_err(JournalError::Witness)?);
        self.said = saying;
        Ok(())
    }

    /// Notes how far the log goes now. That the file can't be written is told once and holds up
    /// nobody: what was committed is in the log, whatever stands here.
    pub(super) fn note(&mut self, head: Seq) {
        let (Some(file), Said::Head(epoch, _)) = (&self.file, self.said) else {
            return;
        };
        match file.write_all_at(line(epoch, Some(head)).as_bytes(), 0) {
            Ok(()) => {
                self.said = Said::Head(epoch, Some(head));
                if std::mem::take(&mut self.is_failing) {
                    info!("signals.head can be written again");
                }
            }
            Err(why) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    error!(%why, "signals.head can't be written: signals go on, but if the end of the log is lost now, the next start may not notice; look at the disk");
                }
            }
        }
    }

    /// Notes it again if it could not be noted.
    pub(super) fn catch_up(&mut self, head: Option<Seq>) {
        if let Some(head) = head.filter(|_| self.is_failing) {
            self.note(head);
        }
    }

    /// What it says is on the disk, too.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), File::sync_data)
    }
}

impl Said {
    fn read(file: &File) -> io::Result<Self> {
        let mut text = Vec::new();
        // A byte more than a line shows that it is not one.
        file.take(LINE + 1).read_to_end(&mut text)?;
        Ok(Self::parse(&text).unwrap_or(Self::Garbled))
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let text = str::from_utf8(text).ok()?;
        let (epoch, head) = text
            .strip_prefix("epoch=")?
            .strip_suffix('\n')?
            .split_once(" last_seq=")?;
        let (epoch, head) = (Epoch::parse(epoch)?, Seq::new(head.parse().ok()?));
        (line(epoch, head) == text).then_some(Self::Head(epoch, head))
    }
}

/// One line for people, of the same length whatever it says: it is written over in place.
fn line(epoch: Epoch, head: Option<Seq>) -> String {
    let head = head.map_or(0, Seq::get);
    format!("epoch={epoch} last_seq={head:020}\n")
}

/// Bytes of a line.
const LINE: u64 = 73;

fn write_anew(file: &File, epoch: Epoch, head: Option<Seq>) -> io::Result<()> {
    file.write_all_at(line(epoch, head).as_bytes(), 0)?;
    file.set_len(LINE)?;
    file.sync_all()
}

/// Makes it with the database's owner and mode, as SQLite makes its files.
fn make(path: &Path, database: &Path, epoch: Epoch, head: Option<Seq>) -> io::Result<File> {
    let like = fs::metadata(database)?;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(fs::Permissions::from_mode(like.mode() & 0o777))?;
    if rustix::process::geteuid().is_root() {
        fchown(&file, Some(like.uid()), Some(like.gid()))?;
    }
    write_anew(&file, epoch, head)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else_is_taken_for_it() {
        let epoch = Epoch::begin();
        for head in [None, Seq::new(1), Seq::new(1024), Seq::new(u64::MAX)] {
            let text = line(epoch, head);
            assert_eq!(text.len() as u64, LINE);
            let said = Said::parse(text.as_bytes());
            assert_eq!(said, Some(Said::Head(epoch, head)));
            for garbled in [
                "",
                "\0\0\0",
                &text[1..],
                &text[..72],
                &text.replace('=', " "),
                &text.replace("last_seq=", "last_seq=+"),
                &text.to_uppercase(),
                &(text.clone() + "\n"),
            ] {
                assert_eq!(Said::parse(garbled.as_bytes()), None, "{garbled:?}");
            }
        }
    }
}
