use std::ops::Range;

/// Which lines a client asks for: those of one symbol among as many, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Line after line takes the next of so many symbols.
    symbols: u64,
    /// None: all.
    only: Option<u64>,
}

impl Wanted {
    pub(super) const ALL: Self = Self {
        symbols: 1,
        only: None,
    };

    /// Of client `client`, when so many in a hundred ask for one symbol each, which they take in turn.
    pub(super) fn by(client: usize, percent: u8, symbols: u64) -> Self {
        let before = |clients: usize| clients as u64 * u64::from(percent) / 100;
        let is_filtered = before(client + 1) > before(client);
        Self {
            symbols,
            only: is_filtered.then_some(before(client) % symbols),
        }
    }

    /// The symbol; none: all.
    pub(super) fn only(self) -> Option<u64> {
        self.only
    }

    #[inline]
    pub(super) fn has(self, number: u64) -> bool {
        self.only
            .is_none_or(|symbol| number % self.symbols == symbol)
    }

    /// How many of these.
    #[inline]
    pub(super) fn count(self, numbers: &Range<u64>) -> u64 {
        let Some(symbol) = self.only else {
            return numbers.end.saturating_sub(numbers.start);
        };
        let before = |end: u64| (end + self.symbols - 1 - symbol) / self.symbols;
        before(numbers.end).saturating_sub(before(numbers.start))
    }

    /// Each of these.
    pub(super) fn among(self, numbers: Range<u64>) -> impl Iterator<Item = u64> {
        let (step, first) = match self.only {
            None => (1, numbers.start),
            Some(symbol) => {
                let ahead = (symbol + self.symbols - numbers.start % self.symbols) % self.symbols;
                (self.symbols, numbers.start + ahead)
            }
        };
        (first..numbers.end).step_by(usize::try_from(step).expect("a few thousand at most"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_share_of_the_clients_takes_the_symbols_in_turn() {
        let only = |percent| -> Vec<Option<u64>> {
            let each = (0..6).map(|client| Wanted::by(client, percent, 2).only());
            each.collect()
        };
        assert_eq!(only(0), [None; 6]);
        assert_eq!(only(50), [None, Some(0), None, Some(1), None, Some(0)]);
        assert_eq!(only(100), [0, 1, 0, 1, 0, 1].map(Some));
    }

    proptest! {
        #[test]
        fn counting_and_listing_agree(
            client in 0_usize..9, percent in 0_u8..=100, symbols in 1_u64..9,
            start in 0_u64..40, length in 0_u64..40,
        ) {
            let wanted = Wanted::by(client, percent, symbols);
            let numbers = start..start + length;
            let each: Vec<u64> = numbers.clone().filter(|number| wanted.has(*number)).collect();
            prop_assert_eq!(wanted.count(&numbers), each.len() as u64);
            prop_assert_eq!(wanted.among(numbers).collect::<Vec<_>>(), each);
        }
    }
}
