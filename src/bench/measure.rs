use std::time::Duration;

use super::crowd::Crowd;
use super::limits::{Seen, limits};
use super::moment::{Moment, thread_cpu};
use super::options::Options;
use super::process::{Usage, waited};
use super::report::{Clients, Connecting, Deliveries, Feed, Latencies, Own, Report, Server};
use super::run::{Fed, Run};
use crate::listen::without_query;

/// How the clients came in.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) clients: usize,
    pub(super) failed: usize,
    pub(super) taken: Duration,
    pub(super) own_cpu: Duration,
    pub(super) server_cpu: Option<f64>,
}

/// Where this tool stood when the measurement began.
#[derive(Debug)]
pub(super) struct Counts {
    start: Moment,
    cpu: Duration,
    waited: f64,
    reads: u64,
    bytes: u64,
}

/// What was seen from then on.
pub(super) struct Measured {
    fed: Option<Fed>,
    /// From the start to the last delivery; without a feed to the end.
    seconds: f64,
    own: Own,
    bytes: u64,
    server: Option<(Usage, Usage)>,
}

impl Counts {
    pub(super) fn begin(crowd: &Crowd) -> Self {
        let (reads, bytes) = crowd.reads();
        Self {
            start: Moment::now(),
            cpu: thread_cpu(),
            waited: waited(),
            reads,
            bytes,
        }
    }

    pub(super) fn end(
        self,
        crowd: &Crowd,
        fed: Option<Fed>,
        server: Option<(Usage, Usage)>,
    ) -> Measured {
        let end = match fed {
            Some(_) => crowd.tally.last_at,
            None => Moment::now(),
        };
        let seconds = end.since(self.start).as_secs_f64().max(1e-6);
        let (reads, bytes) = crowd.reads();
        let reads = reads - self.reads;
        let messages = crowd.tally.delivered + crowd.tally.repeated + crowd.tally.unnumbered;
        let cpu = thread_cpu().saturating_sub(self.cpu);
        Measured {
            fed,
            seconds,
            own: Own {
                cpu_percent: percent(cpu.as_secs_f64(), seconds),
                waited_percent: percent(waited() - self.waited, seconds),
                reads,
                messages_per_read: rounded(messages as f64 / reads.max(1) as f64, 2),
            },
            bytes: bytes - self.bytes,
            server,
        }
    }
}

