use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use slab::Slab;

use super::client::{Client, Listing};
use crate::hub::View;

/// The clients of one shard that see the same signals in the same form, so that filtering
/// happens once for all of them.
#[derive(Debug)]
pub struct Group {
    view: View,
    /// Those that have everything up to the shard's head.
    caught_up: RefCell<Slab<Rc<Client>>>,
    /// Where the next pass begins, so that nobody is always last.
    start: Cell<usize>,
}

impl Group {
    /// What its clients see.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// From now on passes write to this client. It must stand at the shard's head.
    pub fn join(&self, client: &Rc<Client>) {
        if client.listing.get() == Listing::Nowhere {
            let index = self.caught_up.borrow_mut().insert(Rc::clone(client));
            client.listing.set(Listing::CaughtUp(index));
        }
    }

    /// Passes leave this client alone from now on.
    pub fn leave(&self, client: &Client) {
        if let Listing::CaughtUp(index) = client.listing.get() {
            client.listing.set(Listing::Nowhere);
            self.caught_up.borrow_mut().remove(index);
        }
    }

    /// Passes leave everybody alone until they join again.
    pub(super) fn disband(&self) {
        for client in self.caught_up.borrow_mut().drain() {
            client.listing.set(Listing::Nowhere);
        }
    }

    /// The caught-up client at an index, if there is one.
    pub(super) fn at(&self, index: usize) -> Option<Rc<Client>> {
        self.caught_up.borrow().get(index).map(Rc::clone)
    }

    /// The indices to look at in one pass, each once. Clients may come and go meanwhile.
    pub(super) fn indices(&self) -> impl Iterator<Item = usize> + use<> {
        let end = self
            .caught_up
            .borrow()
            .iter()
            .next_back()
            .map_or(0, |(index, _)| index + 1);
        let start = if end == 0 { 0 } else { self.start.get() % end };
        self.start.set(start + 1);
        (start..end).chain(0..start)
    }
}

/// The groups of one shard.
#[derive(Debug, Default)]
pub struct Groups(RefCell<HashMap<View, Rc<Group>>>);

impl Groups {
    /// The group of clients that see this, made when the first of them comes.
    pub fn of(&self, view: &View) -> Rc<Group> {
        let mut groups = self.0.borrow_mut();
        let group = groups.entry(view.clone()).or_insert_with(|| {
            Rc::new(Group {
                view: view.clone(),
                caught_up: RefCell::default(),
                start: Cell::new(0),
            })
        });
        Rc::clone(group)
    }

    /// Forgets a group whose last client is going. The caller holds the group for that client.
    pub fn release(&self, group: &Rc<Group>) {
        const MAP_AND_CALLER: usize = 2;
        if Rc::strong_count(group) <= MAP_AND_CALLER {
            self.0.borrow_mut().remove(&group.view);
        }
    }

    pub(super) fn all(&self) -> Vec<Rc<Group>> {
        self.0.borrow().values().map(Rc::clone).collect()
    }
}
