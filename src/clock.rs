//! Wall time, for what is shown to people and compared with timestamps. Deadlines are monotonic
//! and do not come from here; the domain types get their time as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::signal::{ReceivedAt, Timestamp};

/// The time to the microsecond. A clock set before 1970 counts as 1970.
pub(crate) fn received_now() -> ReceivedAt {
    received_at(SystemTime::now())
}

/// A time as it is shown.
pub(crate) fn received_at(time: SystemTime) -> ReceivedAt {
    let since_1970 = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    ReceivedAt::from_micros(i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX))
}

/// The time in whole seconds. A clock set before 1970 counts as 1970.
pub(crate) fn now() -> Timestamp {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::new(since_1970.as_secs()).unwrap_or(Timestamp::MAX)
}
