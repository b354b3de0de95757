//! How far a listener has come in the server's log, and where its next connection starts.

use std::collections::HashSet;

use super::loss::{Gone, ListenError, Lost};
use super::message::{Established, Seen};
use crate::signal::ReceivedAt;

/// Where a connection starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// With what comes in from now on.
    Live,
    /// After the signal of this seq; 0: with the oldest that is kept.
    After(u64),
    /// With what was received at this time (RFC 3339) or later.
    Since(String),
}

/// How far a listener has come in the log of one server.
#[derive(Debug)]
pub(super) struct Cursor {
    /// The log it is in; not known before the first connection.
    epoch: Option<String>,
    /// Where the next connection starts. Once a signal was printed, after that one.
    start: Start,
    /// Where the user wanted to begin.
    asked: Start,
    /// When it was let in, by the server's clock.
    let_in_at: Option<String>,
    newest: Option<Newest>,
}

/// The newest signals that were printed: where to go on in a log that numbers them otherwise.
#[derive(Debug)]
struct Newest {
    received_at: String,
    /// Of all that were received at this very time.
    ids: HashSet<String>,
}

impl Cursor {
    /// Where the user wants to begin.
    pub(super) fn new(start: Start) -> Self {
        Self {
            epoch: None,
            asked: start.clone(),
            start,
            let_in_at: None,
            newest: None,
        }
    }

    pub(super) fn start(&self) -> &Start {
        &self.start
    }

    /// The log it is in, if it is in one.
    pub(super) fn epoch(&self) -> Option<&str> {
        self.epoch.as_deref()
    }

    /// What a new connection says of the log; it may say it twice.
    ///
    /// # Errors
    /// It is another log than before: this connection began with a seq of the old one, and the
    /// next will begin with the new one.
    pub(super) fn established(&mut self, said: &Established) -> Result<(), Lost> {
        let known = self.epoch.replace(said.epoch.clone());
        if known.is_some_and(|known| known != said.epoch) {
            return Err(self.began_anew());
        }
        if self.let_in_at.is_none() {
            self.let_in_at.clone_from(&said.timestamp);
        }
        // Whoever asked for a time to come gets what comes in from now on, not only from then on.
        let is_live = match &self.start {
            Start::Live => true,
            Start::After(_) => false,
            // Nor is a signal's own time to come, whatever the server's clock says.
            Start::Since(time) => {
                self.newest.is_none() && is_later(time, said.timestamp.as_deref())
            }
        };
        if is_live {
            self.start = Start::After(said.last_seq);
        }
        Ok(())
    }

    /// The server speaks no `signalcast.v2`, so there is no seq to remember.
    pub(super) fn unknown(&mut self) {
        self.start = Start::Live;
    }

    /// Whether a signal of this seq may come now. Seqs grow, so another one was sent before.
    pub(super) fn is_next(&self, seq: u64) -> bool {
        !matches!(self.start, Start::After(last) if seq <= last)
    }

    /// All up to this seq was printed, or is none of ours.
    pub(super) fn reached(&mut self, seq: u64) {
        if self.is_next(seq) {
            self.start = Start::After(seq);
        }
    }

    /// Whether this very signal was printed before, when the log had another epoch. Within one its
    /// seq tells.
    pub(super) fn was_printed(&self, seen: &Seen) -> bool {
        let (Some(newest), Some(at), Some(id)) = (&self.newest, &seen.received_at, &seen.id) else {
            return false;
        };
        newest.received_at == *at && newest.ids.contains(id)
    }

    /// This signal was printed, and so was all before it.
    pub(super) fn printed(&mut self, seen: Seen) {
        let Some(seq) = seen.seq else {
            return;
        };
        self.reached(seq);
        if let (Some(received_at), Some(id)) = (seen.received_at, seen.id) {
            match &mut self.newest {
                Some(newest) if newest.received_at == received_at => {
                    newest.ids.insert(id);
                }
                newest => {
                    *newest = Some(Newest {
                        received_at,
                        ids: HashSet::from([id]),
                    });
                }
            }
        }
    }

    /// The server does not have what comes next. Where to go on, if that is for us to say.
    pub(super) fn gone(&mut self, gone: Gone) -> Lost {
        let Some((first, last)) = gone.kept else {
            return Lost::ForGood(ListenError::Refused(gone.words));
        };
        if self.is_another_log(gone.epoch.as_deref(), last) {
            self.epoch = gone.epoch;
            return self.began_anew();
        }
        if self.epoch.is_none() && self.start != Start::After(0) {
            let remedy = remedy(&self.start, first, last);
            return Lost::ForGood(ListenError::Refused(format!("{}; {remedy}", gone.words)));
        }
        let before = first.saturating_sub(1);
        let why = match self.start {
            Start::After(0) => format!("the oldest signal that is kept is {first}"),
            Start::After(after) => format!(
                "{} signals, from {} to {before}, are not kept any more and lost for good; going \
                 on from {first}",
                before.saturating_sub(after),
                after + 1,
            ),
            Start::Since(_) | Start::Live => {
                format!("not all that was asked for is kept any more; going on from {first}")
            }
        };
        self.start = Start::After(before);
        Lost::Moved(why)
    }

