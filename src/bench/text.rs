//! A report for people.

use std::fmt::{self, Display, Formatter};

use super::histogram::Spread;
use super::report::Report;

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.connections(f)?;
        self.fed(f)?;
        self.delivered(f)?;
        self.server(f)?;
        let own = &self.own;
        line(
            f,
            "this tool",
            &format!(
                "{:.0} % of a core, waited {:.0} % of the time for one; {:.1} messages a read",
                own.cpu_percent, own.waited_percent, own.messages_per_read
            ),
        )?;
        for (at, warning) in self.warnings.iter().enumerate() {
            line(f, if at == 0 { "warning" } else { "" }, warning)?;
        }
        if self.interrupted {
            line(f, "ended", "before its time")?;
        }
        Ok(())
    }
}

impl Report {
    fn connections(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (clients, connecting) = (&self.clients, &self.connecting);
        line(f, "server", &self.url)?;
        let mut text = format!(
            "{} of {} in {:.2} s, {} a second",
            count(clients.connected as f64),
            count(clients.asked as f64),
            connecting.seconds,
            count(connecting.per_second)
        );
        if let Some(rate) = connecting.per_server_cpu_second {
            text += &format!(", {} a CPU second of the server", count(rate));
        }
        line(f, "connected", &text)?;
        if clients.failed + clients.closed > 0 {
            let text = format!("{} failed, {} closed", clients.failed, clients.closed);
            line(f, "", &text)?;
        }
        for (reason, number) in &clients.reasons {
            line(f, "", &format!("{number} × {reason}"))?;
        }
        if let Some(status) = &self.server_ended {
            line(f, "", &format!("the server ended by itself: {status}"))?;
        }
        Ok(())
    }

    fn fed(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(feed) = &self.feed else {
            return Ok(());
        };
        let mut text = format!(
            "{} lines in {:.2} s, {} a second",
            count(feed.lines as f64),
            feed.seconds,
            count(feed.lines_per_second)
        );
        if feed.late > 0 {
            let latest = microseconds(feed.latest_us);
            text += &format!("; {} late, by {latest} at most", count(feed.late as f64));
        }
        line(f, "fed", &text)?;
        match &feed.error {
            Some(error) => line(f, "", error),
            None => Ok(()),
        }
    }

    fn delivered(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let deliveries = &self.deliveries;
        let mut text = count(deliveries.count as f64);
        if let Some(expected) = deliveries.expected {
            text += &format!(" of {}", count(expected as f64));
        }
        text += &format!(
            " in {:.2} s, {} a second",
            deliveries.seconds,
            count(deliveries.per_second)
        );
        line(f, "delivered", &text)?;
        let of = match deliveries.clients_with_losses {
            0 => String::new(),
            clients => format!(" by {} clients", count(clients as f64)),
        };
        let mut text = format!(
            "lost {}{of}, repeated {}, disordered {}",
            count(deliveries.lost as f64),
            count(deliveries.repeated as f64),
            count(deliveries.disordered as f64)
        );
        if deliveries.unasked > 0 {
            text += &format!(", not asked for {}", count(deliveries.unasked as f64));
        }
        line(f, "", &text)?;
        if deliveries.unnumbered > 0 {
            let text = format!(
                "{} messages without a number; a client got {} to {} messages",
                count(deliveries.unnumbered as f64),
                count(deliveries.fewest_messages as f64),
                count(deliveries.most_messages as f64)
            );
            line(f, "", &text)?;
        }
        let whence = if self.feed.is_some() {
            ""
        } else {
            ", behind the first"
        };
        latencies(
            f,
            "latency",
            &format!("to each client{whence}"),
            &self.latency_us.each,
        )?;
        latencies(
            f,
            "",
            &format!("to the last client{whence}"),
            &self.latency_us.last,
        )
    }

    fn server(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(server) = &self.server else {
            return Ok(());
        };
        let mut text = format!(
            "{:.2} s of CPU ({:.2} in the kernel), {:.0} % of a core",
            server.cpu_seconds, server.system_seconds, server.cpu_percent
        );
        if let Some(cost) = server.cpu_us_per_delivery {
            text += &format!(", {cost:.3} µs a delivery");
        }
        line(f, "CPU", &text)?;
        let mut text = format!(
            "{} with all clients idle, {} at most",
            megabytes(server.resident_bytes_idle),
            megabytes(server.resident_bytes_most)
        );
        if let Some(bytes) = server.bytes_per_idle_client {
            text += &format!("; {} bytes an idle client", count(bytes));
        }
        line(f, "memory", &text)
    }
}

fn latencies(f: &mut Formatter<'_>, name: &str, to: &str, spread: &Spread) -> fmt::Result {
    if spread.count == 0 {
        return Ok(());
    }
    let [p50, p90, p99, p999, max] =
        [spread.p50, spread.p90, spread.p99, spread.p999, spread.max].map(microseconds);
    let text = format!("p50 {p50}, p90 {p90}, p99 {p99}, p99.9 {p999}, max {max} {to}");
    line(f, name, &text)
}

fn line(f: &mut Formatter<'_>, name: &str, text: &str) -> fmt::Result {
    writeln!(f, "{name:<10} {text}")
}

/// A whole number with a comma before each three digits.
fn count(number: f64) -> String {
    let digits = format!("{:.0}", number.max(0.0));
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// In the unit that leaves the fewest digits.
fn microseconds(number: f64) -> String {
    match number {
        small if small < 1000.0 => format!("{small:.0} µs"),
        middle if middle < 1e6 => format!("{:.2} ms", middle / 1e3),
        large => format!("{:.2} s", large / 1e6),
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(count(0.0), "0");
        assert_eq!(count(999.4), "999");
        assert_eq!(count(1_234_567.0), "1,234,567");
        assert_eq!(microseconds(412.0), "412 µs");
        assert_eq!(microseconds(3300.0), "3.30 ms");
        assert_eq!(microseconds(2_150_000.0), "2.15 s");
    }
}
