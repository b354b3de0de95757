use std::collections::VecDeque;
use std::ops::Range;

use super::gaps::Gaps;
use super::histogram::Histogram;
use super::mark::Mark;
use super::moment::Moment;
use super::wanted::Wanted;

/// Who got what: what is lost, repeated or out of order, and how late everything was.
#[derive(Debug)]
pub(super) struct Tally {
    rule: Rule,
    places: Vec<Place>,
    /// The numbers that not everybody has yet, or may miss.
    unsettled: VecDeque<Entry>,
    /// The number that `unsettled` begins with.
    first_unsettled: u64,
    /// How many clients are to get each number, by symbol.
    everybody: Vec<u32>,
    /// Those of them whose connection has ended: nobody waits for them.
    gone: Vec<u32>,
    /// How many clients are still there.
    present: usize,
    pub(super) delivered: u64,
    pub(super) repeated: u64,
    pub(super) disordered: u64,
    /// Messages that a client got although it did not ask for their symbol.
    pub(super) unasked: u64,
    /// Messages without a number, or with one that can't be.
    pub(super) unnumbered: u64,
    pub(super) latency_each: Histogram,
    pub(super) latency_last: Histogram,
    /// When the newest delivery came.
    pub(super) delivered_at: Moment,
    /// When the newest numbered message came, be it a repeated one.
    pub(super) numbered_at: Moment,
}

/// What each client has to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// All that it asks for from this number on.
    All(u64),
    /// From the first that it gets on, what any of the others gets.
    AsTheOthers,
}

#[derive(Debug)]
struct Place {
    /// None: it was not there when counting began.
    wanted: Option<Wanted>,
    /// One more than the highest number it has.
    next: Option<u64>,
    missing: Gaps,
    messages: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    first_at: Moment,
    /// How many clients have it.
    got: u32,
    /// How many clients have it, or have a higher one, or are gone.
    settled: u32,
}

/// What was lost, and by whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Losses {
    pub(super) signals: u64,
    pub(super) clients: u64,
}

impl Tally {
    /// For clients that ask for these, some of which may not be there, with lines of so many symbols.
    pub(super) fn new(rule: Rule, clients: &[Option<Wanted>], symbols: u64) -> Self {
        let (next, first_unsettled) = match rule {
            Rule::All(first) => (Some(first), first),
            Rule::AsTheOthers => (None, 0),
        };
        let place = |wanted: &Option<Wanted>| Place {
            wanted: *wanted,
            next,
            missing: Gaps::default(),
            messages: 0,
        };
        let there = || clients.iter().flatten();
        let everybody = (0..symbols).map(|symbol| {
            let count = there().filter(|wanted| wanted.has(symbol)).count();
            u32::try_from(count).expect("no more clients than sockets")
        });
        let mut tally = Self {
            rule,
            places: clients.iter().map(place).collect(),
            unsettled: VecDeque::new(),
            first_unsettled,
            everybody: everybody.collect(),
            gone: vec![0; usize::try_from(symbols).expect("a few thousand at most")],
            present: there().count(),
            delivered: 0,
            repeated: 0,
            disordered: 0,
            unasked: 0,
            unnumbered: 0,
            latency_each: Histogram::default(),
            latency_last: Histogram::default(),
            delivered_at: Moment::default(),
            numbered_at: Moment::default(),
        };
        tally.forget_settled();
        tally
    }

    /// A message that says nothing of itself.
    pub(super) fn unnumbered(&mut self, client: usize) {
        self.unnumbered += 1;
        self.places[client].messages += 1;
    }

    /// A message that says which one it is.
    #[inline]
    pub(super) fn record(&mut self, client: usize, mark: Mark, now: Moment) {
        let number = mark.number;
        if matches!(self.rule, Rule::All(first) if number < first) {
            // Of the warm-up, which nobody waits for any more.
            self.unnumbered(client);
            return;
        }
        if self.rule == Rule::AsTheOthers && !self.make_room(number) {
            self.unnumbered(client);
            return;
        }
        self.numbered_at = now;
        let place = &mut self.places[client];
        place.messages += 1;
        let wanted = place.wanted.unwrap_or(Wanted::ALL);
        if !wanted.has(number) {
            self.unasked += 1;
            return;
        }
        let next = *place.next.get_or_insert(number);
        let is_in_order = number >= next;
        if is_in_order {
            place.next = Some(number + 1);
            for passed in wanted.among(next..number) {
                place.missing.add(passed);
            }
            if self.rule == Rule::AsTheOthers {
                place.missing.forget_before(self.first_unsettled);
            }
            self.settle(wanted, next..number);
        } else if place.missing.remove(number) {
            self.disordered += 1;
        } else {
            self.repeated += 1;
            return;
        }
        self.delivered += 1;
        self.delivered_at = now;
        self.note_latency(mark, now, is_in_order);
        self.forget_settled();
    }

    #[inline]
    fn note_latency(&mut self, mark: Mark, now: Moment, is_in_order: bool) {
        let everybody = self.everybody[self.symbol(mark.number)];
        let Some(entry) = self.entry(mark.number) else {
            // Everybody else has it, or has passed it.
            self.latency_each.add(latency(mark, now, now));
            return;
        };
        if entry.got == 0 {
            entry.first_at = now;
        }
        entry.got += 1;
        entry.settled += u32::from(is_in_order);
        let (first_at, everybody_has_it) = (entry.first_at, entry.got == everybody);
        let latency = latency(mark, now, first_at);
        self.latency_each.add(latency);
        if everybody_has_it {
            self.latency_last.add(latency);
        }
    }

