use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Counts the clients, all together and per address, and keeps both within their limits.
#[derive(Debug)]
pub(super) struct Clients {
    most: usize,
    most_per_address: Option<NonZeroU32>,
    per_address: Mutex<HashMap<IpAddr, u32>>,
    count: watch::Sender<usize>,
}

/// One client's place. Dropping it makes room.
#[derive(Debug)]
pub(super) struct Entrance {
    clients: Arc<Clients>,
    address: IpAddr,
}

impl Clients {
    pub(super) fn new(most: usize, most_per_address: Option<NonZeroU32>) -> Self {
        let (per_address, count) = (Mutex::default(), watch::Sender::new(0));
        Self {
            most,
            most_per_address,
            per_address,
            count,
        }
    }

    /// A place for one more client from this address, if there is one.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Entrance> {
        let address = subscriber(address);
        let mut per_address = self.per_address();
        let here = per_address.get(&address).copied().unwrap_or_default();
        if self.most_per_address.is_some_and(|most| here >= most.get()) {
            return None;
        }
        let entered = self.count.send_if_modified(|count| {
            let room = *count < self.most;
            *count += usize::from(room);
            room
        });
        if !entered {
            return None;
        }
        per_address.insert(address, here + 1);
        Some(Entrance {
            clients: Arc::clone(self),
            address,
        })
    }

    /// Whether there is a place for one more client from this address.
    pub(super) fn has_room(&self, address: IpAddr) -> bool {
        let here = self.per_address().get(&subscriber(address)).copied();
        let most = self.most_per_address.map_or(u32::MAX, NonZeroU32::get);
        here.unwrap_or_default() < most && *self.count.borrow() < self.most
    }

    /// How many there are, as it changes.
    pub(super) fn count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    fn per_address(&self) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        self.per_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entrance {
    fn drop(&mut self) {
        if let Entry::Occupied(mut here) = self.clients.per_address().entry(self.address) {
            *here.get_mut() -= 1;
            if *here.get() == 0 {
                here.remove();
            }
        }
        self.clients.count.send_modify(|count| *count -= 1);
    }
}

/// What counts as one address: an IPv4 address, or the /64 that an IPv6 subscriber is given.
pub(super) fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_and_a_place_is_free_again_after_leaving() {
        let clients = Arc::new(Clients::new(3, NonZeroU32::new(2)));
        let [one, two]: [IpAddr; 2] = ["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()];
        let first = clients.enter(one).unwrap();
        let _second = clients.enter(one).unwrap();
        assert!(clients.enter(one).is_none(), "two from one address");
        assert!(clients.has_room(two) && !clients.has_room(one));
        let _third = clients.enter(two).unwrap();
        assert!(clients.enter(two).is_none(), "three in all");
        assert!(!clients.has_room(two));
        assert_eq!(*clients.count().borrow(), 3);
        drop(first);
        assert_eq!(*clients.count().borrow(), 2);
        assert!(clients.enter(one).is_some());
    }

    #[test]
    fn an_ipv6_subscriber_is_one_address() {
        let clients = Arc::new(Clients::new(9, NonZeroU32::new(1)));
        let _first = clients.enter("2001:db8::1".parse().unwrap()).unwrap();
        assert!(clients.enter("2001:db8::2".parse().unwrap()).is_none());
        assert!(clients.enter("2001:db8:0:1::1".parse().unwrap()).is_some());
    }
}
