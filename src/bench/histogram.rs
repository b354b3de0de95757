use serde::Serialize;

/// Times, counted in buckets that are at most a sixty-fourth of their value wide.
#[derive(Debug)]
pub(super) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    largest: u64,
    sum: u128,
}

/// What is told of many times, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) count: u64,
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) max: f64,
    pub(super) mean: f64,
}

/// Buckets for each doubling.
const FINE: u64 = 64;
const FINE_BITS: u32 = FINE.trailing_zeros();

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: vec![0; bucket(u64::MAX) + 1],
            count: 0,
            largest: 0,
            sum: 0,
        }
    }
}

impl Histogram {
    #[inline]
    pub(super) fn add(&mut self, nanoseconds: u64) {
        self.buckets[bucket(nanoseconds)] += 1;
        self.count += 1;
        self.largest = self.largest.max(nanoseconds);
        self.sum += u128::from(nanoseconds);
    }

    pub(super) fn spread(&self) -> Spread {
        let mean = if self.count == 0 {
            0.0
        } else {
            self.sum as f64 / self.count as f64
        };
        Spread {
            count: self.count,
            p50: self.quantile(0.5),
            p90: self.quantile(0.9),
            p99: self.quantile(0.99),
            p999: self.quantile(0.999),
            max: microseconds(self.largest as f64),
            mean: microseconds(mean),
        }
    }

    /// The time that this share of them does not pass (nearest rank; the upper end of its bucket).
    fn quantile(&self, share: f64) -> f64 {
        let rank = (self.count as f64 * share).ceil().max(1.0);
        let mut below = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            below += count;
            if below as f64 >= rank {
                return microseconds(upper_end(index).min(self.largest) as f64);
            }
        }
        0.0
    }
}

#[inline]
fn bucket(value: u64) -> usize {
    let doublings = value.max(1).ilog2().saturating_sub(FINE_BITS - 1);
    let index = if doublings == 0 {
        value
    } else {
        // The value, cut to its seven highest bits, is in FINE..2 * FINE.
        u64::from(doublings) * FINE + (value >> (doublings - 1)) - FINE
    };
    usize::try_from(index).expect("a few thousand at most")
}

fn upper_end(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    match bucket / FINE {
        0 => bucket,
        doublings => {
            let end = u128::from(bucket % FINE + FINE + 1) << (doublings - 1);
            u64::try_from(end - 1).unwrap_or(u64::MAX)
        }
    }
}

fn microseconds(nanoseconds: f64) -> f64 {
    nanoseconds / 1000.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_quantile_is_the_smallest_time_that_so_many_do_not_pass() {
        let mut times = Histogram::default();
        (1..=1000).for_each(|microseconds| times.add(microseconds * 1000));
        let Spread {
            count,
            p50,
            p99,
            max,
            mean,
            ..
        } = times.spread();
        assert_eq!((count, max, mean), (1000, 1000.0, 500.5));
        assert!((500.0..508.0).contains(&p50), "{p50}");
        assert!((990.0..=1000.0).contains(&p99), "{p99}");
    }

    #[test]
    fn nothing_is_zero() {
        assert_eq!(Histogram::default().spread(), Spread::default());
    }

    proptest! {
        #[test]
        fn a_bucket_ends_at_most_a_sixty_fourth_above_what_is_in_it(value: u64) {
            let end = upper_end(bucket(value));
            prop_assert!(end >= value);
            prop_assert!(end - value <= value / FINE);
        }

        #[test]
        fn what_comes_after_the_end_of_a_bucket_is_in_the_next(value in 0..u64::MAX / 2) {
            let bucket_of_it = bucket(value);
            prop_assert_eq!(bucket(upper_end(bucket_of_it) + 1), bucket_of_it + 1);
        }
    }
}
