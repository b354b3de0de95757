//! The one table of what is measured. The code that counts, `/metrics`, the tests, and through
//! them the documents, the alerts and the dashboard, all use these names.

use metrics::Unit;

/// One thing that is measured.
#[derive(Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// How its values behave.
    pub kind: Kind,
    /// What its values count.
    pub unit: Unit,
    /// The names of its labels. Their values come from the configuration or from lists of ours,
    /// never from what a client sends.
    pub labels: &'static [&'static str],
    /// What it is, for `# HELP`.
    pub help: &'static str,
}

/// How the values of a metric behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from 0 at the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts how many values were at most so large.
    Histogram,
}

/// Upper bounds of the histograms' buckets, in seconds: from 10 µs, which is a few writes, to
/// 10 s, when something is badly wrong.
pub const BUCKETS: &[f64] = &[
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025,
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

const fn counter(
    name: &'static str,
    unit: Unit,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    metric(name, Kind::Counter, unit, labels, help)
}

const fn gauge(
    name: &'static str,
    unit: Unit,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    metric(name, Kind::Gauge, unit, labels, help)
}

const fn histogram(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    metric(name, Kind::Histogram, Unit::Seconds, labels, help)
}

const fn metric(
    name: &'static str,
    kind: Kind,
    unit: Unit,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric {
        name,
        kind,
        unit,
        labels,
        help,
    }
}

/// Declares each metric as a constant of its own and all of them as [`METRICS`], so that none can
/// be left out.
macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident = $metric:expr;)*) => {
        $($(#[$doc])* pub static $name: Metric = $metric;)*

        /// All of them, in the order in which a signal travels.
        pub static METRICS: &[&Metric] = &[$(&$name),*];
    };
}

metrics! {
    /// Feeds that are read.
    SOURCE_UP = gauge("signalcast_source_up", Unit::Count, &["source"], "1 while the source is read or waited for, 0 when it has ended or failed, or is paused");
    /// Silence of a feed.
    SOURCE_LAST_SIGNAL = gauge("signalcast_source_last_signal_timestamp_seconds", Unit::Seconds, &["source"], "Unix time at which the newest signal of the source was read; 0 before the first");
    /// What comes in.
    SIGNALS = counter("signalcast_signals_total", Unit::Count, &["source", "type"], "Signals read, those dropped as duplicates included");
    /// Repeated ids.
    DUPLICATES = counter("signalcast_duplicates_total", Unit::Count, &[], "Signals dropped because the log holds their id already");
    /// Lines nobody could read.
    DEAD_LETTERS = counter("signalcast_dead_letters_total", Unit::Count, &["source"], "Lines that could not be read and went to the dead letters");
    /// Time to make a batch durable.
    JOURNAL_COMMIT = histogram("signalcast_journal_commit_seconds", &[], "Time it took to record a batch of signals in the log");
    /// Batches that were not recorded at the first try.
    JOURNAL_FAILURES = counter("signalcast_journal_failures_total", Unit::Count, &[], "Tries to write the log that failed; each is tried again");
    /// Whether signals get through.
    JOURNAL_WRITABLE = gauge("signalcast_journal_writable", Unit::Count, &[], "1 while the log takes signals, 0 while they wait because it cannot be written");
    /// Parts of the log that clients had to be brought.
    HISTORY_READS = counter("signalcast_history_reads_total", Unit::Count, &[], "Stretches of the log read back for clients that are further behind than the newest signals in memory; those who want the same one share it");
    /// Parts of the log that nobody could read.
    HISTORY_FAILURES = counter("signalcast_history_failures_total", Unit::Count, &[], "Tries to read the log back that failed; whoever waits for it tries again");
    /// The head.
    HEAD_SEQ = gauge("signalcast_head_seq", Unit::Count, &[], "Seq of the newest signal of the log; 0 while it is empty");
    /// The halt switch.
    HALTED = gauge("signalcast_halted", Unit::Count, &[], "1 while the server is halted: signals are recorded as stale and nobody is sent any");
    /// The hot tail.
    TAIL_BYTES = gauge("signalcast_tail_bytes", Unit::Bytes, &[], "Memory taken by the newest signals, kept as ready frames");

    /// Clients.
    CLIENTS = gauge("signalcast_clients", Unit::Count, &[], "Connected clients");
    /// The most there may be.
    CLIENTS_LIMIT = gauge("signalcast_clients_limit", Unit::Count, &[], "Clients that may be connected at once");
    /// Clients that are not caught up.
    CLIENTS_BEHIND = gauge("signalcast_clients_behind", Unit::Count, &["shard"], "Clients that have not been sent all signals yet because they read too slowly");
    /// How far.
    CLIENT_LAG = gauge("signalcast_client_lag_signals", Unit::Count, &["shard"], "Signals that the client furthest behind has still to be sent");
    /// Signals times clients.
    DELIVERIES = counter("signalcast_deliveries_total", Unit::Count, &[], "Signals written to clients, each counted once for each client");
    /// Bytes to clients.
    SENT_BYTES = counter("signalcast_sent_bytes_total", Unit::Bytes, &[], "Bytes that the sockets of clients took, encrypted where they are");
    /// The promise.
    DELIVERY = histogram("signalcast_delivery_seconds", &["client"], "Time from a line being read to its being written to the first and to the last client that is caught up, one value for each pass of a shard");
    /// How sessions end.
    CLOSES = counter("signalcast_closes_total", Unit::Count, &["by", "code"], "Connections of clients that ended: by whom, with which close code");

    /// TCP connections.
    CONNECTIONS = counter("signalcast_connections_total", Unit::Count, &[], "Connections accepted, whatever became of them");
    /// Before HTTP.
    HANDSHAKE_FAILURES = counter("signalcast_handshake_failures_total", Unit::Count, &["reason"], "Connections that ended before a request was understood");
    /// HTTP errors.
    REFUSALS = counter("signalcast_refusals_total", Unit::Count, &["code"], "Requests that were refused, by the code of the answer");
    /// Tokens.
    AUTH_FAILURES = counter("signalcast_auth_failures_total", Unit::Count, &["reason"], "Requests without a token that lets them in");
    /// The certificate.
    CERTIFICATE_EXPIRES = gauge("signalcast_certificate_expires_timestamp_seconds", Unit::Seconds, &[], "Unix time at which the certificate in use expires");

    /// Files that are read again.
    RELOADS = counter("signalcast_reloads_total", Unit::Count, &["what", "outcome"], "Files that were read again because they changed: what they are, and whether they were taken");
    /// Files that are no good.
    RELOAD_REFUSED = gauge("signalcast_reload_refused", Unit::Count, &["what"], "1 while the files can't be used and what they said before holds");

    /// Draining.
    DRAINING = gauge("signalcast_draining", Unit::Count, &[], "1 while the server stops and lets its clients go");
    /// The log that people read.
    LOG_LINES_DROPPED = counter("signalcast_log_lines_dropped_total", Unit::Count, &[], "Lines of the program's own log that were dropped because standard error took them too slowly");
    /// What runs.
    BUILD_INFO = gauge("signalcast_build_info", Unit::Count, &["version"], "Always 1; the version that runs is the label");

    /// Of the process: metrics-process fills these in, and has its own words for their help.
    PROCESS_CPU = counter("process_cpu_seconds_total", Unit::Seconds, &[], "Total user and system CPU time spent in seconds.");
    /// See [`PROCESS_CPU`].
    PROCESS_OPEN_FDS = gauge("process_open_fds", Unit::Count, &[], "Number of open file descriptors.");
    /// See [`PROCESS_CPU`].
    PROCESS_MAX_FDS = gauge("process_max_fds", Unit::Count, &[], "Maximum number of open file descriptors.");
    /// See [`PROCESS_CPU`].
    PROCESS_RESIDENT = gauge("process_resident_memory_bytes", Unit::Bytes, &[], "Resident memory size in bytes.");
    /// See [`PROCESS_CPU`].
    PROCESS_VIRTUAL = gauge("process_virtual_memory_bytes", Unit::Bytes, &[], "Virtual memory size in bytes.");
    /// See [`PROCESS_CPU`].
    PROCESS_VIRTUAL_MAX = gauge("process_virtual_memory_max_bytes", Unit::Bytes, &[], "Maximum amount of virtual memory available in bytes.");
    /// See [`PROCESS_CPU`].
    PROCESS_START = gauge("process_start_time_seconds", Unit::Seconds, &[], "Start time of the process since unix epoch in seconds.");
    /// See [`PROCESS_CPU`].
    PROCESS_THREADS = gauge("process_threads", Unit::Count, &[], "Number of OS threads in the process.");
}
