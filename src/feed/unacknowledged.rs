use std::collections::{HashMap, VecDeque};

use hyper::body::Bytes;

use super::answer::Repeated;
use super::line::Line;

/// Lines that the server may not have, in order.
#[derive(Debug)]
pub(super) struct Unacknowledged {
    lines: VecDeque<Line>,
    /// Most lines that are sent at once: half as many when they were lost, twice as many when not.
    most: usize,
    /// How far that may grow: half as far when they were too many, one more when not.
    ceiling: usize,
    /// How many of the oldest were sent, and may be in the log.
    sent: usize,
}

/// Lines that are kept at most, apart from one read; then nothing more is read.
const CAPACITY: usize = 20_000;

/// Lines that are sent at once at most: a server takes 10,000, and a signal must not wait long for
/// those that came with it.
const MOST_LINES: usize = 1000;

/// Bytes that are sent at once, about.
const MOST_BYTES: usize = 1024 * 1024;

impl Default for Unacknowledged {
    fn default() -> Self {
        Self {
            lines: VecDeque::new(),
            most: MOST_LINES,
            ceiling: MOST_LINES,
            sent: 0,
        }
    }
}

impl Unacknowledged {
    pub(super) fn has_room(&self) -> bool {
        self.lines.len() < CAPACITY
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(super) fn push(&mut self, lines: Vec<Line>) {
        self.lines.extend(lines);
    }

    /// The oldest ones, as many as are sent at once: how many, and their text.
    pub(super) fn batch(&self) -> (usize, Bytes) {
        let mut text = Vec::new();
        let mut count = 0;
        for line in self.lines.iter().take(self.most) {
            if count > 0 && text.len() + line.text.len() > MOST_BYTES {
                break;
            }
            text.extend_from_slice(&line.text);
            count += 1;
        }
        (count, text.into())
    }

    /// The oldest ones were sent, so many, and nobody knows what became of them.
    pub(super) fn may_be_there(&mut self, count: usize) {
        self.sent = self.sent.max(count);
    }

    /// The same, and they were lost on their way, perhaps because they were many.
    pub(super) fn lost(&mut self, count: usize) {
        self.may_be_there(count);
        self.most = (count / 2).max(1);
    }

    /// The server has the oldest ones, so many. Of those that it had before, returns the ones that
    /// it did not have from us, with where they stood in standard input.
    pub(super) fn acknowledged(
        &mut self,
        count: usize,
        mut repeated: Vec<Repeated>,
    ) -> Vec<(u64, Repeated)> {
        repeated.retain(|line| line.place > self.sent);
        let number = |line: &Repeated| self.lines[line.place - 1].number;
        let repeated = repeated.into_iter().map(|line| (number(&line), line));
        let repeated = repeated.collect();
        self.lines.drain(..count);
        self.sent = self.sent.saturating_sub(count);
        self.ceiling = MOST_LINES.min(self.ceiling + 1);
        self.most = self.ceiling.min(self.most * 2);
        repeated
    }

    /// The server won't have those of the oldest at these places, counted from 1, for these reasons;
    /// returns where they stood in standard input, each with its reason.
    pub(super) fn refused(&mut self, mut reasons: HashMap<usize, String>) -> Vec<(u64, String)> {
        let mut refused = Vec::new();
        let (mut place, sent) = (0, self.sent);
        self.lines.retain(|line| {
            place += 1;
            let why = reasons.remove(&place);
            let is_refused = why.is_some();
            if is_refused && place <= sent {
                self.sent -= 1;
            }
            refused.extend(why.map(|why| (line.number, why)));
            !is_refused
        });
        refused
    }

    /// So many at once were too much for the server or the way to it; false if it was a single line.
    pub(super) fn send_fewer(&mut self, count: usize) -> bool {
        self.ceiling = (count / 2).max(1);
        self.most = self.ceiling;
        count > 1
    }

    pub(super) fn into_lines(self) -> Vec<Line> {
        self.lines.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(count: u64, bytes: usize) -> Unacknowledged {
        let mut lines = Unacknowledged::default();
        lines.push(
            (1..=count)
                .map(|number| Line {
                    number,
                    text: vec![b'x'; bytes],
                })
                .collect(),
        );
        lines
    }

    #[test]
    fn a_batch_is_bounded_in_lines_and_in_bytes() {
        for (count, bytes, expected) in [
            (0, 1, 0),
            (10, 100, 10),
            (5000, 100, 1000),
            (5000, 65_000, 16),
            (2, 2 * MOST_BYTES, 1),
        ] {
            let (lines, text) = of(count, bytes).batch();
            assert_eq!(lines, expected, "{count} of {bytes}");
            assert_eq!(text.len(), expected * bytes);
        }
    }

    #[test]
    fn what_is_refused_is_sent_no_more_and_the_rest_is() {
        let mut lines = of(5, 1);
        lines.acknowledged(1, Vec::new());
        let reasons = HashMap::from([(3, "b".to_owned()), (1, "a".to_owned())]);
        let refused = [(2, "a".to_owned()), (4, "b".to_owned())];
        assert_eq!(lines.refused(reasons), refused);
        let left: Vec<u64> = lines.into_lines().iter().map(|line| line.number).collect();
        assert_eq!(left, [3, 5]);
    }

    #[test]
    fn what_was_there_before_is_news_only_if_it_was_not_sent_before() {
        let repeated = |place| Repeated {
            place,
            id: "a".to_owned(),
            seq: 7,
        };
        let mut lines = of(5, 1);
        lines.may_be_there(3);
        lines.refused(HashMap::from([(1, "no".to_owned())]));
        let news = lines.acknowledged(3, vec![repeated(1), repeated(2), repeated(3)]);
        assert_eq!(news, [(4, repeated(3))]);
        assert_eq!(lines.acknowledged(1, vec![repeated(1)]), [(5, repeated(1))]);
    }

    #[test]
    fn a_server_that_takes_less_gets_less_down_to_a_line() {
        let mut lines = of(5, 1);
        assert!(lines.send_fewer(5));
        assert_eq!(lines.batch().0, 2);
        assert!(lines.send_fewer(2));
        assert_eq!(lines.batch().0, 1);
        assert!(!lines.send_fewer(1));
        lines.acknowledged(1, Vec::new());
        assert_eq!(lines.batch().0, 2, "and more again, carefully");
    }

    #[test]
    fn what_is_lost_is_tried_in_halves_until_it_gets_there() {
        let mut lines = of(5000, 1);
        lines.lost(1000);
        lines.lost(500);
        let mut sizes = Vec::new();
        for _ in 0..4 {
            let (count, _) = lines.batch();
            lines.acknowledged(count, Vec::new());
            sizes.push(count);
        }
        assert_eq!(sizes, [250, 500, 1000, 1000]);
    }
}
