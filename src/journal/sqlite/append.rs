use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, OptionalExtension, ToSql};

use super::super::made_ids::MadeIds;
use super::super::{Entry, JournalError};
use super::row::signed;
use super::{made, reader};
use crate::signal::{Id, PriceForm, ReceivedAt, Seq};

/// Writes signals into the table, within the transaction that is open. Keeps what it works with.
#[derive(Debug)]
pub(super) struct Appender {
    made_ids: MadeIds,
    content: Vec<u8>,
    /// What became of each signal.
    pub(super) placed: Vec<Placed>,
}

/// What became of a signal.
#[derive(Clone, Copy, Debug)]
pub(super) enum Placed {
    /// It is at this place, with this id.
    New(Seq, Id),
    /// It was left out: the signal at this place has its id.
    Known(Seq, Id),
}

/// Left out without an error, it changes no row. A seq that is there already is an error: somebody
/// else has written.
const INSERT: &str = "INSERT INTO signals (seq, id, id_given, type, symbol, price, timestamp,
        is_test, stale_after, source, received_at, content)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
    ON CONFLICT (id) WHERE id_given DO NOTHING";

/// Places of some parameters of it.
const TYPE: usize = 4;
const SYMBOL: usize = 5;
const SOURCE: usize = 10;

impl Appender {
    pub(super) fn new() -> Self {
        Self {
            made_ids: MadeIds::new(),
            content: Vec::new(),
            placed: Vec::new(),
        }
    }

    /// Writes these signals from this place on, and says in `placed` what became of each. `newest`:
    /// when the newest was received that is there.
    pub(super) fn write(
        &mut self,
        db: &Connection,
        mut next: Seq,
        newest: Option<ReceivedAt>,
        entries: &[Entry],
    ) -> Result<(), JournalError> {
        self.placed.clear();
        if entries.is_empty() {
            return Ok(());
        }
        let mut insert = db.prepare_cached(INSERT)?;
        let mut before = None;
        for entry in entries {
            let given = entry.signal.id().copied();
            if let Some(given) = &given
                && let Some(first) = made::place(db, given, newest)?
            {
                self.placed.push(Placed::Known(first, *given));
                continue;
            }
            let id = given.unwrap_or_else(|| self.made_ids.make(entry.received_at));
            let changed = insert_one(&mut insert, next, &id, entry, before, &mut self.content)?;
            before = Some(entry);
            if changed > 0 {
                self.placed.push(Placed::New(next, id));
                next = next.next();
            } else {
                self.placed.push(Placed::Known(first_given(db, &id)?, id));
            }
        }
        Ok(())
    }
}

/// The place of the signal that was given this id: there is one, for it left another one out.
fn first_given(db: &Connection, id: &Id) -> Result<Seq, JournalError> {
    let sql = "SELECT seq FROM signals WHERE id = ?1 AND id_given";
    let mut select = db.prepare_cached(sql)?;
    let found = select.query_row([id.as_str()], |row| row.get(0));
    let seq = found.optional()?.ok_or_else(|| {
        JournalError::Damaged(format!("the index of ids holds {id}, and no signal has it"))
    })?;
    reader::place(seq)
}

/// `before`: the entry whose values are still bound.
fn insert_one(
    insert: &mut CachedStatement<'_>,
    seq: Seq,
    id: &Id,
    entry: &Entry,
    before: Option<&Entry>,
    content: &mut Vec<u8>,
) -> Result<usize, JournalError> {
    let signal = &entry.signal;
    content.clear();
    signal.write_content(PriceForm::Number, content);
    let price = content.len();
    signal.price().write(content);
    let (content, price) = content.split_at(price);
    let stale_after = signal
        .stale_after()
        .map(|at| ValueRef::Integer(signed(at.get())));
    let values = [
        ValueRef::Integer(signed(seq.get())),
        text(id.as_str()),
        ValueRef::Integer(signal.id().is_some().into()),
        text(signal.side().as_str()),
        text(signal.symbol().as_str()),
        ValueRef::Text(price),
        ValueRef::Integer(signed(signal.timestamp().get())),
        ValueRef::Integer(signal.is_test().into()),
        stale_after.unwrap_or(ValueRef::Null),
        text(entry.source.as_str()),
        ValueRef::Integer(entry.received_at.micros()),
        ValueRef::Text(content),
    ];
    for (place, value) in (1..).zip(values) {
        // SQLite copies each text that is bound; these are most often the same as before.
        let is_bound = before.is_some_and(|before| match place {
            TYPE => before.signal.side() == signal.side(),
            SYMBOL => before.signal.symbol() == signal.symbol(),
            SOURCE => before.source == entry.source,
            _ => false,
        });
        if !is_bound {
            insert.raw_bind_parameter(place, Borrowed(value))?;
        }
    }
    Ok(insert.raw_execute()?)
}

fn text(text: &str) -> ValueRef<'_> {
    ValueRef::Text(text.as_bytes())
}

/// A value that is bound without being copied first.
struct Borrowed<'a>(ValueRef<'a>);

impl ToSql for Borrowed<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.0))
    }
}
