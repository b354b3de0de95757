//! Signals, as far as the part needs them to have come.

use signalcast::journal::{Batch, Journal, Memory, Recorded};
use signalcast::signal::{Signal, TimeUnit, Timestamp};

/// The line that the other figures are for: 109 bytes.
pub const LINE: &str = r#"{"type":"buy","content":{"symbol":"BTCUSDT","price":75000.123456789,"timestamp":1720000000},"is_test":false}"#;

/// When benchmarks take place.
pub fn now() -> Timestamp {
    Timestamp::new(1_720_000_000).unwrap()
}

/// What this line says.
pub fn parse(line: &str) -> Signal {
    Signal::parse_line(line.as_bytes(), TimeUnit::Seconds, now())
        .unwrap()
        .unwrap()
}

/// So many of the same signal, ready to be recorded.
pub fn batch(signals: usize) -> Batch {
    Batch::of(vec![parse(LINE); signals])
}

/// So many of the same signal, at the beginning of a log that keeps nothing.
pub fn recorded(signals: usize) -> Vec<Recorded> {
    Memory::new().append(&mut batch(signals)).unwrap().recorded
}
