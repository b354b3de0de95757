use rusqlite::Row;
use rusqlite::types::ValueRef;

use super::super::{JournalError, Recorded};
use crate::signal::{Id, ReceivedAt, Seq, Signal, StoredSignal, Symbol};
use crate::source::SourceName;

/// Reads signals from rows with the columns in the order of the table. Remembers what most rows have in common.
#[derive(Debug)]
pub(super) struct Rows {
    source: SourceName,
    symbols: Vec<Option<Symbol>>,
}

/// Symbols that are remembered, each at the place that its text says.
const SYMBOLS: usize = 256;

/// The column that has no bound of its own.
const CONTENT: usize = 11;

impl Rows {
    pub(super) fn new() -> Self {
        Self {
            source: "".into(),
            symbols: vec![None; SYMBOLS],
        }
    }

    /// The signal in this row.
    ///
    /// # Errors
    /// It is not as it was recorded.
    pub(super) fn read(&mut self, row: &Row<'_>) -> Result<Recorded, JournalError> {
        let seq = integer(row, 0).and_then(|seq| Seq::new(u64::try_from(seq).ok()?));
        let seq = seq.ok_or_else(|| JournalError::Damaged("a seq below 1".to_owned()))?;
        let damaged = |why: &dyn std::fmt::Display| {
            JournalError::Damaged(format!("the signal of seq {seq}: {why}"))
        };
        let column = |name: &'static str| move || damaged(&format!("its {name} is no such thing"));

        let id: Id = text(row, 1)
            .and_then(|id| id.parse().ok())
            .ok_or_else(column("id"))?;
        let is_given = truth(row, 2).ok_or_else(column("id_given"))?;
        let symbol = text(row, 4)
            .and_then(|symbol| self.symbol(symbol))
            .ok_or_else(column("symbol"))?;
        let stale_after = match value(row, 8) {
            Some(ValueRef::Null) => None,
            Some(ValueRef::Integer(at)) => Some(at),
            _ => return Err(column("stale_after")()),
        };
        let stored = StoredSignal {
            side: text(row, 3).ok_or_else(column("type"))?,
            symbol,
            price: text(row, 5).ok_or_else(column("price"))?,
            timestamp: integer(row, 6).ok_or_else(column("timestamp"))?,
            is_test: truth(row, 7).ok_or_else(column("is_test"))?,
            id: is_given.then_some(id),
            stale_after,
            content: text(row, CONTENT).ok_or_else(column("content"))?,
        };
        Ok(Recorded {
            seq,
            id,
            source: self.source(text(row, 9).ok_or_else(column("source"))?),
            received_at: received_at(row, 10).ok_or_else(column("received_at"))?,
            signal: Signal::from_stored(stored).map_err(|why| damaged(&why))?,
        })
    }

    fn source(&mut self, name: &str) -> SourceName {
        if self.source.as_str() != name {
            self.source = name.into();
        }
        self.source.clone()
    }

    /// Symbols repeat: one that was seen lately costs no memory.
    fn symbol(&mut self, text: &str) -> Option<Symbol> {
        let sum = text.bytes().fold(0_usize, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(byte.into())
        });
        let known = &mut self.symbols[sum % SYMBOLS];
        match known {
            Some(symbol) if symbol.as_str() == text => {}
            _ => *known = Some(text.parse().ok()?),
        }
        known.clone()
    }
}

/// A time of receipt as it stands in this column.
pub(super) fn received_at(row: &Row<'_>, column: usize) -> Option<ReceivedAt> {
    let micros = integer(row, column)?;
    let received_at = ReceivedAt::from_micros(micros);
    (received_at.micros() == micros).then_some(received_at)
}

/// SQLite's integers have a sign; neither seqs nor times get that far.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// How long the content in this row is.
pub(super) fn content_bytes(row: &Row<'_>) -> usize {
    text(row, CONTENT).map_or(0, str::len)
}

fn value<'a>(row: &'a Row<'_>, column: usize) -> Option<ValueRef<'a>> {
    row.get_ref(column).ok()
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> Option<&'a str> {
    match value(row, column)? {
        ValueRef::Text(text) => std::str::from_utf8(text).ok(),
        _ => None,
    }
}

fn integer(row: &Row<'_>, column: usize) -> Option<i64> {
    match value(row, column)? {
        ValueRef::Integer(integer) => Some(integer),
        _ => None,
    }
}

fn truth(row: &Row<'_>, column: usize) -> Option<bool> {
    match integer(row, column)? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}