    /// Whether a log of this epoch, or with this last seq, is not the one it was in.
    fn is_another_log(&self, epoch: Option<&str>, last: u64) -> bool {
        let Some(known) = &self.epoch else {
            return false;
        };
        let is_ahead = matches!(self.start, Start::After(after) if after > last);
        is_ahead || epoch.is_some_and(|epoch| epoch != known)
    }

    /// Seqs mean something else now, and times of receipt do not.
    fn began_anew(&mut self) -> Lost {
        self.start = self.in_another_log();
        let on = match &self.start {
            Start::After(_) => "from its beginning".to_owned(),
            Start::Since(time) => format!("with what was received at {time} or later"),
            Start::Live => "with what comes in from now on".to_owned(),
        };
        let epoch = self.epoch.as_deref().unwrap_or("unknown");
        Lost::Moved(format!(
            "the log began anew, as epoch {epoch}: signals may have been lost; going on {on}"
        ))
    }

    /// Where to go on in another log: with the newest that was printed. If none was, with what the
    /// user asked for, and whoever asked for what comes in did so when it was let in.
    fn in_another_log(&self) -> Start {
        if let Some(newest) = &self.newest {
            return Start::Since(newest.received_at.clone());
        }
        let let_in_at = self.let_in_at.as_deref();
        match &self.asked {
            Start::Since(time) if !is_later(time, let_in_at) => self.asked.clone(),
            Start::After(0) => self.asked.clone(),
            _ => let_in_at.map_or(Start::Live, |time| Start::Since(time.to_owned())),
        }
    }
}

/// What to ask for instead.
fn remedy(asked: &Start, first: u64, last: u64) -> String {
    match *asked {
        Start::After(after) if after > last => {
            format!("the newest is {last}; --after-seq 0 begins with the oldest, {first}")
        }
        Start::After(_) => format!("the oldest is {first}; --after-seq 0 begins with it"),
        Start::Since(_) | Start::Live => {
            format!("--after-seq 0 begins with the oldest, {first}")
        }
    }
}

