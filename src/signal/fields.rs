use std::mem;

use super::excerpt::Excerpt;
use super::invalid::{InvalidField, InvalidSignal, Reason};
use super::json::{Key, Scanner};
use super::member::Member;
use super::{SideWords, Signal, TimeUnit, Timestamp, Validity, test_mark};

/// What a signal is made of, found in a line but not yet read.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub(super) side: Option<Member<'a>>,
    pub(super) symbol: Option<Member<'a>>,
    pub(super) price: Option<Member<'a>>,
    pub(super) timestamp: Option<Member<'a>>,
    pub(super) is_test: Option<Member<'a>>,
    pub(super) id: Option<Member<'a>>,
    pub(super) valid_for: Option<Member<'a>>,
    /// Beside `content` only: in flat JSON it is the strategy's own.
    pub(super) stale: Option<Member<'a>>,
    /// The strategy's own keys as [`Signal`] keeps them.
    pub(super) extra: String,
    /// One of them that seems to say that the signal is a test: `is_test` itself, if it is there.
    test_mark: Option<Member<'a>>,
}

impl<'a> Fields<'a> {
    /// Reads the value of `content`: in it, three keys are ours.
    pub(super) fn read_content(&mut self, scanner: &mut Scanner<'a>) -> Result<(), InvalidSignal> {
        if scanner.peek() != Some(b'{') {
            let found = scanner.value()?.kind();
            let expected = "an object with symbol, price and timestamp";
            return Err(InvalidField::Kind { found, expected }.of("content"));
        }
        scanner.object(|scanner, key| {
            let value = scanner.value()?;
            let member = Member { key, value };
            let slot = match &*key.unescape() {
                "symbol" => &mut self.symbol,
                "price" => &mut self.price,
                "timestamp" => &mut self.timestamp,
                _ => {
                    self.take_own(member);
                    return Ok(Key::Any);
                }
            };
            member.put_in(slot)?;
            Ok(Key::Known)
        })
    }

    /// Takes one of the strategy's own keys.
    pub(super) fn take_own(&mut self, member: Member<'a>) {
        member.write(&mut self.extra);
        let name = member.name();
        if test_mark::is_in(&name, &member.value) && (self.test_mark.is_none() || name == IS_TEST) {
            self.test_mark = Some(member);
        }
    }

    /// The signal that they make. Takes `extra` out.
    pub(super) fn signal(
        &mut self,
        unit: TimeUnit,
        received_at: Timestamp,
        words: &SideWords,
    ) -> Result<Signal, InvalidSignal> {
        let side = required(&self.side, "the side", r#""type":"buy" or "type":"sell""#)?;
        let symbol = required(&self.symbol, "the symbol", r#""symbol":"BTCUSDT""#)?;
        let price = required(&self.price, "the price", r#""price":75000.00"#)?;
        Ok(Signal {
            side: side.read(|side| side.side(words))?,
            symbol: symbol.read(Member::symbol)?,
            price: price.read(Member::price)?,
            timestamp: match &self.timestamp {
                Some(time) => time.read(|time| time.timestamp(unit))?,
                None => received_at,
            },
            is_test: self.is_test()?,
            id: match &self.id {
                Some(id) => Some(id.read(Member::id)?),
                None => None,
            },
            validity: self.validity()?,
            extra: mem::take(&mut self.extra).into(),
        })
    }

    /// What says that it is a test, in the wrong place or by a mistyped key, must not go live.
    fn is_test(&self) -> Result<bool, InvalidSignal> {
        let said = match &self.is_test {
            Some(is_test) => Some(is_test.read(Member::boolean)?),
            None => None,
        };
        match (said, self.test_mark.as_ref().map(Member::name)) {
            (Some(true), _) | (_, None) => {}
            (_, Some(name)) if name == IS_TEST => return Err(Reason::TestInContent.into()),
            (None, Some(name)) => return Err(Reason::LikeIsTest(Excerpt::of(&name)).into()),
            // Who says that it is none may have a `test` of his own.
            (Some(false), Some(_)) => {}
        }
        Ok(said.unwrap_or(false))
    }

    /// What was stale to one server must not be a fresh signal of the next one.
    fn validity(&self) -> Result<Validity, InvalidSignal> {
        let validity = match &self.valid_for {
            Some(valid_for) => Validity::For(valid_for.read(Member::seconds)?),
            None => Validity::Unlimited,
        };
        match &self.stale {
            Some(stale) if stale.read(Member::boolean)? => Ok(Validity::Void),
            _ => Ok(validity),
        }
    }
}

const IS_TEST: &str = "is_test";

fn required<'m, 'a>(
    member: &'m Option<Member<'a>>,
    what: &'static str,
    example: &'static str,
) -> Result<&'m Member<'a>, InvalidSignal> {
    let missing = || Reason::Missing(what, example).into();
    member.as_ref().ok_or_else(missing)
}
