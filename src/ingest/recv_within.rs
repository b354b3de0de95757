use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

/// What comes through a channel within this time, on a thread that may block; `Some(None)`: nothing
/// will come any more. (Tokio's own deadlines need a runtime on this thread.)
pub(super) fn recv_within<T>(channel: &mut mpsc::Receiver<T>, time: Duration) -> Option<Option<T>> {
    let deadline = Instant::now() + time;
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut receive = pin!(channel.recv());
    loop {
        if let Poll::Ready(received) = receive.as_mut().poll(&mut context) {
            return Some(received);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        thread::park_timeout(left);
    }
}

/// Wakes the thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_time_is_had_at_once_and_an_end_is_not_silence() {
        let (sender, mut channel) = mpsc::channel(1);
        assert_eq!(recv_within::<u8>(&mut channel, Duration::ZERO), None);
        let soon = thread::spawn(move || sender.blocking_send(7).unwrap());
        let long = Duration::from_secs(60);
        assert_eq!(recv_within(&mut channel, long), Some(Some(7)));
        soon.join().unwrap();
        assert_eq!(recv_within(&mut channel, long), Some(None));
    }
}
