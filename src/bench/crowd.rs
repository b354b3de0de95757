use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use super::client::{Buffers, Client};
use super::ended::Ended;
use super::judge::Judge;
use super::mark::Marks;
use super::moment::Moment;
use super::tally::{Rule, Tally};
use super::target::Target;
use super::wanted::Wanted;

/// All the clients, on the thread that calls.
pub(super) struct Crowd {
    target: Target,
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    /// None: its connection has ended.
    clients: Vec<Option<Client>>,
    buffers: Buffers,
    pub(super) judge: Judge,
    pub(super) open: usize,
    pub(super) failed: usize,
    pub(super) closed: usize,
    /// Why connections came to nothing or to their end, and how many.
    pub(super) reasons: BTreeMap<String, u64>,
    is_leaving: bool,
}

/// Events that are taken at once.
const EVENTS: usize = 1024;

/// How long to wait for the answers to a goodbye.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

impl Crowd {
    pub(super) fn new(target: Target, marks: Marks) -> io::Result<Self> {
        Ok(Self {
            target,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(EVENTS),
            clients: Vec::new(),
            buffers: Buffers::default(),
            judge: Judge::new(marks),
            open: 0,
            failed: 0,
            closed: 0,
            reasons: BTreeMap::new(),
            is_leaving: false,
        })
    }

    /// Begins one more connection.
    pub(super) fn connect(&mut self) -> io::Result<()> {
        let number = self.clients.len();
        let socket = match self.target.connect(number) {
            Ok(socket) => socket,
            Err(error) => {
                self.clients.push(None);
                self.failed += 1;
                self.note(&error.into());
                return Ok(());
            }
        };
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT;
        epoll::add(&self.epoll, &socket, data(number), flags)?;
        let wanted = self.target.wanted(number);
        self.clients.push(Some(Client::new(socket, wanted)));
        Ok(())
    }

    /// Connections that were begun.
    pub(super) fn attempts(&self) -> usize {
        self.clients.len()
    }

    /// Connections that are neither open nor failed yet.
    pub(super) fn pending(&self) -> usize {
        self.clients.len() - self.open - self.failed - self.closed
    }

    /// Reads so far, and bytes.
    pub(super) fn reads(&self) -> (u64, u64) {
        (self.buffers.reads, self.buffers.bytes)
    }

    /// From now on this is counted, of the clients that are there.
    pub(super) fn count(&mut self, rule: Rule) {
        let wanted = |client: &Option<Client>| client.as_ref().map(|client| client.wanted);
        let wanted: Vec<Option<Wanted>> = self.clients.iter().map(wanted).collect();
        self.judge.tally = Tally::new(rule, &wanted, self.target.symbols());
    }

    /// Waits for something to happen, at most so long, and does what there is to do. After each
    /// message `completed` is told which numbers everybody has.
    pub(super) fn turn(
        &mut self,
        most: Duration,
        mut completed: impl FnMut(u64),
    ) -> io::Result<()> {
        let most = Timespec::try_from(most).expect("a short while");
        let mut events = mem::take(&mut self.events);
        events.clear();
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut events),
            Some(&most),
        ) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let number = usize::try_from(event.data.u64()).expect("it was one");
            self.serve(number, event.flags, &mut completed)?;
        }
        self.events = events;
        Ok(())
    }

    /// Gives up those that are not open yet.
    pub(super) fn give_up_pending(&mut self, why: &Ended) {
        for number in 0..self.clients.len() {
            if self.clients[number]
                .as_ref()
                .is_some_and(|client| !client.is_open())
            {
                self.end(number, why);
            }
        }
    }

    /// Says goodbye to the server on all connections.
    pub(super) fn leave(&mut self) -> io::Result<()> {
        self.is_leaving = true;
        for number in 0..self.clients.len() {
            let Some(client) = &mut self.clients[number] else {
                continue;
            };
            match client.leave() {
                Ok(()) => self.watch(number)?,
                Err(_) => self.clients[number] = None,
            }
        }
        let end = Moment::now() + LEAVE_WITHIN;
        while Moment::now() < end && self.clients.iter().any(Option::is_some) {
            self.turn(Duration::from_millis(50), |_| {})?;
        }
        Ok(())
    }

    fn serve(
        &mut self,
        number: usize,
        flags: epoll::EventFlags,
        completed: &mut impl FnMut(u64),
    ) -> io::Result<()> {
        let Some(client) = &mut self.clients[number] else {
            return Ok(());
        };
        let (was_open, wanted) = (client.is_open(), client.wants_to_write());
        let mut done = Ok(());
        if flags.contains(epoll::EventFlags::OUT) {
            done = client.writable(&self.target);
        }
        let readable = epoll::EventFlags::IN | epoll::EventFlags::ERR | epoll::EventFlags::HUP;
        if done.is_ok() && flags.intersects(readable) {
            let (judge, is_leaving) = (&mut self.judge, self.is_leaving);
            done = client.read(&self.target, &mut self.buffers, &mut |message, now| {
                if !is_leaving {
                    judge.message(number, message, now, completed);
                }
            });
        }
        if !was_open && client.is_open() {
            self.open += 1;
        }
        match done {
            Err(why) => {
                self.end(number, &why);
                completed(self.judge.tally.completed());
            }
            Ok(()) if client.wants_to_write() != wanted => self.watch(number)?,
            Ok(()) => {}
        }
        Ok(())
    }

    /// Has epoll report what this client waits for.
    fn watch(&self, number: usize) -> io::Result<()> {
        let Some(client) = &self.clients[number] else {
            return Ok(());
        };
        let mut flags = epoll::EventFlags::IN;
        flags.set(epoll::EventFlags::OUT, client.wants_to_write());
        epoll::modify(&self.epoll, &client.socket, data(number), flags)?;
        Ok(())
    }

    /// A connection is no more. Closing its socket takes it from epoll.
    fn end(&mut self, number: usize, why: &Ended) {
        let Some(client) = self.clients[number].take() else {
            return;
        };
        if self.is_leaving {
            return;
        }
        self.note(why);
        if client.is_open() {
            self.open -= 1;
            self.closed += 1;
            if !self.judge.tally.is_empty() {
                self.judge.tally.client_gone(number);
            }
        } else {
            self.failed += 1;
        }
    }

    fn note(&mut self, why: &Ended) {
        *self.reasons.entry(why.to_string()).or_default() += 1;
    }
}

fn data(number: usize) -> epoll::EventData {
    epoll::EventData::new_u64(number as u64)
}
