//! Connections that are no client yet: which of them goes first when they are too many.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::{AbortHandle, AbortRegistration};
use tokio::sync::{Notify, watch};
use tracing::warn;

use super::room::Room;

/// All connections, whatever their shard, that have not become a WebSocket.
///
/// Each costs a descriptor for up to `limits.handshake`, and whoever opens thousands a second would
/// use them all up. So they have [`Room`]: as much for those that have sent nothing whole (a
/// ClientHello; without TLS, a request) as for those that have. Neither a flood of silent sockets
/// nor one of stalled handshakes takes the others' room, and in each stage the oldest goes first. A
/// client that speaks at once is among the youngest, and gets through. Those whose bodies may come,
/// for their token or secret is good, have a stage to themselves: strangers push none of them out.
///
/// Those that wait for us, because the processor is busy, are not to blame and stay. When they are
/// many, no more are accepted: the kernel holds the rest.
#[derive(Debug)]
pub(super) struct Pending {
    room: Room,
    clients: watch::Receiver<usize>,
    state: Mutex<State>,
    /// One of them has ended, and its descriptor is free.
    freed: Notify,
    /// One of them waits for us no more.
    attended: Notify,
}

/// One of them, as long as it is one.
#[derive(Debug)]
pub(super) struct Opening(OpeningHandle);

/// Says of one of them what it waits for.
#[derive(Clone, Debug)]
pub(super) struct OpeningHandle {
    pending: Arc<Pending>,
    /// Its age. Changes only while the state is locked.
    number: Arc<AtomicU64>,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// For us: to be looked at, or for its turn to shake hands.
    Ours,
    /// For the peer, which has sent nothing whole yet.
    Silent,
    /// For the peer, which has.
    Begun,
    /// For the peer, which has shown what it may, and whose body is coming.
    Known,
}

#[derive(Debug, Default)]
struct State {
    /// Each by age.
    ours: BTreeMap<u64, AbortHandle>,
    silent: BTreeMap<u64, AbortHandle>,
    begun: BTreeMap<u64, AbortHandle>,
    known: BTreeMap<u64, AbortHandle>,
    /// Told to end, and not gone yet.
    leaving: usize,
    next: u64,
    dropped: u64,
    drop_said: Option<Instant>,
    failure_said: Option<Instant>,
}

impl Pending {
    /// None yet. `clients` is the number of those that are sessions already.
    pub(super) fn new(room: Room, clients: watch::Receiver<usize>) -> Self {
        Self {
            room,
            clients,
            state: Mutex::default(),
            freed: Notify::new(),
            attended: Notify::new(),
        }
    }

    /// One more, which is to end when its registration says so.
    pub(super) fn enter(self: &Arc<Self>) -> (Opening, AbortRegistration) {
        let (handle, registration) = AbortHandle::new_pair();
        let mut state = self.state();
        let number = state.youngest();
        state.ours.insert(number, handle);
        drop(state);
        let handle = OpeningHandle {
            pending: Arc::clone(self),
            number: Arc::new(AtomicU64::new(number)),
        };
        (Opening(handle), registration)
    }

