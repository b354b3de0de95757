use aws_lc_rs::rand;
use uuid::Builder;

use crate::signal::{Id, ReceivedAt};

/// Makes ids for signals whose source gave none: UUIDv7, so that they sort by the time of receipt.
#[derive(Debug)]
pub(super) struct MadeIds {
    random: [u8; RANDOM_BYTES],
    used: usize,
}

/// Random bytes of one id (RFC 9562 section 5.7).
const EACH: usize = 10;

/// Drawn at once: a draw costs as much as ten ids.
const RANDOM_BYTES: usize = 100 * EACH;

impl MadeIds {
    pub(super) fn new() -> Self {
        Self {
            random: [0; RANDOM_BYTES],
            used: RANDOM_BYTES,
        }
    }

    /// A new id.
    ///
    /// # Panics
    /// If the system has no random numbers, without which TLS would not work either.
    pub(super) fn make(&mut self, received_at: ReceivedAt) -> Id {
        if self.used == RANDOM_BYTES {
            rand::fill(&mut self.random).expect("the system has random numbers");
            self.used = 0;
        }
        let mut random = [0; EACH];
        random.copy_from_slice(&self.random[self.used..self.used + EACH]);
        self.used += EACH;
        let millis = u64::try_from(received_at.micros() / 1000).unwrap_or_default();
        Builder::from_unix_timestamp_millis(millis, &random)
            .into_uuid()
            .into()
    }
}
