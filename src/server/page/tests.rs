use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use warp::http::HeaderValue;

use super::*;
use crate::history::History;
use crate::journal::{
    Archive, Batch, Entry, Epoch, Journal, JournalError, Memory, Oldest, Reader, Recorded,
};
use crate::server::query::OF_PAGES;
use crate::signal::{Protocol, ReceivedAt, Signal, SymbolFilter, TimeUnit};

#[test]
fn lines_are_for_those_who_accept_them() {
    for (accept, format) in [
        ("application/x-ndjson", Format::Ndjson),
        ("text/plain, Application/X-NDJSON;q=0.5", Format::Ndjson),
        ("application/x-ndjson;q=0", Format::Json),
        ("application/x-ndjson; q=0.0", Format::Json),
        ("application/json", Format::Json),
        ("*/*", Format::Json),
        ("", Format::Json),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        assert_eq!(Format::wanted(&headers), format, "{accept}");
    }
    assert_eq!(Format::wanted(&HeaderMap::new()), Format::Json);
}

/// A log of 1,000 signals, each received in the microsecond of its seq, and what happens to it before each of its reads.
struct Kept {
    log: Vec<Recorded>,
    oldest: Oldest,
    then: VecDeque<Event>,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Nothing,
    /// What is before this place is let go of.
    Retention(u64),
    /// The disk fails.
    Fault,
}

impl Reader for Kept {
    fn read(&mut self, from: Seq, most: usize) -> Result<Vec<Recorded>, ReadError> {
        match self.then.pop_front().unwrap_or(Event::Nothing) {
            Event::Nothing => {}
            Event::Retention(oldest) => self.oldest.move_to(seq(oldest)),
            Event::Fault => return Err(fault()),
        }
        let oldest = self.oldest.get();
        if from < oldest {
            return Err(ReadError::Gone { oldest });
        }
        let kept = self.log.iter().filter(|recorded| recorded.seq() >= from);
        Ok(kept.take(most).cloned().collect())
    }

    fn received_since(&mut self, at: ReceivedAt) -> Result<Option<Seq>, ReadError> {
        if let Some(Event::Fault) = self.then.pop_front() {
            return Err(fault());
        }
        let since = |recorded: &&Recorded| recorded.received_at() >= at;
        Ok(self.log.iter().find(since).map(Recorded::seq))
    }
}

fn fault() -> ReadError {
    JournalError::from(io::Error::other("the disk is gone")).into()
}

fn seq(place: u64) -> Seq {
    Seq::new(place).unwrap()
}

/// The log as it stood at a request after which it grew to 1,000 signals, and what happens then.
fn past(last_seq: u64, then: &[Event]) -> Past {
    let signal = |symbol: &str| {
        let line = format!("buy {symbol} 1 7");
        let signal = Signal::parse_line(line.as_bytes(), TimeUnit::Seconds, clock::now());
        signal.unwrap().unwrap()
    };
    let (odd, even) = (signal("ODD"), signal("EVEN"));
    let entry = |micros| Entry {
        signal: if micros % 2 == 1 { &odd } else { &even }.clone(),
        source: "x".into(),
        received_at: ReceivedAt::from_micros(micros),
    };
    let mut batch = Batch {
        entries: (1..=1000).map(entry).collect(),
        ..Batch::default()
    };
    let oldest = Oldest::at(Seq::FIRST);
    let kept = Kept {
        log: Memory::new().append(&mut batch).unwrap().recorded,
        oldest: oldest.clone(),
        then: then.iter().copied().collect(),
    };
    Past {
        epoch: Epoch::begin(),
        next: seq(last_seq + 1),
        history: History::of(Some(Archive {
            readers: vec![Box::new(kept)],
            oldest,
        })),
        tail_first: seq(last_seq + 1),
        recent: Arc::default(),
    }
}

/// The first and the last seq of the page, and where the next one begins.
async fn page(past: &Past, query: &str) -> Result<(u64, u64, u64), Refusal> {
    page_of(past, query, SymbolFilter::All, 1).await
}

/// The same for somebody whose token allows only these symbols, which come every `step` signals.
async fn page_of(
    past: &Past,
    query: &str,
    allowed: SymbolFilter,
    step: u64,
) -> Result<(u64, u64, u64), Refusal> {
    let asked = Query::parse(query, OF_PAGES).unwrap();
    let view = View {
        protocol: Protocol::V2,
        ..View::of(&allowed)
    };
    let page = Page::of(past, &asked, &view, Format::Ndjson).await?;
    let seqs: Vec<u64> = page
        .text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"].as_u64())
        .map(Option::unwrap)
        .collect();
    assert!(seqs.is_sorted_by(|one, next| one + step == *next));
    let ends = seqs.first().zip(seqs.last());
    Ok(ends.map_or((0, 0, page.next.get()), |(first, last)| {
        (*first, *last, page.next.get())
    }))
}

#[tokio::test]
async fn nothing_is_on_a_page_that_came_after_the_request() {
    assert_eq!(
        page(&past(700, &[]), "limit=10000").await,
        Ok((1, 700, 701))
    );
    assert_eq!(
        page(&past(512, &[]), "limit=10000").await,
        Ok((1, 512, 513))
    );
    assert_eq!(page(&past(0, &[]), "").await, Ok((0, 0, 1)));
    // Also if the newest before it does not pass.
    let odd = SymbolFilter::matching(["ODD"]).unwrap();
    let odd = page_of(&past(700, &[]), "limit=10000", odd, 2).await;
    assert_eq!(odd, Ok((1, 699, 701)));
}

#[tokio::test]
async fn who_begins_with_a_time_to_come_begins_live_whatever_has_come_since() {
    let past = past(700, &[]);
    for (micros, first) in [(0, 1), (500, 500), (900, 701), (5000, 701)] {
        let at = Start::Since(ReceivedAt::from_micros(micros));
        assert_eq!(past.first(at, None).await, Ok(seq(first)), "{micros}");
    }
    assert_eq!(past.first(Start::Live, None).await, Ok(seq(701)));
}

#[tokio::test]
async fn retention_during_a_page_leaves_no_gap_in_it() {
    use Event::{Nothing, Retention};
    let full = "limit=10000";
    // Before its first signal was read: it begins with the oldest, unless it was to begin earlier.
    let begun = [Retention(600)];
    assert_eq!(page(&past(1000, &begun), full).await, Ok((600, 1000, 1001)));
    let refused = page(&past(1000, &begun), "after_seq=0").await;
    let Err(Refusal::HistoryGone(gone)) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((gone.held.first_seq, gone.held.last_seq), (600, 1000));
    // All there was at the request.
    assert_eq!(
        page(&past(700, &[Retention(900)]), full).await,
        Ok((0, 0, 701))
    );
    // In the middle of it.
    let later = past(1000, &[Nothing, Retention(600)]);
    assert_eq!(page(&later, full).await, Ok((1, 512, 513)));
}

#[tokio::test]
async fn while_the_log_cannot_be_read_whoever_asks_is_to_come_back() {
    let refused = page(&past(1000, &[Event::Fault]), "").await;
    assert_eq!(refused, Err(Refusal::Unreadable));
    let since = Start::Since(ReceivedAt::MIN);
    let refused = past(1000, &[Event::Fault]).first(since, None).await;
    assert_eq!(refused, Err(Refusal::Unreadable));
}