    /// A client is gone: what comes from now on it will not get.
    pub(super) fn client_gone(&mut self, client: usize) {
        let place = &self.places[client];
        let Some(wanted) = place.wanted else { return };
        let next = place.next.unwrap_or(self.first_unsettled);
        self.present -= 1;
        for (symbol, gone) in (0..).zip(&mut self.gone) {
            *gone += u32::from(wanted.has(symbol));
        }
        let end = self.first_unsettled + self.unsettled.len() as u64;
        self.settle(wanted, next..end.max(next));
        self.forget_settled();
    }

    /// All before this number were got by everybody, or are lost.
    pub(super) fn completed(&self) -> u64 {
        self.first_unsettled
    }

    /// How many deliveries these numbers should be.
    pub(super) fn expected(&self, numbers: &Range<u64>) -> u64 {
        self.there().map(|wanted| wanted.count(numbers)).sum()
    }

    /// How many clients were there when counting began.
    pub(super) fn everybody(&self) -> usize {
        self.there().count()
    }

    /// Whether nobody is counted.
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// How many clients are still there.
    pub(super) fn present(&self) -> usize {
        self.present
    }

    /// Whether a client lacks a number before one that it has.
    pub(super) fn is_anything_missing(&self) -> bool {
        self.places.iter().any(|place| !place.missing.is_empty())
    }

    /// What is missing, if all before `end` should have come.
    pub(super) fn losses(&self, end: u64) -> Losses {
        let mut losses = Losses::default();
        for place in &self.places {
            let Some(wanted) = place.wanted else { continue };
            let lost = match (self.rule, place.next) {
                (Rule::All(_), Some(next)) => place.missing.count() + wanted.count(&(next..end)),
                _ => place
                    .missing
                    .iter()
                    .filter(|number| self.did_anybody_get(*number))
                    .count() as u64,
            };
            losses.signals += lost;
            losses.clients += u64::from(lost > 0);
        }
        losses
    }

    /// The fewest and the most messages that a client got.
    pub(super) fn fewest_and_most_messages(&self) -> (u64, u64) {
        let there = || self.places.iter().filter(|place| place.wanted.is_some());
        let each = || there().map(|place| place.messages);
        (each().min().unwrap_or(0), each().max().unwrap_or(0))
    }

    /// What the clients that were there ask for.
    fn there(&self) -> impl Iterator<Item = Wanted> {
        self.places.iter().filter_map(|place| place.wanted)
    }

    /// Whether anybody has got one that is remembered.
    fn did_anybody_get(&self, number: u64) -> bool {
        let entry = self
            .index(number)
            .and_then(|index| self.unsettled.get(index));
        entry.is_some_and(|entry| entry.got > 0)
    }

    /// Has `unsettled` reach a number that somebody else counted; not if that is too far away to be
    /// the next of a count.
    fn make_room(&mut self, number: u64) -> bool {
        if number > HIGHEST {
            return false;
        }
        if self.unsettled.is_empty() && self.first_unsettled == 0 {
            self.first_unsettled = number;
        }
        let end = self.first_unsettled + self.unsettled.len() as u64;
        if number >= end + FARTHEST || number + FARTHEST < self.first_unsettled {
            return false;
        }
        while number < self.first_unsettled {
            // Others have begun later in the same stream.
            if self.unsettled.len() as u64 == KEPT {
                return true;
            }
            self.first_unsettled -= 1;
            self.unsettled.push_front(Entry::default());
        }
        while self.unsettled.len() as u64 > KEPT {
            self.unsettled.pop_front();
            self.first_unsettled += 1;
        }
        true
    }

    fn settle(&mut self, wanted: Wanted, numbers: Range<u64>) {
        for number in wanted.among(numbers) {
            if let Some(entry) = self.entry(number) {
                entry.settled += 1;
            }
        }
    }

    #[inline]
    fn entry(&mut self, number: u64) -> Option<&mut Entry> {
        let index = self.index(number)?;
        while self.unsettled.len() <= index {
            let symbol = self.symbol(self.first_unsettled + self.unsettled.len() as u64);
            self.unsettled.push_back(Entry {
                settled: self.gone[symbol],
                ..Entry::default()
            });
        }
        self.unsettled.get_mut(index)
    }

    fn index(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first_unsettled)?).ok()
    }

    #[inline]
    fn symbol(&self, number: u64) -> usize {
        let symbol = number % self.everybody.len() as u64;
        usize::try_from(symbol).expect("fewer than there are")
    }

    /// Forgets the numbers that nobody will get any more.
    #[inline]
    fn forget_settled(&mut self) {
        while let Some(entry) = self.unsettled.front() {
            let everybody = self.everybody[self.symbol(self.first_unsettled)];
            let is_done = match self.rule {
                Rule::All(_) => entry.settled >= everybody,
                Rule::AsTheOthers => entry.got == everybody,
            };
            if !is_done {
                return;
            }
            self.unsettled.pop_front();
            self.first_unsettled += 1;
        }
        // What nobody asks for never comes, and a feed must not wait for it.
        if self.unsettled.is_empty() && self.present > 0 {
            while self.everybody[self.symbol(self.first_unsettled)] == 0 {
                self.first_unsettled += 1;
            }
        }
    }
}

/// In nanoseconds, from when it was written, or else from when the first client had it.
#[inline]
fn latency(mark: Mark, now: Moment, first_at: Moment) -> u64 {
    now.0.saturating_sub(mark.sent.unwrap_or(first_at).0)
}

/// A count that jumps by more is none.
const FARTHEST: u64 = 1 << 20;

/// No count gets so far.
const HIGHEST: u64 = u64::MAX / 2;

/// Numbers that are remembered while somebody may lack them.
const KEPT: u64 = 1 << 20;

#[cfg(test)]
mod tests;
