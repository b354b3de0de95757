use std::collections::BTreeMap;

use serde::Serialize;

use super::histogram::Spread;

/// What a run showed. As JSON, units stand in the names.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Where clients connected to, without the query, which may hold secrets.
    pub(super) url: String,
    pub(super) clients: Clients,
    pub(super) connecting: Connecting,
    /// What was written, if this tool fed the server.
    pub(super) feed: Option<Feed>,
    pub(super) deliveries: Deliveries,
    /// Microseconds from before the write of a line to after the read of its message, by a client;
    /// without a feed, from when the first of the clients had it.
    pub(super) latency_us: Latencies,
    /// What the server used, if its pid is known.
    pub(super) server: Option<Server>,
    /// How the server that was started ended, if it did so by itself.
    pub(super) server_ended: Option<String>,
    /// What this tool itself used.
    pub(super) own: Own,
    /// Why these figures may be this tool's, or the machine's, and not the server's.
    pub(super) warnings: Vec<String>,
    /// Whether the run was ended before its time.
    pub(super) interrupted: bool,
}

/// What became of the clients.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Clients {
    pub(super) asked: usize,
    /// How many were connected when the measurement began.
    pub(super) connected: usize,
    pub(super) failed: usize,
    /// How many were connected and did not stay so.
    pub(super) closed: usize,
    /// Why, and how many.
    pub(super) reasons: BTreeMap<String, u64>,
}

/// What it took to connect all clients.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Connecting {
    /// From the first to the last.
    pub(super) seconds: f64,
    pub(super) per_second: f64,
    pub(super) server_cpu_seconds: Option<f64>,
    /// Connections for each CPU second of the server.
    pub(super) per_server_cpu_second: Option<f64>,
    /// CPU of the thread of the clients, in percent of a core.
    pub(super) own_cpu_percent: f64,
}

/// What was written.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Feed {
    /// Lines that count.
    pub(super) lines: u64,
    /// From the first to the last.
    pub(super) seconds: f64,
    pub(super) lines_per_second: f64,
    pub(super) latest_us: f64,
    /// How many lines were more than a millisecond behind their time.
    pub(super) late: u64,
    /// CPU of the thread that wrote them, in percent of a core.
    pub(super) cpu_percent: f64,
    /// Why there were no more.
    pub(super) error: Option<String>,
}

/// What reached the clients.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Deliveries {
    /// Messages that say which one they are: each once to each client.
    pub(super) count: u64,
    /// How many they should have been, if this tool fed the server.
    pub(super) expected: Option<u64>,
    /// Deliveries a second: until the last of them.
    pub(super) per_second: f64,
    /// How many different ones a second.
    pub(super) signals_per_second: Option<f64>,
    /// Messages that a client never got.
    pub(super) lost: u64,
    /// Clients that lack any.
    pub(super) clients_with_losses: u64,
    /// Messages that a client got again.
    pub(super) repeated: u64,
    /// Messages that a client got after one that comes later.
    pub(super) disordered: u64,
    /// Messages that a client got although it did not ask for their symbol.
    pub(super) unasked: u64,
    pub(super) unnumbered: u64,
    /// That a client got.
    pub(super) fewest_messages: u64,
    pub(super) most_messages: u64,
    /// Bytes that all clients read, as they come from the network.
    pub(super) bytes: u64,
    /// From the start of the measurement to the last delivery.
    pub(super) seconds: f64,
}

/// How late messages came.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Latencies {
    /// To each client.
    pub(super) each: Spread,
    /// To the last client, of messages that all have got.
    pub(super) last: Spread,
}

/// What the server and its children used while it was measured.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Server {
    pub(super) pid: u32,
    pub(super) cpu_seconds: f64,
    /// In ticks of 10 ms, as those in the kernel.
    pub(super) user_seconds: f64,
    pub(super) system_seconds: f64,
    pub(super) cpu_percent: f64,
    pub(super) cpu_us_per_delivery: Option<f64>,
    /// Resident memory before the first client came.
    pub(super) resident_bytes_before: u64,
    /// With all clients connected, before anything was sent.
    pub(super) resident_bytes_idle: u64,
    /// At the end.
    pub(super) resident_bytes_end: u64,
    /// At most, as far as it was seen.
    pub(super) resident_bytes_most: u64,
    /// What came to it with the clients, for each of them.
    pub(super) bytes_per_idle_client: Option<f64>,
    pub(super) processes: u64,
    pub(super) threads: u64,
}

/// What this tool used while it measured.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Own {
    /// CPU of the thread of the clients, in percent of a core.
    pub(super) cpu_percent: f64,
    /// How long that thread waited for a CPU, in percent of the time.
    pub(super) waited_percent: f64,
    pub(super) reads: u64,
    pub(super) messages_per_read: f64,
}

impl Report {
    /// Whether the server and all clients came and stayed, and each got everything once and in order.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let Deliveries {
            lost,
            repeated,
            disordered,
            unasked,
            ..
        } = self.deliveries;
        let fed = self.feed.as_ref().is_none_or(|feed| feed.error.is_none());
        let is_as_asked = lost + repeated + disordered + unasked == 0;
        let is_there =
            self.server_ended.is_none() && self.clients.failed + self.clients.closed == 0;
        fed && is_there && is_as_asked
    }

    /// The report on one line, for programs.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("text and numbers")
    }
}
