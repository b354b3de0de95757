use std::collections::HashSet;
use std::mem::{Discriminant, discriminant};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tracing::{error, info};

use super::super::{JournalError, Retention, Tended};
use super::row::signed;
use crate::signal::{ReceivedAt, Seq};

/// Lets go of the oldest signals, a little at a time, so that the writer is never held up.
#[derive(Debug)]
pub(super) struct Retaining {
    rule: Retention,
    looked_at: Option<Instant>,
    /// Signals of the newest batch.
    newest_batch: u64,
    /// Signals that came since the last look.
    unlooked: u64,
    /// Why it failed since it last succeeded: each is told once.
    failures: HashSet<Discriminant<JournalError>>,
}

/// Rows of one deletion, at least: a millisecond or two. Twice the newest batch if that is more, so
/// that a flood does not outrun it.
const STEP: u64 = 1000;

/// Pages that the file gives back at once.
const SHRINK_STEP: u32 = 64;

/// Free pages that are worth giving back: 8 MiB, and a quarter of the file. Fewer are soon used
/// again.
const WORTH_SHRINKING: u64 = 2048;

/// Signals grow old by the second; a flood brings too many before it is over.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

impl Retaining {
    pub(super) fn new(rule: Retention) -> Self {
        Self {
            rule,
            looked_at: None,
            newest_batch: 0,
            unlooked: 0,
            failures: HashSet::new(),
        }
    }

    /// It is due, whenever the last look was.
    #[cfg(test)]
    pub(super) fn forget_the_time(&mut self) {
        self.looked_at = None;
    }

    /// A batch of so many signals came.
    pub(super) fn appended(&mut self, signals: u64) {
        self.newest_batch = signals;
        self.unlooked += signals;
    }

    /// Whether it is time to look for what can go.
    pub(super) fn is_due(&self) -> bool {
        let may_go = self.rule.age.is_some() || self.rule.bytes.is_some();
        let is_late = |at: Instant| at.elapsed() >= BETWEEN_LOOKS;
        let is_pressing = self.unlooked >= STEP && self.failures.is_empty();
        may_go && (is_pressing || self.looked_at.is_none_or(is_late))
    }

    /// Signals went, or none had to.
    pub(super) fn succeeded(&mut self) {
        if !self.failures.is_empty() {
            self.failures.clear();
            info!("old signals can be let go of again");
        }
    }

    /// Nothing went. That holds up nobody: it is told, and tried again later.
    pub(super) fn failed(&mut self, why: &JournalError) {
        self.looked_at = Some(Instant::now());
        if self.failures.insert(discriminant(why)) {
            error!(%why, "old signals can't be let go of, so the log grows; tried again every second");
        }
    }

    /// Deletes some of what can go, within the transaction that is open; never the newest, whose
    /// seq is the log's place. Returns the oldest place that is left, and whether there is more.
    pub(super) fn delete_some(
        &mut self,
        db: &Connection,
        oldest: Seq,
        head: Seq,
        now: ReceivedAt,
    ) -> Result<(Seq, Tended), JournalError> {
        self.unlooked = 0;
        let step = STEP.max(self.newest_batch.saturating_mul(2));
        let end = oldest.plus(step).min(head);
        let deleted = if self.is_too_large(db)? {
            delete(db, DELETE, &[signed(end.get())])?
        } else if let Some(age) = self.rule.age {
            let age = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
            let since = now.micros().saturating_sub(age);
            delete(db, DELETE_OLD, &[signed(end.get()), since])?
        } else {
            0
        };
        let has_more = deleted > 0 || shrink(db)?;
        self.looked_at = (!has_more).then(Instant::now);
        let tended = if has_more { Tended::More } else { Tended::Done };
        Ok((oldest.plus(deleted), tended))
    }

    fn is_too_large(&self, db: &Connection) -> Result<bool, JournalError> {
        let Some(most) = self.rule.bytes else {
            return Ok(false);
        };
        let used = number(db, PAGES)?.saturating_sub(number(db, FREE_PAGES)?);
        Ok(used.saturating_mul(number(db, "PRAGMA page_size")?) > most)
    }
}

/// Gives free pages at the end of the file back. Returns whether there may be more.
fn shrink(db: &Connection) -> Result<bool, JournalError> {
    let free = number(db, FREE_PAGES)?;
    if free < WORTH_SHRINKING || free < number(db, PAGES)? / 4 {
        return Ok(false);
    }
    let mut vacuum = db.prepare(&format!("PRAGMA incremental_vacuum({SHRINK_STEP})"))?;
    // A row for each page.
    let mut freed = vacuum.query([])?;
    let mut has_freed = false;
    while freed.next()?.is_some() {
        has_freed = true;
    }
    Ok(has_freed)
}

fn number(db: &Connection, pragma: &str) -> Result<u64, JournalError> {
    let number: i64 = db.prepare_cached(pragma)?.query_row([], |row| row.get(0))?;
    Ok(u64::try_from(number).unwrap_or_default())
}

const PAGES: &str = "PRAGMA page_count";

const FREE_PAGES: &str = "PRAGMA freelist_count";

fn delete(db: &Connection, sql: &str, bounds: &[i64]) -> Result<u64, JournalError> {
    let deleted = db
        .prepare_cached(sql)?
        .execute(rusqlite::params_from_iter(bounds))?;
    Ok(deleted as u64)
}

const DELETE: &str = "DELETE FROM signals WHERE seq < ?1";

/// Times of receipt never decrease, so what is old is at the beginning.
const DELETE_OLD: &str = "DELETE FROM signals WHERE seq < ?1 AND received_at < ?2";
