use std::time::{Duration, SystemTime};

use crate::certs::Identity;

/// Where a certificate stands that clients will soon refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// It ends soon.
    Near,
    /// It has ended.
    Over,
}

/// Says once a day, and when it comes to it, that a certificate ends.
#[derive(Debug, Default)]
pub(super) struct Reminder {
    last: Option<(Expiry, SystemTime)>,
}

impl Reminder {
    /// What is to be said at this moment, if anything is.
    pub(super) fn due(&mut self, identity: &Identity, now: SystemTime) -> Option<Expiry> {
        let (starts, ends) = (identity.starts_at(), identity.expires_at());
        self.due_between(starts, ends, now)
    }

    fn due_between(
        &mut self,
        starts: SystemTime,
        ends: SystemTime,
        now: SystemTime,
    ) -> Option<Expiry> {
        let expiry = standing(starts, ends, now)?;
        let said = self.last.is_some_and(|(last, at)| {
            last == expiry && now.duration_since(at).is_ok_and(|since| since < DAY)
        });
        if said {
            return None;
        }
        self.last = Some((expiry, now));
        Some(expiry)
    }
}

fn standing(starts: SystemTime, ends: SystemTime, now: SystemTime) -> Option<Expiry> {
    let Ok(left) = ends.duration_since(now) else {
        return Some(Expiry::Over);
    };
    let life = ends.duration_since(starts).unwrap_or_default();
    (left < NEAR.min(life / 4)).then_some(Expiry::Near)
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Time enough to mend a renewal that fails. Of certificates that live for days only it is their
/// last quarter: they are renewed when a third is left.
const NEAR: Duration = Duration::from_secs(14 * DAY.as_secs());

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_certificate_that_ends_is_told_of_once_a_day() {
        let day = |day: f64| UNIX_EPOCH + DAY.mul_f64(day);
        let mut reminder = Reminder::default();
        let mut due = |at| reminder.due_between(day(0.0), day(90.0), day(at));
        for (at, said) in [
            (0.0, None),
            (75.9, None),
            (76.1, Some(Expiry::Near)),
            (76.2, None),
            (77.0, None),
            (77.2, Some(Expiry::Near)),
            (89.9, Some(Expiry::Near)),
            (89.99, None),
            (90.1, Some(Expiry::Over)),
            (90.2, None),
            (91.2, Some(Expiry::Over)),
        ] {
            assert_eq!(due(at), said, "day {at}");
        }
    }

    #[test]
    fn one_that_lives_for_days_is_not_always_near_its_end() {
        let hours = |hours| UNIX_EPOCH + DAY * hours / 24;
        let at = |now| standing(hours(0), hours(24), hours(now));
        assert_eq!(
            [0, 17, 19, 25].map(at),
            [None, None, Some(Expiry::Near), Some(Expiry::Over)]
        );
    }
}
