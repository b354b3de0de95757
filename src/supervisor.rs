use sd_notify::NotifyState;
use tracing::warn;

/// Clients can connect.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The server stops and lets its clients go.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Without a service manager nobody is told.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "the service manager can't be told how things stand; is NOTIFY_SOCKET right?");
    }
}
