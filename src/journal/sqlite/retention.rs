use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::super::{JournalError, Retention, Tended};
use super::append::signed;
use crate::signal::{ReceivedAt, Seq};

/// Lets go of the oldest signals, a little at a time, so that the writer is never held up.
#[derive(Debug)]
pub(super) struct Retaining {
    rule: Retention,
    looked_at: Option<Instant>,
}

/// Rows of one deletion: a few milliseconds.
const STEP: u64 = 1000;

/// Signals grow old by the second.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

impl Retaining {
    pub(super) fn new(rule: Retention) -> Self {
        Self {
            rule,
            looked_at: None,
        }
    }

    /// Whether it is time to look for what can go.
    pub(super) fn is_due(&self) -> bool {
        let may_go = self.rule.age.is_some() || self.rule.bytes.is_some();
        may_go
            && self
                .looked_at
                .is_none_or(|at| at.elapsed() >= BETWEEN_LOOKS)
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
        let end = oldest.plus(STEP).min(head);
        let deleted = if self.is_too_large(db)? {
            delete(db, DELETE, &[signed(end.get())])?
        } else if let Some(age) = self.rule.age {
            let age = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
            let since = now.micros().saturating_sub(age);
            delete(db, DELETE_OLD, &[signed(end.get()), since])?
        } else {
            0
        };
        if deleted == STEP {
            self.looked_at = None;
            return Ok((oldest.plus(deleted), Tended::More));
        }
        self.looked_at = Some(Instant::now());
        Ok((oldest.plus(deleted), Tended::Done))
    }

    fn is_too_large(&self, db: &Connection) -> Result<bool, JournalError> {
        let Some(most) = self.rule.bytes else {
            return Ok(false);
        };
        let pragma = |sql| -> Result<u64, JournalError> {
            let number: i64 = db.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
            Ok(u64::try_from(number).unwrap_or_default())
        };
        let used = pragma("PRAGMA page_count")?.saturating_sub(pragma("PRAGMA freelist_count")?);
        Ok(used.saturating_mul(pragma("PRAGMA page_size")?) > most)
    }
}

fn delete(db: &Connection, sql: &str, bounds: &[i64]) -> Result<u64, JournalError> {
    let deleted = db
        .prepare_cached(sql)?
        .execute(rusqlite::params_from_iter(bounds))?;
    Ok(deleted as u64)
}

const DELETE: &str = "DELETE FROM signals WHERE seq < ?1";

/// Times of receipt never decrease, so what is old is at the beginning.
const DELETE_OLD: &str = "DELETE FROM signals WHERE seq < ?1 AND received_at < ?2";
