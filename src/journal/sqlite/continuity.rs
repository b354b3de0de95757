use rusqlite::{Connection, OptionalExtension};
use tracing::{error, warn};

use super::super::{Durability, Epoch, JournalError};

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

impl Continuity {
    pub(super) fn now(durability: Durability) -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        Self {
            boot: boot.ok().map(|boot| boot.trim().to_owned()),
            durability,
        }
    }

    /// The log's epoch, and a note that it is in use, within the transaction that is open.
    ///
    /// If the machine went down while the log was in use with `--durability os`, or what it left
    /// is damaged, commits that clients have seen may be lost, and their seqs will be given a
    /// second time: that is another log, so it gets another name.
    pub(super) fn begin(&self, db: &Connection, wal: Wal) -> Result<Epoch, JournalError> {
        let epoch = get(db, EPOCH)?;
        let last_run = get(db, LAST_RUN)?;
        let (epoch, is_new) = match epoch {
            Some(epoch) if wal == Wal::Whole && !self.may_have_lost(last_run.as_deref()) => {
                let epoch = Epoch::parse(&epoch);
                let epoch = epoch.ok_or_else(|| JournalError::Damaged("its epoch".to_owned()))?;
                (epoch, false)
            }
            old => {
                let epoch = Epoch::begin();
                if wal == Wal::Damaged {
                    error!(epoch = %epoch, "signals.db-wal was damaged: the last signals in it are lost, so the log goes on under a new epoch");
                } else if let Some(old) = old {
                    warn!(%old, new = %epoch, "the machine went down while the log was in use: its last signals may be lost, so it goes on under a new epoch; with --durability disk that does not happen");
                }
                (epoch, true)
            }
        };
        if is_new {
            set(db, EPOCH, &epoch.to_string())?;
        }
        set(db, LAST_RUN, &self.in_use())?;
        Ok(epoch)
    }

    /// Notes that all was written.
    pub(super) fn end(db: &Connection) -> Result<(), JournalError> {
        set(db, LAST_RUN, CLOSED)
    }

    fn in_use(&self) -> String {
        let durability = match self.durability {
            Durability::Os => OS,
            Durability::Disk => DISK,
        };
        let boot = self.boot.as_deref().unwrap_or_default();
        format!("{durability} {boot}")
    }

    fn may_have_lost(&self, last_run: Option<&str>) -> bool {
        let last_run = last_run.and_then(|last_run| last_run.split_once(' '));
        match last_run {
            Some((OS, boot)) => boot.is_empty() || self.boot.as_deref() != Some(boot),
            _ => false,
        }
    }
}

/// The log's epoch as it stands there.
pub(super) fn epoch(db: &Connection) -> Result<Option<Epoch>, JournalError> {
    Ok(get(db, EPOCH)?.as_deref().and_then(Epoch::parse))
}

const EPOCH: &str = "epoch";
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
