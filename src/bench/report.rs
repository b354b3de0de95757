use std::collections::BTreeMap;

use serde::Serialize;

pub use super::histogram::Spread;

/// What a run showed. As JSON, units stand in the names.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Where clients connected to, without the query, which may hold secrets.
    pub url: String,
    /// What became of the clients.
    pub clients: Clients,
    /// What it took to connect them.
    pub connecting: Connecting,
    /// What was written, if this tool fed the server.
    pub feed: Option<Feed>,
    /// What reached the clients.
    pub deliveries: Deliveries,
    /// Microseconds from before the write of a line to after the read of its message, by a client;
    /// without a feed, from when the first of the clients had it.
    pub latency_us: Latencies,
    /// What the server used, if its pid is known.
    pub server: Option<Server>,
    /// What this tool itself used.
    pub own: Own,
    /// Why these figures may be this tool's, or the machine's, and not the server's.
    pub limits: Vec<String>,
    /// Whether the run was ended before its time.
    pub interrupted: bool,
}

/// What became of the clients.
#[derive(Clone, Debug, Serialize)]
pub struct Clients {
    /// How many were to connect.
    pub asked: usize,
    /// How many were connected when the measurement began.
    pub connected: usize,
    /// How many could not connect.
    pub failed: usize,
    /// How many were connected and did not stay so.
    pub closed: usize,
    /// Why, and how many.
    pub reasons: BTreeMap<String, u64>,
}

/// What it took to connect all clients.
#[derive(Clone, Debug, Serialize)]
pub struct Connecting {
    /// From the first to the last.
    pub seconds: f64,
    /// Connections a second.
    pub per_second: f64,
    /// CPU seconds of the server.
    pub server_cpu_seconds: Option<f64>,
    /// Connections for each of them.
    pub per_server_cpu_second: Option<f64>,
    /// CPU of the thread of the clients, in percent of a core.
    pub own_cpu_percent: f64,
}

/// What was written.
#[derive(Clone, Debug, Serialize)]
pub struct Feed {
    /// Lines that count.
    pub lines: u64,
    /// From the first to the last.
    pub seconds: f64,
    /// Lines a second.
    pub lines_per_second: f64,
    /// How far behind its time the latest line was written.
    pub latest_us: f64,
    /// How many lines were more than a millisecond behind their time.
    pub late: u64,
    /// CPU of the thread that wrote them, in percent of a core.
    pub cpu_percent: f64,
    /// Why there were no more.
    pub error: Option<String>,
}

/// What reached the clients.
#[derive(Clone, Debug, Serialize)]
pub struct Deliveries {
    /// Messages that say which one they are: each once to each client.
    pub count: u64,
    /// How many they should have been, if this tool fed the server.
    pub expected: Option<u64>,
    /// Deliveries a second: until the last of them.
    pub per_second: f64,
    /// How many different ones a second.
    pub signals_per_second: Option<f64>,
    /// Messages that a client never got.
    pub lost: u64,
    /// Clients that lack any.
    pub clients_with_losses: u64,
    /// Messages that a client got again.
    pub repeated: u64,
    /// Messages that a client got after one that comes later.
    pub disordered: u64,
    /// Messages that a client got although it did not ask for their symbol.
    pub unasked: u64,
    /// Other messages.
    pub unnumbered: u64,
    /// The fewest messages that a client got.
    pub fewest: u64,
    /// The most.
    pub most: u64,
    /// Bytes that all clients read, as they come from the network.
    pub bytes: u64,
    /// From the start of the measurement to the last delivery.
    pub seconds: f64,
}

/// How late messages came.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latencies {
    /// To each client.
    pub each: Spread,
    /// To the last client, of messages that all have got.
    pub last: Spread,
}

/// What the server and its children used while it was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Server {
    /// Which process it is.
    pub pid: u32,
    /// CPU seconds.
    pub cpu_seconds: f64,
    /// Those in the program, in ticks of 10 ms.
    pub user_seconds: f64,
    /// Those in the kernel.
    pub system_seconds: f64,
    /// In percent of a core.
    pub cpu_percent: f64,
    /// CPU microseconds for each delivery.
    pub cpu_us_per_delivery: Option<f64>,
    /// Resident memory before the first client came.
    pub resident_bytes_before: u64,
    /// With all clients connected, before anything was sent.
    pub resident_bytes_idle: u64,
    /// At the end.
    pub resident_bytes_end: u64,
    /// At most, as far as it was seen.
    pub resident_bytes_most: u64,
    /// What came to it with the clients, for each of them.
    pub bytes_per_idle_client: Option<f64>,
    /// Processes.
    pub processes: u64,
    /// Threads.
    pub threads: u64,
}

/// What this tool used while it measured.
#[derive(Clone, Debug, Serialize)]
pub struct Own {
    /// CPU of the thread of the clients, in percent of a core.
    pub cpu_percent: f64,
    /// How long that thread waited for a CPU, in percent of the time.
    pub waited_percent: f64,
    /// Reads from sockets.
    pub reads: u64,
    /// Messages that came with a read.
    pub messages_per_read: f64,
}

impl Report {
    /// Whether all clients came and stayed, and each got everything once and in order.
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
        fed && self.clients.failed + self.clients.closed == 0 && is_as_asked
    }

    /// The report on one line, for programs.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("text and numbers")
    }
}