impl Run<'_> {
    pub(super) fn report(
        &self,
        connected: &Connected,
        idle: Option<&Usage>,
        measured: &Measured,
    ) -> Report {
        let connecting = connecting(connected);
        let feed = measured.fed.as_ref().map(feed);
        let deliveries = self.deliveries(measured);
        let server = self.server(connected, idle, measured, &deliveries);
        let server_connecting_percent = connecting
            .server_cpu_seconds
            .map(|cpu| percent(cpu, connecting.seconds));
        let tally = &self.crowd.tally;
        let limits = limits(&Seen {
            own: &measured.own,
            seconds: measured.seconds,
            server: server.as_ref(),
            feed: feed.as_ref(),
            is_paced: is_paced(self.options),
            connecting_percent: connecting.own_cpu_percent,
            server_connecting_percent,
        });
        Report {
            url: without_query(&self.options.url),
            clients: Clients {
                asked: self.options.clients.get(),
                connected: connected.clients,
                failed: connected.failed,
                closed: self.crowd.closed,
                reasons: self.crowd.reasons.clone(),
            },
            connecting,
            feed,
            deliveries,
            latency_us: Latencies {
                each: tally.each.spread(),
                last: tally.last.spread(),
            },
            server,
            own: measured.own.clone(),
            limits,
            interrupted: self.interrupt.came(),
        }
    }

    fn deliveries(&self, measured: &Measured) -> Deliveries {
        let (tally, seconds) = (&self.crowd.tally, measured.seconds);
        let end = measured.fed.as_ref().map_or(0, |fed| fed.end);
        let losses = tally.losses(end);
        let (fewest, most) = tally.messages();
        let expected = measured.fed.as_ref();
        let expected = expected.map(|fed| tally.expected(&(fed.first..fed.end)));
        let lines = measured.fed.as_ref().map_or(1, |fed| fed.end - fed.first);
        // How many clients a signal is for.
        let clients = expected.unwrap_or(tally.everybody() as u64) as f64 / lines.max(1) as f64;
        Deliveries {
            count: tally.delivered,
            expected,
            per_second: rounded(
                (tally.delivered + unknown(self.options, tally.unnumbered)) as f64 / seconds,
                1,
            ),
            signals_per_second: (tally.delivered > 0)
                .then(|| rounded(tally.delivered as f64 / clients.max(1e-6) / seconds, 1)),
            lost: losses.signals,
            clients_with_losses: losses.clients,
            repeated: tally.repeated,
            disordered: tally.disordered,
            unasked: tally.unasked,
            unnumbered: tally.unnumbered,
            fewest,
            most,
            bytes: measured.bytes,
            seconds: rounded(seconds, 3),
        }
    }

    fn server(
        &self,
        connected: &Connected,
        idle: Option<&Usage>,
        measured: &Measured,
        deliveries: &Deliveries,
    ) -> Option<Server> {
        let (pid, before, idle) = (self.pid?, self.before?, idle?);
        let (start, end) = measured.server?;
        let cpu = end.cpu - start.cpu;
        let count = deliveries.count + unknown(self.options, deliveries.unnumbered);
        let grown = idle.resident as f64 - before.resident as f64;
        Some(Server {
            pid,
            cpu_seconds: rounded(cpu, 3),
            user_seconds: rounded(end.user - start.user, 2),
            system_seconds: rounded(end.system - start.system, 2),
            cpu_percent: percent(cpu, measured.seconds),
            cpu_us_per_delivery: (count > 0).then(|| rounded(cpu / count as f64 * 1e6, 4)),
            resident_bytes_before: before.resident,
            resident_bytes_idle: idle.resident,
            resident_bytes_end: end.resident,
            resident_bytes_most: end.most_resident,
            bytes_per_idle_client: (connected.clients > 0)
                .then(|| rounded(grown / connected.clients as f64, 0)),
            processes: end.processes,
            threads: end.threads,
        })
    }
}

/// Where nothing is numbered, all messages are what is measured.
fn unknown(options: &Options, unnumbered: u64) -> u64 {
    if options.feed.is_some() {
        0
    } else {
        unnumbered
    }
}

fn connecting(connected: &Connected) -> Connecting {
    let seconds = connected.taken.as_secs_f64();
    let clients = connected.clients as f64;
    Connecting {
        seconds: rounded(seconds, 3),
        per_second: rounded(clients / seconds, 1),
        server_cpu_seconds: connected.server_cpu.map(|cpu| rounded(cpu, 3)),
        per_server_cpu_second: connected
            .server_cpu
            .filter(|cpu| *cpu > 0.0)
            .map(|cpu| rounded(clients / cpu, 0)),
        own_cpu_percent: percent(connected.own_cpu.as_secs_f64(), seconds),
    }
}

fn feed(fed: &Fed) -> Feed {
    let lines = fed.end - fed.first;
    let (mut seconds, mut latest_us, mut late, mut cpu_percent) = (0.0, 0.0, 0, 0.0);
    let mut error;
    match &fed.of_thread {
        Some(written) => {
            seconds = written.span.as_secs_f64();
            latest_us = rounded(written.latest.as_secs_f64() * 1e6, 1);
            late = written.late;
            cpu_percent = percent(written.cpu.as_secs_f64(), seconds);
            error = written.error.as_ref().map(ToString::to_string);
        }
        None => error = Some("the feed takes nothing any more".to_owned()),
    }
    if error.is_none() && !fed.is_complete {
        error = Some("not all clients got all lines in time".to_owned());
    }
    Feed {
        lines,
        seconds: rounded(seconds, 3),
        lines_per_second: rounded(
            if seconds > 0.0 {
                lines as f64 / seconds
            } else {
                0.0
            },
            1,
        ),
        latest_us,
        late,
        cpu_percent,
        error,
    }
}

fn is_paced(options: &Options) -> bool {
    let pace = options.feed.as_ref().map(|feed| feed.pace);
    matches!(pace, Some(super::Pace::Rate(_)))
}

fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 {
        rounded(part / whole * 100.0, 1)
    } else {
        0.0
    }
}

fn rounded(number: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (number * scale).round() / scale
}
