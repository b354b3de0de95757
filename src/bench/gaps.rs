use std::collections::BTreeMap;

/// The numbers that a client should have had before those it has: by 64s a bit for each, since a
/// server that drops every second line would leave thousands of ranges. It takes half a byte a
/// line at most, and nothing for a client that lacks none.
#[derive(Debug, Default)]
pub(super) struct Gaps(BTreeMap<u64, u64>);

impl Gaps {
    pub(super) fn add(&mut self, number: u64) {
        *self.0.entry(number / 64).or_default() |= 1 << (number % 64);
    }

    /// Takes a number out; whether it was there.
    pub(super) fn remove(&mut self, number: u64) -> bool {
        let Some(bits) = self.0.get_mut(&(number / 64)) else {
            return false;
        };
        let bit = 1 << (number % 64);
        let was_there = *bits & bit != 0;
        *bits &= !bit;
        if *bits == 0 {
            self.0.remove(&(number / 64));
        }
        was_there
    }

    /// Forgets those before this one, but for a few.
    pub(super) fn forget_before(&mut self, number: u64) {
        while let Some(first) = self.0.first_entry()
            && *first.key() < number / 64
        {
            first.remove();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn count(&self) -> u64 {
        self.0
            .values()
            .map(|bits| u64::from(bits.count_ones()))
            .sum()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u64> {
        let ones = |(at, bits): (&u64, &u64)| {
            let (start, bits) = (at * 64, *bits);
            let set = (0..64).filter(move |bit| bits & (1 << bit) != 0);
            set.map(move |bit| start + bit)
        };
        self.0.iter().flat_map(ones)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_can_be_taken_out_once() {
        let mut gaps = Gaps::default();
        for number in [3, 4, 63, 64, 200] {
            gaps.add(number);
        }
        assert!(gaps.remove(4));
        assert!(!gaps.remove(4));
        assert!(!gaps.remove(7));
        assert!(gaps.remove(200));
        assert_eq!(gaps.iter().collect::<Vec<_>>(), [3, 63, 64]);
        assert_eq!(gaps.count(), 3);
        gaps.forget_before(64);
        assert_eq!(gaps.iter().collect::<Vec<_>>(), [64]);
        assert!(gaps.remove(64) && gaps.is_empty());
    }
}