    /// Waits while so many wait for us that another would only wait, too.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn keep_pace(&self) {
        loop {
            let mut attended = std::pin::pin!(self.attended.notified());
            attended.as_mut().enable();
            if self.state().ours.len() < self.most_of_a_stage().min(MOST_OF_OURS) {
                return;
            }
            attended.await;
        }
    }

    /// Descriptors have run out. If somebody waits to be accepted, drops a quarter of these, the
    /// silent ones first and the known ones last. Then waits until one is gone, or a client, or for a moment, for what else
    /// holds descriptors does not tell.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn make_room(&self, error: &io::Error, somebody_waits: bool) {
        let mut freed = std::pin::pin!(self.freed.notified());
        freed.as_mut().enable();
        let mut clients = self.clients.clone();
        clients.mark_unchanged();
        if somebody_waits {
            self.state().shed(error);
        }
        tokio::select! {
            () = freed => {}
            // A client's place is given back after its socket. It cannot end before the server.
            _ = clients.changed() => {}
            () = tokio::time::sleep(RETRY) => {}
        }
    }

    fn most_of_a_stage(&self) -> usize {
        self.room.of_each_stage(*self.clients.borrow())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connections that wait for us: about a quarter of a second's work for one shard. More would make
/// those behind them wait longer, and the kernel holds them as well.
const MOST_OF_OURS: usize = 1024;

/// Until descriptors may be free again that nobody tells us of.
const RETRY: Duration = Duration::from_millis(50);

impl Opening {
    /// It waits for something else now.
    pub(super) fn waits(&self, stage: Stage) {
        self.0.waits(stage);
    }

    /// Its request was answered: if its body was waited for, it is as one that [we](Stage::Ours)
    /// kept waiting.
    pub(super) fn was_answered(&self) {
        let state = self.0.pending.state();
        let number = self.0.number.load(Ordering::Relaxed);
        if state.known.contains_key(&number) {
            self.0.begins_again(state);
        }
    }

    /// For whoever answers its requests.
    pub(super) fn handle(&self) -> OpeningHandle {
        self.0.clone()
    }
}

impl OpeningHandle {
    /// Meanwhile it waits for us. Then it waits for the peer again, as the youngest of those: the
    /// time before was ours, and the answer is still to be taken.
    pub(super) async fn while_ours<T>(&self, done: impl Future<Output = T>) -> T {
        self.waits(Stage::Ours);
        let done = done.await;
        self.begins_again(self.pending.state());
        done
    }

    /// What its token or secret allows it to bring is waited for, until it is answered.
    pub(super) fn is_known(&self) {
        self.waits(Stage::Known);
    }

    /// As the youngest of those that have begun.
    fn begins_again(&self, mut state: MutexGuard<'_, State>) {
        let number = state.youngest();
        let before = self.number.swap(number, Ordering::Relaxed);
        self.moves(state, before, Stage::Begun);
    }

    fn waits(&self, stage: Stage) {
        let state = self.pending.state();
        let number = self.number.load(Ordering::Relaxed);
        self.moves(state, number, stage);
    }

    fn moves(&self, mut state: MutexGuard<'_, State>, before: u64, to: Stage) {
        let most = self.pending.most_of_a_stage();
        // One that was told to end is nowhere.
        if let Some(handle) = state.remove(before) {
            let number = self.number.load(Ordering::Relaxed);
            state.of(to).insert(number, handle);
        }
        if to != Stage::Ours && state.of(to).len() > most {
            state.drop_oldest(to);
        }
        drop(state);
        self.pending.attended.notify_waiters();
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let OpeningHandle { pending, number } = &self.0;
        let mut state = pending.state();
        if state.remove(number.load(Ordering::Relaxed)).is_none() {
            state.leaving -= 1;
        }
        drop(state);
        pending.freed.notify_waiters();
        pending.attended.notify_waiters();
    }
}

impl State {
    fn youngest(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    fn of(&mut self, stage: Stage) -> &mut BTreeMap<u64, AbortHandle> {
        match stage {
            Stage::Ours => &mut self.ours,
            Stage::Silent => &mut self.silent,
            Stage::Begun => &mut self.begun,
            Stage::Known => &mut self.known,
        }
    }

    fn remove(&mut self, number: u64) -> Option<AbortHandle> {
        let Self {
            ours,
            silent,
            begun,
            known,
            ..
        } = self;
        [ours, silent, begun, known]
            .into_iter()
            .find_map(|stage| stage.remove(&number))
    }

    fn shed(&mut self, error: &io::Error) {
        if due(&mut self.failure_said) {
            warn!(%error, "no connection can be accepted; is the open-file limit too low?");
        }
        // What was told to end frees its descriptor in a moment.
        if self.leaving > 0 {
            return;
        }
        let all = self.silent.len() + self.begun.len() + self.known.len();
        for _ in 0..all.div_ceil(4) {
            let mut stages = [Stage::Silent, Stage::Begun, Stage::Known].into_iter();
            stages.any(|stage| self.drop_oldest(stage));
        }
    }

    fn drop_oldest(&mut self, stage: Stage) -> bool {
        let Some((_, handle)) = self.of(stage).pop_first() else {
            return false;
        };
        handle.abort();
        self.leaving += 1;
        self.dropped += 1;
        if due(&mut self.drop_said) {
            let (dropped, silent, begun) = (self.dropped, self.silent.len(), self.begun.len());
            warn!(
                dropped,
                silent,
                begun,
                "more connections than there is room for have not become clients; the oldest are dropped"
            );
        }
        true
    }
}

/// Whether a message that is due again and again is to be said now.
fn due(said: &mut Option<Instant>) -> bool {
    let now = Instant::now();
    let due = said.is_none_or(|said| now - said >= BETWEEN_MESSAGES);
    if due {
        *said = Some(now);
    }
    due
}

const BETWEEN_MESSAGES: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use futures::future::poll_immediate;

    use super::*;

    /// With 32 places for each stage.
    fn pending() -> Arc<Pending> {
        let clients = watch::Sender::new(0);
        Arc::new(Pending::new(Room::new(Some(164)), clients.subscribe()))
    }

    /// Those that were told to end.
    fn ended(registrations: &[AbortRegistration]) -> Vec<usize> {
        let aborted = |(place, registration): (usize, &AbortRegistration)| {
            registration.handle().is_aborted().then_some(place)
        };
        registrations
            .iter()
            .enumerate()
            .filter_map(aborted)
            .collect()
    }

    #[test]
    fn the_oldest_silent_one_goes_first_and_whoever_spoke_stays() {
        let pending = pending();
        let (mut openings, mut registrations) = (Vec::new(), Vec::new());
        for number in 0..43 {
            let (opening, registration) = pending.enter();
            opening.waits(match number % 10 {
                0 => Stage::Begun,
                5 => Stage::Ours,
                _ => Stage::Silent,
            });
            openings.push(opening);
            registrations.push(registration);
        }
        assert_eq!(ended(&registrations), [1, 2]);
        // Its place is given back once.
        openings.truncate(42);
        drop(openings);
        let state = pending.state();
        assert_eq!(state.leaving, 0);
        assert!(state.silent.is_empty() && state.begun.is_empty() && state.ours.is_empty());
    }

    #[test]
    fn those_that_spoke_and_stalled_do_not_crowd_out_those_that_are_new() {
        let pending = pending();
        let (mut openings, mut registrations) = (Vec::new(), Vec::new());
        for _ in 0..100 {
            let (opening, registration) = pending.enter();
            opening.waits(Stage::Begun);
            openings.push(opening);
            registrations.push(registration);
        }
        assert_eq!(ended(&registrations), (0..68).collect::<Vec<_>>());
        let (new, registration) = pending.enter();
        new.waits(Stage::Silent);
        openings[0].waits(Stage::Begun);
        assert!(!registration.handle().is_aborted());
    }

    #[tokio::test]
    async fn whoever_waits_for_an_answer_of_ours_is_not_crowded_out() {
        let pending = pending();
        let crowd = || -> Vec<_> {
            (0..100)
                .map(|_| {
                    let (opening, registration) = pending.enter();
                    opening.waits(Stage::Begun);
                    (opening, registration)
                })
                .collect()
        };
        let (waiting, told) = pending.enter();
        waiting.waits(Stage::Begun);
        let among_the_crowd = waiting.handle().while_ours(async { crowd() }).await;
        assert!(
            !told.handle().is_aborted(),
            "it was answered a moment ago, however old it is"
        );
        drop(among_the_crowd);
        drop(crowd());
        assert!(told.handle().is_aborted(), "it does not take the answer");
    }

    #[test]
    fn whoever_is_known_is_crowded_out_once_he_is_answered_and_takes_no_answer() {
        let pending = pending();
        let crowd = |stage| {
            let each = (0..100).map(|_| {
                let (opening, registration) = pending.enter();
                opening.waits(stage);
                (opening, registration)
            });
            drop(each.collect::<Vec<_>>());
        };
        let (known, told) = pending.enter();
        known.handle().is_known();
        crowd(Stage::Begun);
        assert!(!told.handle().is_aborted());
        known.was_answered();
        crowd(Stage::Begun);
        assert!(told.handle().is_aborted());
        let (known, told) = pending.enter();
        known.handle().is_known();
        crowd(Stage::Known);
        assert!(told.handle().is_aborted(), "they are too many themselves");
    }

    #[tokio::test(start_paused = true)]
    async fn when_descriptors_have_run_out_a_quarter_makes_room() {
        let pending = pending();
        let make_room = async |somebody_waits| {
            let error = io::Error::from_raw_os_error(24);
            pending.make_room(&error, somebody_waits).await;
        };
        let (first, told_first) = pending.enter();
        first.waits(Stage::Begun);
        let (mut silent, mut told) = (Vec::new(), Vec::new());
        for _ in 0..7 {
            let (opening, registration) = pending.enter();
            opening.waits(Stage::Silent);
            silent.push(opening);
            told.push(registration);
        }
        make_room(false).await;
        assert!(ended(&told).is_empty());
        make_room(true).await;
        assert_eq!(ended(&told), [0, 1]);
        // They are on their way out: nobody else needs to go.
        make_room(true).await;
        assert_eq!(ended(&told), [0, 1]);
        drop(silent);
        assert!(!told_first.handle().is_aborted());
        make_room(true).await;
        assert!(told_first.handle().is_aborted());
    }

    #[tokio::test]
    async fn however_many_files_there_are_few_wait_for_us_at_once() {
        let clients = watch::Sender::new(0);
        let pending = Arc::new(Pending::new(Room::new(None), clients.subscribe()));
        let mut waiting: Vec<_> = (0..MOST_OF_OURS).map(|_| pending.enter()).collect();
        assert!(poll_immediate(pending.keep_pace()).await.is_none());
        waiting.pop();
        assert!(poll_immediate(pending.keep_pace()).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn when_many_wait_for_us_no_more_are_accepted_until_one_is_looked_at() {
        let pending = pending();
        let waiting: Vec<_> = (0..32).map(|_| pending.enter()).collect();
        let accepting = async || {
            let soon = Duration::from_secs(1);
            tokio::time::timeout(soon, pending.keep_pace()).await
        };
        assert!(accepting().await.is_err());
        waiting[7].0.waits(Stage::Silent);
        assert!(accepting().await.is_ok());
        waiting[7].0.waits(Stage::Ours);
        assert!(accepting().await.is_err());
        let look = async { waiting[9].0.waits(Stage::Begun) };
        let (accepted, ()) = tokio::join!(accepting(), look);
        assert!(accepted.is_ok());
    }
}
