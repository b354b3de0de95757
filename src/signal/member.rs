use std::borrow::Cow;
use std::time::Duration;

use super::escape::Text;
use super::excerpt::Excerpt;
use super::invalid::{InvalidField, InvalidSignal, Reason};
use super::number::Number;
use super::value::{Value, write_string};
use super::{Id, Price, Side, SideWords, Symbol, TimeUnit, Timestamp};

/// A key and its value.
#[derive(Clone, Copy)]
pub(super) struct Member<'a> {
    pub(super) key: Text<'a>,
    pub(super) value: Value<'a>,
}

impl<'a> Member<'a> {
    pub(super) fn name(&self) -> Cow<'a, str> {
        self.key.unescape()
    }

    /// Takes its place, unless that is taken, be it under another name.
    pub(super) fn put_in(self, slot: &mut Option<Self>) -> Result<(), InvalidSignal> {
        let Some(other) = slot.replace(self) else {
            return Ok(());
        };
        let (first, second) = (other.name(), self.name());
        if first == second {
            return Err(Reason::RepeatedKey(Excerpt::of(&first)).into());
        }
        Err(Reason::TwoNames((&*first).into(), (&*second).into()).into())
    }

    /// Appends `,"key":value`.
    pub(super) fn write(&self, out: &mut String) {
        out.push(',');
        write_string(self.key, out);
        out.push(':');
        self.value.write(out);
    }

    /// Reads the value, and says where it stands if that fails.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Self) -> Result<T, InvalidField>,
    ) -> Result<T, InvalidSignal> {
        read(self).map_err(|why| why.of(&self.name()))
    }

    fn text(&self, expected: &'static str) -> Result<Cow<'a, str>, InvalidField> {
        match self.value {
            Value::String(text) => Ok(text.unescape()),
            _ => Err(self.unexpected(expected)),
        }
    }

    pub(super) fn side(&self, words: &SideWords) -> Result<Side, InvalidField> {
        Ok(words.side(&self.text(r#""buy" or "sell""#)?)?)
    }

    pub(super) fn symbol(&self) -> Result<Symbol, InvalidField> {
        Ok(self.text("a string")?.parse()?)
    }

    /// A number, also in quotes.
    pub(super) fn price(&self) -> Result<Price, InvalidField> {
        match &self.value {
            Value::Number(number) => Ok(Price::of(number)?),
            _ => Ok(self.text("a number")?.parse()?),
        }
    }

    /// An integer, also in quotes, or RFC 3339.
    pub(super) fn timestamp(&self, unit: TimeUnit) -> Result<Timestamp, InvalidField> {
        match &self.value {
            Value::Number(number) => Ok(Timestamp::of(number, unit)?),
            _ => {
                let time = self.text("Unix seconds, or RFC 3339 in quotes")?;
                Ok(Timestamp::parse(&time, unit)?)
            }
        }
    }

    pub(super) fn boolean(&self) -> Result<bool, InvalidField> {
        match self.value {
            Value::Bool(is) => Ok(is),
            _ => Err(self.unexpected("true or false, without quotes")),
        }
    }

    pub(super) fn id(&self) -> Result<Id, InvalidField> {
        let expected = "a string of 1 to 36 characters, or leave the key out";
        Ok(self.text(expected)?.parse()?)
    }

    pub(super) fn seconds(&self) -> Result<Duration, InvalidField> {
        let Value::Number(Number { text: number, .. }) = self.value else {
            return Err(self.unexpected("whole seconds above 0, or leave the key out"));
        };
        let is_whole = number.bytes().all(|byte| byte.is_ascii_digit());
        if !is_whole || number == "0" {
            return Err(InvalidField::ValidFor(Excerpt::of(number)));
        }
        // Beyond the last timestamp longer makes no difference.
        let seconds = number.parse().unwrap_or(u64::MAX).min(Timestamp::MAX.get());
        Ok(Duration::from_secs(seconds))
    }

    fn unexpected(&self, expected: &'static str) -> InvalidField {
        let found = self.value.kind();
        InvalidField::Kind { found, expected }
    }
}