/// Whether the first of these times is after the second. What is no time is not.
fn is_later(one: &str, other: Option<&str>) -> bool {
    let time = |text: &str| text.parse::<ReceivedAt>().ok();
    matches!((time(one), other.and_then(time)), (Some(one), Some(other)) if one > other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(epoch: &str, last_seq: u64) -> Established {
        Established {
            epoch: epoch.to_owned(),
            last_seq,
            timestamp: Some("2026-11-20T10:00:00.5Z".to_owned()),
        }
    }

    fn gone(epoch: &str, first: u64, last: u64) -> Gone {
        Gone {
            epoch: Some(epoch.to_owned()),
            kept: Some((first, last)),
            words: "gone".to_owned(),
        }
    }

    fn in_log(start: Start) -> Cursor {
        let mut cursor = Cursor::new(start);
        cursor.established(&said("a", 100)).unwrap();
        cursor
    }

    fn why(lost: Lost) -> String {
        match lost {
            Lost::Moved(why) => why,
            other => panic!("{other:?} says nothing of where to go on"),
        }
    }

    #[test]
    fn what_was_asked_for_decides_where_the_first_reconnect_starts() {
        let since = |time: &str| Start::Since(time.to_owned());
        for (start, next) in [
            (Start::Live, Start::After(100)),
            (Start::After(0), Start::After(0)),
            (Start::After(60), Start::After(60)),
            // It is not known yet which seq that was.
            (
                since("2026-11-20T11:00:00+01:00"),
                since("2026-11-20T11:00:00+01:00"),
            ),
            (since("2026-11-20T10:00:01Z"), Start::After(100)),
        ] {
            assert_eq!(in_log(start.clone()).start(), &next, "{start:?}");
        }
    }

    #[test]
    fn it_only_ever_goes_forward() {
        let mut cursor = in_log(Start::Live);
        for (seq, is_next) in [
            (101, true),
            (105, true),
            (105, false),
            (104, false),
            (1, false),
        ] {
            assert_eq!(cursor.is_next(seq), is_next, "{seq}");
            cursor.reached(seq);
        }
        assert_eq!(cursor.start(), &Start::After(105));
        let mut since = in_log(Start::Since("2020-01-01T00:00:00Z".to_owned()));
        assert!(since.is_next(7));
        since.reached(7);
        assert_eq!(since.start(), &Start::After(7));
    }

    fn seen(seq: u64, id: &str, second: u64) -> Seen {
        Seen {
            seq: Some(seq),
            id: Some(id.to_owned()),
            received_at: Some(format!("2026-11-20T10:00:{second:02}.000000Z")),
        }
    }

    #[test]
    fn in_a_log_that_began_anew_it_goes_on_with_the_newest_that_was_printed() {
        let mut cursor = in_log(Start::Live);
        for (seq, id, second) in [(101, "a", 1), (102, "b", 2), (103, "c", 2)] {
            cursor.printed(seen(seq, id, second));
        }
        let newest = Start::Since("2026-11-20T10:00:02.000000Z".to_owned());
        assert_eq!(
            why(cursor.established(&said("b", 500)).unwrap_err()),
            "the log began anew, as epoch b: signals may have been lost; going on with what was \
             received at 2026-11-20T10:00:02.000000Z or later"
        );
        assert_eq!(cursor.start(), &newest);
        cursor.established(&said("b", 500)).unwrap();
        assert_eq!(cursor.start(), &newest);
        for (seq, id, second, was_printed) in [
            (12, "b", 2, true),
            (13, "d", 2, false),
            (14, "c", 2, true),
            (15, "a", 3, false),
            (16, "b", 3, false),
        ] {
            let seen = seen(seq, id, second);
            assert!(cursor.is_next(seq), "{seq}");
            assert_eq!(cursor.was_printed(&seen), was_printed, "{seq}");
            cursor.printed(seen);
        }
        assert_eq!(cursor.start(), &Start::After(16));

        // Shorter than where we were, or not: the server may refuse the seq in both.
        for elsewhere in [gone("b", 1, 3), gone("b", 200, 300)] {
            let mut cursor = in_log(Start::Live);
            cursor.printed(seen(101, "b", 2));
            assert!(why(cursor.gone(elsewhere)).contains("began anew, as epoch b"));
            assert_eq!(cursor.start(), &newest);
            // Not kept that long there.
            assert!(why(cursor.gone(gone("b", 200, 300))).contains("going on from 200"));
            assert_eq!(cursor.start(), &Start::After(199));
        }
    }

    #[test]
    fn before_anything_was_printed_it_goes_on_in_another_log_with_what_was_asked_for() {
        let since = |time: &str| Start::Since(time.to_owned());
        let let_in_at = since("2026-11-20T10:00:00.5Z");
        for (asked, next) in [
            (Start::Live, let_in_at.clone()),
            (Start::After(0), Start::After(0)),
            // Whatever has that seq now.
            (Start::After(60), let_in_at.clone()),
            (since("2026-11-20T09:00:00Z"), since("2026-11-20T09:00:00Z")),
            (since("2026-11-20T11:00:00Z"), let_in_at),
        ] {
            let mut cursor = in_log(asked.clone());
            cursor.reached(110);
            cursor.established(&said("b", 500)).unwrap_err();
            assert_eq!(cursor.start(), &next, "{asked:?}");
        }
        // The server did not say when that was.
        let mut cursor = Cursor::new(Start::Live);
        let untold = |epoch| Established {
            timestamp: None,
            ..said(epoch, 100)
        };
        cursor.established(&untold("a")).unwrap();
        cursor.established(&untold("b")).unwrap_err();
        assert_eq!(cursor.start(), &Start::Live);
    }

    #[test]
    fn what_is_lost_for_good_is_counted() {
        let mut cursor = in_log(Start::Live);
        assert_eq!(
            why(cursor.gone(gone("a", 121, 300))),
            "20 signals, from 101 to 120, are not kept any more and lost for good; going on from 121"
        );
        assert_eq!(cursor.start(), &Start::After(120));
    }

    #[test]
    fn everything_kept_is_whatever_there_is() {
        let mut cursor = Cursor::new(Start::After(0));
        why(cursor.gone(gone("a", 121, 300)));
        assert_eq!(cursor.start(), &Start::After(120));
    }

    #[test]
    fn who_asked_for_a_place_that_is_gone_is_told_what_to_ask_for() {
        for (start, gone, expected) in [
            (
                Start::After(5),
                gone("a", 121, 300),
                "gone; the oldest is 121; --after-seq 0 begins with it",
            ),
            (
                Start::After(400),
                gone("a", 121, 300),
                "gone; the newest is 300; --after-seq 0 begins with the oldest, 121",
            ),
            (
                Start::Since("2020-01-01T00:00:00Z".to_owned()),
                gone("a", 121, 300),
                "gone; --after-seq 0 begins with the oldest, 121",
            ),
            (
                Start::After(5),
                Gone {
                    kept: None,
                    ..gone("a", 1, 1)
                },
                "gone",
            ),
        ] {
            let Lost::ForGood(error) = Cursor::new(start).gone(gone) else {
                panic!("{expected}");
            };
            assert_eq!(error.to_string(), format!("refused: {expected}"));
        }
    }
}
