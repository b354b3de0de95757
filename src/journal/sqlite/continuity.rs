use std::path::Path;

use rusqlite::{Connection, OptionalExtension};
use tracing::{error, warn};

use super::super::{Durability, Epoch, JournalError};
use super::reader;
use super::witness::{self, Said, Witness};
use crate::signal::Seq;

/// What tells whether the end of the log may have been lost between two runs.
#[derive(Clone, Debug)]
pub(super) struct Continuity {
    /// Changes with each boot of the machine; `None` where the system does not say.
    pub(super) boot: Option<String>,
    pub(super) durability: Durability,
}

/// What the last run left of the write-ahead log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wal {
    /// All of it, or nothing.
    Whole,
    /// Commits in it can't be had any more.
    Damaged,
}

/// Why commits that clients have seen may be gone, so that their seqs will be given a second time:
/// that is another log, so it gets another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// What stood behind a damaged page of the write-ahead log.
    Damaged,
    /// The log went on to this signal.
    Behind(Seq),
    /// The log that was here last is another one.
    Replaced,
    /// Nobody knows how far the log went.
    Unwitnessed(Said),
    /// The machine went down while the log was in use with `--durability os`.
    Down,
}

impl Continuity {
    pub(super) fn now(durability: Durability) -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        Self {
            boot: boot.ok().map(|boot| boot.trim().to_owned()),
            durability,
        }
    }

    /// The log's epoch, and a note that it is in use, within the transaction that is open.
    pub(super) fn begin(
        &self,
        db: &Connection,
        database: &Path,
        wal: Wal,
        witness: &mut Witness,
    ) -> Result<Epoch, JournalError> {
        let (old, head) = (get(db, EPOCH)?, reader::head(db)?);
        let old = old.map(|old| {
            Epoch::parse(&old).ok_or_else(|| JournalError::Damaged("its epoch".to_owned()))
        });
        let old = old.transpose()?;
        let loss = self.loss(db, old, head, wal, witness.said())?;
        let epoch = match (old, loss) {
            (Some(old), None) => old,
            _ => Epoch::begin(),
        };
        if let Some(loss) = loss {
            loss.tell(old, epoch, head);
        }
        // Before the commit: if that fails, the next start finds that it is of another log, and
        // begins a new epoch again.
        witness.begin(database, epoch, head)?;
        set(db, EPOCH, &epoch.to_string())?;
        set(db, WITNESS, witness::NAME)?;
        set(db, LAST_RUN, &self.in_use())?;
        Ok(epoch)
    }

    /// Notes that all was written.
    pub(super) fn end(db: &Connection) -> Result<(), JournalError> {
        set(db, LAST_RUN, CLOSED)
    }

    fn loss(
        &self,
        db: &Connection,
        epoch: Option<Epoch>,
        head: Option<Seq>,
        wal: Wal,
        said: Said,
    ) -> Result<Option<Loss>, JournalError> {
        let loss = match (wal, said) {
            (Wal::Damaged, _) => Some(Loss::Damaged),
            // A log that begins.
            _ if epoch.is_none() => None,
            (_, Said::Head(of, _)) if Some(of) != epoch => Some(Loss::Replaced),
            (_, Said::Head(_, Some(seen))) if Some(seen) > head => Some(Loss::Behind(seen)),
            // A log that was last written before there were witnesses never had one.
            (_, Said::Missing | Said::Garbled) if get(db, WITNESS)?.is_some() => {
                Some(Loss::Unwitnessed(said))
            }
            _ => self.went_down(db)?.then_some(Loss::Down),
        };
        Ok(loss)
    }

    fn in_use(&self) -> String {
        let durability = match self.durability {
            Durability::Os => OS,
            Durability::Disk => DISK,
        };
        let boot = self.boot.as_deref().unwrap_or_default();
        format!("{durability} {boot}")
    }

    /// Whether the machine went down under a log that does not outlive that.
    fn went_down(&self, db: &Connection) -> Result<bool, JournalError> {
        let last_run = get(db, LAST_RUN)?;
        let last_run = last_run.as_deref().and_then(|run| run.split_once(' '));
        Ok(match last_run {
            Some((OS, boot)) => boot.is_empty() || self.boot.as_deref() != Some(boot),
            _ => false,
        })
    }
}

impl Loss {
    fn tell(self, old: Option<Epoch>, new: Epoch, head: Option<Seq>) {
        let old = old.map(tracing::field::display);
        let last_seq = head.map_or(0, Seq::get);
        match self {
            Self::Damaged => {
                error!(old, %new, last_seq, "signals.db-wal was damaged: the last signals in it are lost, so the log goes on under a new epoch");
            }
            Self::Behind(seen) => {
                error!(old, %new, last_seq, seen = seen.get(), "the log ends before what clients may have seen, as signals.head tells: signals.db-wal was deleted or emptied, or an old copy of signals.db put in its place; so it goes on under a new epoch");
            }
            Self::Replaced => {
                warn!(old, %new, last_seq, "signals.head is of another log than signals.db, so that was put in its place; it goes on under a new epoch");
            }
            Self::Unwitnessed(Said::Garbled) => {
                warn!(old, %new, last_seq, "signals.head is damaged, so nobody knows how far the log went; it goes on under a new epoch");
            }
            Self::Unwitnessed(_) => {
                warn!(old, %new, last_seq, "signals.head is missing, so nobody knows how far the log went; it goes on under a new epoch");
            }
            Self::Down => {
                warn!(old, %new, last_seq, "the machine went down while the log was in use: its last signals may be lost, so it goes on under a new epoch; with --durability disk that does not happen");
            }
        }
    }
}

/// The log's epoch as it stands there.
pub(super) fn epoch(db: &Connection) -> Result<Option<Epoch>, JournalError> {
    Ok(get(db, EPOCH)?.as_deref().and_then(Epoch::parse))
}

const EPOCH: &str = "epoch";
/// The file that tells how far the log went.
const WITNESS: &str = "witness";
const LAST_RUN: &str = "last_run";
const CLOSED: &str = "closed";
const OS: &str = "os";
const DISK: &str = "disk";

fn get(db: &Connection, key: &str) -> Result<Option<String>, JournalError> {
    let sql = "SELECT value FROM log WHERE key = ?1";
    Ok(db.query_row(sql, [key], |row| row.get(0)).optional()?)
}

fn set(db: &Connection, key: &str, value: &str) -> Result<(), JournalError> {
    let sql = "INSERT INTO log (key, value) VALUES (?1, ?2)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    db.execute(sql, [key, value])?;
    Ok(())
}
