//! What changes by itself and is looked at before each scrape.

use std::sync::Arc;

use tokio::sync::watch;

use super::gate::Gate;
use crate::halt::Switch;
use crate::metrics::Registry;
use crate::metrics::table::{CLIENTS, CLIENTS_LIMIT, DRAINING, HALTED, HEAD_SEQ, SOURCE_UP};
use crate::signal::Seq;
use crate::source::{State, States};

/// How many clients there are, of how many there may be, and whether they are being let go.
pub(super) fn clients(metrics: &Registry, gate: &Arc<Gate>, most: usize) {
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    metrics.gauge(&CLIENTS_LIMIT, &[]).set(most);
    let (clients, count) = (metrics.gauge(&CLIENTS, &[]), gate.clients.count());
    let (draining, gate) = (metrics.gauge(&DRAINING, &[]), Arc::clone(gate));
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    metrics.at_scrape(move || {
        clients.set(*count.borrow() as f64);
        draining.set(f64::from(u8::from(gate.draining.is_cancelled())));
    });
}

/// Whether nothing is broadcast.
pub(super) fn halted(metrics: &Registry, halts: Switch) {
    let halted = metrics.gauge(&HALTED, &[]);
    metrics.at_scrape(move || halted.set(f64::from(u8::from(halts.halt().is_some()))));
}

/// The newest signal of the log.
pub(super) fn head(metrics: &Registry, head: watch::Receiver<Option<Seq>>) {
    let newest = metrics.gauge(&HEAD_SEQ, &[]);
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    metrics.at_scrape(move || newest.set(head.borrow().map_or(0, Seq::get) as f64));
}

/// How the sources are. A file that is not there yet is no fault; a pipe that has ended brings
/// nothing more, and what is paused nothing until somebody thinks of it.
pub(super) fn sources(metrics: &Registry, states: States) {
    let ups: Vec<_> = states
        .iter()
        .map(|(name, _)| metrics.gauge(&SOURCE_UP, &[("source", name.as_str())]))
        .collect();
    metrics.at_scrape(move || {
        for (up, (_, state)) in ups.iter().zip(states.iter()) {
            up.set(match state {
                State::Live | State::Waiting => 1.0,
                State::Ended | State::Failed | State::Paused => 0.0,
            });
        }
    });
}
