use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::{Rc, Weak};

use slab::Slab;
use tokio::task::yield_now;
use uuid::Uuid;

use super::client::Client;
use super::group::Group;
use crate::hub::View;
use crate::signal::{ReceivedAt, Seq};

/// Everybody who is served by one shard, for whoever asks who is there.
#[derive(Debug, Default)]
pub struct Roster(RefCell<Slab<Rc<Card>>>);

/// What is known of one client besides what passes need.
#[derive(Debug)]
pub struct Card {
    id: Uuid,
    subject: Box<str>,
    address: IpAddr,
    client: Rc<Client>,
    /// Not to be counted among those who are in it.
    group: RefCell<Weak<Group>>,
    is_sent_away: Cell<bool>,
    index: usize,
}

/// A client as it was when somebody asked.
#[derive(Clone, Debug)]
pub struct Listed {
    /// What it is called in its first frame.
    pub id: Uuid,
    /// Whose token let it in.
    pub subject: Box<str>,
    /// Where it is.
    pub address: IpAddr,
    /// Since when it is served.
    pub since: ReceivedAt,
    /// What it gets.
    pub view: View,
    /// The first signal that it was not sent yet.
    pub cursor: Seq,
    /// How many signals that is behind.
    pub lag: u64,
    /// What its socket took so far.
    pub sent_bytes: u64,
}

/// Clients described before others get their turn.
const TURN: usize = 256;

impl Roster {
    /// Somebody is served from now on.
    pub fn enter(
        &self,
        subject: &str,
        address: IpAddr,
        client: &Rc<Client>,
        group: &Rc<Group>,
    ) -> Rc<Card> {
        let mut cards = self.0.borrow_mut();
        let place = cards.vacant_entry();
        let card = Rc::new(Card {
            id: Uuid::now_v7(),
            subject: subject.into(),
            address,
            client: Rc::clone(client),
            group: RefCell::new(Rc::downgrade(group)),
            is_sent_away: Cell::new(false),
            index: place.key(),
        });
        place.insert(Rc::clone(&card));
        card
    }

    /// It is served no more.
    pub fn leave(&self, card: &Card) {
        self.0.borrow_mut().try_remove(card.index);
    }

    /// All who are there, as they stand in a log whose next signal is `head`. Others get their turn
    /// in between, so some may come and go meanwhile.
    pub async fn list(&self, head: impl Fn() -> Seq) -> Vec<Listed> {
        let mut listed = Vec::with_capacity(self.0.borrow().len());
        let mut index = 0;
        loop {
            let end = self.0.borrow().capacity();
            for index in index..end.min(index + TURN) {
                let card = self.0.borrow().get(index).map(Rc::clone);
                listed.extend(card.and_then(|card| card.describe(head())));
            }
            index += TURN;
            if index >= end {
                return listed;
            }
            yield_now().await;
        }
    }

    /// Lets the client of this id go, if it is here. O(clients).
    pub fn send_away(&self, id: Uuid) -> bool {
        let cards = self.0.borrow();
        let card = cards.iter().find(|(_, card)| card.id == id);
        if let Some((_, card)) = card {
            card.is_sent_away.set(true);
            card.client.wake();
        }
        card.is_some()
    }
}

impl Card {
    /// What the client is called.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Whether it is to go, whatever it still lacks.
    pub fn is_sent_away(&self) -> bool {
        self.is_sent_away.get()
    }

    /// It is in another group now.
    pub fn moves_to(&self, group: &Rc<Group>) {
        self.group.replace(Rc::downgrade(group));
    }

    /// `None` if it is just going.
    fn describe(&self, head: Seq) -> Option<Listed> {
        let group = self.group.borrow().upgrade()?;
        let cursor = self.client.cursor();
        Some(Listed {
            id: self.id,
            subject: self.subject.clone(),
            address: self.address,
            since: made_at(self.id),
            view: group.view().clone(),
            cursor,
            lag: head.get().saturating_sub(cursor.get()),
            sent_bytes: self.client.sent_bytes(),
        })
    }
}

/// An id holds the time at which it was made, to the millisecond.
fn made_at(id: Uuid) -> ReceivedAt {
    let (seconds, nanos) = id.get_timestamp().map_or((0, 0), |time| time.to_unix());
    let micros = seconds.saturating_mul(1_000_000) + u64::from(nanos / 1000);
    ReceivedAt::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}
