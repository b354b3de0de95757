use std::collections::BTreeMap;

use metrics::Counter;

use super::registry::Registry;
use super::table::{AUTH_FAILURES, CLOSES, CONNECTIONS, HANDSHAKE_FAILURES, Metric, REFUSALS};

/// What is counted where connections come in and where they end.
#[derive(Debug)]
pub struct Doors {
    connections: Counter,
    handshake_failures: Words,
    refusals: Words,
    auth_failures: Words,
    registry: Registry,
}

/// Why a connection ended before a request was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// It spoke something else on a TLS port.
    NotTls,
    /// TLS could not be agreed on.
    Tls,
    /// It was too slow.
    Timeout,
    /// It ended by itself: port scanners and some health checks do that.
    Closed,
    /// What it sent is not HTTP/1.1, or came too slowly.
    Http,
    /// There were too many of its kind, and it had waited longest.
    Dropped,
}

impl Doors {
    /// The handles, resolved. `refusals`: the codes of the answers that refuse; `auth_failures`:
    /// why a credential is not taken. Words that are missing in these lists are counted from
    /// their first time on, the others are there from the start, at 0.
    pub fn new(
        registry: &Registry,
        refusals: &[&'static str],
        auth_failures: &[&'static str],
    ) -> Self {
        for (by, codes) in CLOSES_FROM_THE_START {
            for code in *codes {
                registry
                    .counter(&CLOSES, &[("by", by), ("code", code)])
                    .increment(0);
            }
        }
        let failures = HandshakeFailure::ALL.map(HandshakeFailure::word);
        Self {
            connections: registry.counter(&CONNECTIONS, &[]),
            handshake_failures: Words::new(registry, &HANDSHAKE_FAILURES, &failures),
            refusals: Words::new(registry, &REFUSALS, refusals),
            auth_failures: Words::new(registry, &AUTH_FAILURES, auth_failures),
            registry: registry.clone(),
        }
    }

    /// A connection was accepted.
    pub fn accepted(&self) {
        self.connections.increment(1);
    }

    /// A connection ended before a request was understood.
    pub fn handshake_failed(&self, why: HandshakeFailure) {
        self.handshake_failures.count(why.word());
    }

    /// A request was refused with this code.
    pub fn refused(&self, code: &'static str) {
        self.refusals.count(code);
    }

    /// A credential was not taken.
    pub fn auth_failed(&self, reason: &'static str) {
        self.auth_failures.count(reason);
    }

    /// We closed a client's connection with this code.
    pub fn closed_by_server(&self, code: u16) {
        self.closed("server", &code.to_string());
    }

    /// A client closed its connection, with this code if it gave one.
    pub fn closed_by_client(&self, code: Option<u16>) {
        match code {
            None => self.closed("client", NO_STATUS),
            // What the RFC defines; a client may send any other number.
            Some(code @ (1000..=1003 | 1007..=1014)) => self.closed("client", &code.to_string()),
            Some(_) => self.closed("client", "other"),
        }
    }

    /// A client's connection broke, or ended without a close frame.
    pub fn lost(&self) {
        self.closed("network", ABNORMAL);
    }

    /// Not per signal: a client closes once.
    fn closed(&self, by: &str, code: &str) {
        self.registry
            .counter(&CLOSES, &[("by", by), ("code", code)])
            .increment(1);
    }
}

/// How RFC 6455 (section 7.4.1) calls a close frame without a code, and an end without one.
const NO_STATUS: &str = "1005";
const ABNORMAL: &str = "1006";

const CLOSES_FROM_THE_START: &[(&str, &[&str])] = &[
    (
        "server",
        &[
            "1001", "1002", "1003", "1007", "1008", "1009", "1011", "1013",
        ],
    ),
    ("client", &["1000", "1001", NO_STATUS, "other"]),
    ("network", &[ABNORMAL]),
];

impl HandshakeFailure {
    const ALL: [Self; 6] = [
        Self::NotTls,
        Self::Tls,
        Self::Timeout,
        Self::Closed,
        Self::Http,
        Self::Dropped,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::NotTls => "not_tls",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Http => "http",
            Self::Dropped => "dropped",
        }
    }
}

/// Counters of one metric whose only label is one of a few words.
#[derive(Debug)]
struct Words {
    registry: Registry,
    metric: &'static Metric,
    counters: BTreeMap<&'static str, Counter>,
}

impl Words {
    fn new(registry: &Registry, metric: &'static Metric, words: &[&'static str]) -> Self {
        let resolved = words.iter().map(|word| (*word, of(registry, metric, word)));
        Self {
            registry: registry.clone(),
            metric,
            counters: resolved.collect(),
        }
    }

    fn count(&self, word: &'static str) {
        match self.counters.get(word) {
            Some(counter) => counter.increment(1),
            None => of(&self.registry, self.metric, word).increment(1),
        }
    }
}

fn of(registry: &Registry, metric: &'static Metric, word: &str) -> Counter {
    registry.counter(metric, &[(metric.labels[0], word)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_cannot_make_up_labels() {
        let registry = Registry::on();
        let doors = Doors::new(&registry, &[], &[]);
        let series = |text: &str| {
            text.lines()
                .filter(|line| line.contains("by=\"client\""))
                .count()
        };
        doors.closed_by_client(None);
        for code in [0, 999, 1004, 1005, 1006, 1015, 3000, 4000, 4999, 65535] {
            doors.closed_by_client(Some(code));
        }
        let text = registry.render();
        assert!(
            text.contains(r#"signalcast_closes_total{by="client",code="other"} 10"#),
            "{text}"
        );
        assert!(
            text.contains(r#"signalcast_closes_total{by="client",code="1005"} 1"#),
            "{text}"
        );
        assert_eq!(series(&text), 4);
    }
}
