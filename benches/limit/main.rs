//! What nobody who uses sockets, and rustls for TLS, can undercut on this machine: the bare cost of
//! writing the same frame to many loopback connections, whose other ends a thread reads and
//! discards, and of a TLS handshake in memory. CPU is that of the writing thread.
//!
//!     cargo run --release --example limit
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark fails by panicking and prints what it found"
)]

mod cpu;
mod handshake;
mod options;
mod sockets;
mod tls;
mod writes;

use options::{Measure, Options};
use tls::Configs;
use writes::Writes;

fn main() {
    let options = Options::read();
    if let Some((ours, _)) = options.pin {
        cpu::pin(ours);
    }
    for measure in &options.measures {
        let found = match measure {
            Measure::Plain => writes::plain(&options),
            Measure::Rustls => writes::rustls(&options),
            Measure::Handshake => handshakes(),
        };
        println!("{found}");
    }
}

fn handshakes() -> serde_json::Value {
    let [without, with] = [0, 2].map(|tickets| handshake::per_cpu_second(&Configs::new(tickets)));
    serde_json::json!({
        "measure": "handshake",
        "per_cpu_second": with.round(),
        "per_cpu_second_without_tickets": without.round(),
    })
}

impl Writes {
    fn report(&self, measure: &str, options: &Options) -> serde_json::Value {
        let (deliveries, cpu) = (self.deliveries as f64, self.cpu.as_secs_f64());
        let seconds = self.taken.as_secs_f64();
        serde_json::json!({
            "measure": measure,
            "clients": options.clients,
            "frame_bytes": options.bytes,
            "frames_per_write": options.frames,
            "deliveries": self.deliveries,
            "cpu_us_per_delivery": cpu / deliveries * 1e6,
            "deliveries_per_second": (deliveries / seconds).round(),
            "cpu_percent": cpu / seconds * 100.0,
            "blocked": self.blocked,
        })
    }
}
