//! From what was measured to the report.

use super::measure::{Connected, Fed, Measured, percent};
use super::options::Options;
use super::process::Usage;
use super::report::{Clients, Connecting, Deliveries, Feed, Latencies, Report, Server};
use super::run::Run;
use super::warnings::{Seen, warnings};
use crate::listen::without_query;

impl Run<'_> {
    pub(super) fn report(
        &self,
        connected: &Connected,
        idle: Option<&Usage>,
        measured: &Measured,
    ) -> Report {
        let connecting = connecting(connected);
        let has_clients = self.crowd.judge.tally.present() > 0;
        let feed = measured.fed.as_ref().map(|fed| feed(fed, has_clients));
        let deliveries = self.deliveries(measured);
        let server = self.server(connected, idle, measured, &deliveries);
        let server_connecting_percent = connecting
            .server_cpu_seconds
            .map(|cpu| percent(cpu, connecting.seconds));
        let tally = &self.crowd.judge.tally;
        let warnings = warnings(&Seen {
            own: &measured.own,
            seconds: measured.seconds,
            server: server.as_ref(),
            ended_process: self
                .pid
                .filter(|_| server.is_none() && measured.server_ended.is_none()),
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
                each: tally.latency_each.spread(),
                last: tally.latency_last.spread(),
            },
            server,
            server_ended: measured.server_ended.map(|status| status.to_string()),
            own: measured.own.clone(),
            warnings,
            interrupted: self.interrupt.came(),
        }
    }

    fn deliveries(&self, measured: &Measured) -> Deliveries {
        let (tally, seconds) = (&self.crowd.judge.tally, measured.seconds);
        let end = measured.fed.as_ref().map_or(0, |fed| fed.end);
        let losses = tally.losses(end);
        let (fewest_messages, most_messages) = tally.fewest_and_most_messages();
        let expected = measured.fed.as_ref();
        let expected = expected.map(|fed| tally.expected(&(fed.first..fed.end)));
        let lines = measured.fed.as_ref().map_or(1, |fed| fed.end - fed.first);
        // How many clients a signal is for.
        let clients = expected.unwrap_or(tally.everybody() as u64) as f64 / lines.max(1) as f64;
        Deliveries {
            count: tally.delivered,
            expected,
            per_second: (tally.delivered + unknown(self.options, tally.unnumbered)) as f64
                / seconds,
            signals_per_second: (tally.delivered > 0)
                .then(|| tally.delivered as f64 / clients.max(1e-6) / seconds),
            lost: losses.signals,
            clients_with_losses: losses.clients,
            repeated: tally.repeated,
            disordered: tally.disordered,
            unasked: tally.unasked,
            unnumbered: tally.unnumbered,
            fewest_messages,
            most_messages,
            bytes: measured.bytes,
            seconds,
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
            cpu_seconds: cpu,
            user_seconds: end.user - start.user,
            system_seconds: end.system - start.system,
            cpu_percent: percent(cpu, measured.seconds),
            cpu_us_per_delivery: (count > 0).then(|| cpu / count as f64 * 1e6),
            resident_bytes_before: before.resident,
            resident_bytes_idle: idle.resident,
            resident_bytes_end: end.resident,
            // One that has died meanwhile does not say any more what it had.
            resident_bytes_most: end.most_resident.max(idle.most_resident),
            bytes_per_idle_client: (connected.clients > 0)
                .then(|| grown / connected.clients as f64),
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
        seconds,
        per_second: clients / seconds,
        server_cpu_seconds: connected.server_cpu,
        per_server_cpu_second: connected
            .server_cpu
            .filter(|cpu| *cpu > 0.0)
            .map(|cpu| clients / cpu),
        own_cpu_percent: percent(connected.own_cpu.as_secs_f64(), seconds),
    }
}

fn feed(fed: &Fed, has_clients: bool) -> Feed {
    let lines = fed.end - fed.first;
    let (mut seconds, mut latest_us, mut late, mut cpu_percent) = (0.0, 0.0, 0, 0.0);
    let mut error;
    match &fed.written {
        Some(written) => {
            seconds = written.span.as_secs_f64();
            latest_us = written.latest.as_secs_f64() * 1e6;
            late = written.late;
            cpu_percent = percent(written.cpu.as_secs_f64(), seconds);
            error = written.error.as_ref().map(ToString::to_string);
        }
        None => error = Some("the feed takes nothing any more".to_owned()),
    }
    if error.is_none() && !fed.is_complete {
        let why = if has_clients {
            "not all clients got all lines in time"
        } else {
            "no client was there any more to get lines"
        };
        error = Some(why.to_owned());
    }
    Feed {
        lines,
        seconds,
        lines_per_second: if seconds > 0.0 {
            lines as f64 / seconds
        } else {
            0.0
        },
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
