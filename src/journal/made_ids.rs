use aws_lc_rs::rand;
use uuid::{Builder, Uuid};

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

/// When the signal was received that this id was made for, cut to milliseconds; `None` if it is
/// none that was made.
pub(super) fn made_at(id: &Id) -> Option<ReceivedAt> {
    let uuid = Uuid::try_parse(id.as_str()).ok()?;
    if uuid.get_version_num() != 7 {
        return None;
    }
    let (seconds, nanos) = uuid.get_timestamp()?.to_unix();
    let micros = seconds
        .checked_mul(1_000_000)?
        .checked_add(u64::from(nanos) / 1000)?;
    Some(ReceivedAt::from_micros(i64::try_from(micros).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_when_it_was_made() {
        let received_at = ReceivedAt::from_micros(1_720_000_000_123_456);
        let id = MadeIds::new().make(received_at);
        let made_at = made_at(&id).unwrap();
        assert_eq!(made_at.micros(), 1_720_000_000_123_000);
        for given in ["a-1", "6ba7b810-9dad-41d1-80b4-00c04fd430c8"] {
            assert_eq!(super::made_at(&given.parse().unwrap()), None);
        }
    }
}
