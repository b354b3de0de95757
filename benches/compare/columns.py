"""The figures of a report that tables show."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A figure: where it stands in a report, and how it is shown."""

    title: str
    place: str
    scale: float = 1
    digits: int = 0
    # What it is divided by: another figure of the report.
    over: str = ""

    def value(self, report: dict) -> float | None:
        """None if the report does not have it."""
        figure = at(report, self.place)
        divisor = at(report, self.over) if self.over else 1
        return figure * self.scale / divisor if figure is not None and divisor else None


def at(report: dict, place: str):
    found = report
    for name in place.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


CPU = Column("CPU µs a delivery", "server.cpu_us_per_delivery", digits=2)
RATE = Column("deliveries/s", "deliveries.per_second")
SERVER_BUSY = Column("server %", "server.cpu_percent")
LOAD_BUSY = Column("load %", "own.cpu_percent")
P50 = Column("p50 ms", "latency_us.each.p50", 1e-3, 2)
P99 = Column("p99 ms", "latency_us.each.p99", 1e-3, 2)
LAST_P50 = Column("last client p50 ms", "latency_us.last.p50", 1e-3, 2)
LAST_P99 = Column("last client p99 ms", "latency_us.last.p99", 1e-3, 2)
BATCH = Column("messages a read", "own.messages_per_read", digits=1)
SIGNALS = Column("signals/s", "deliveries.signals_per_second")
BYTES = Column("MB/s", "deliveries.bytes", 1e-6, over="deliveries.seconds")
MEMORY = Column("bytes a client", "server.bytes_per_idle_client")
MOST_MEMORY = Column("most MB", "server.resident_bytes_most", 1e-6)
CONNECTED = Column("connected", "clients.connected")
CONNECTS = Column("connects/s", "connecting.per_second")
CONNECTS_CPU = Column("connects a CPU second", "connecting.per_server_cpu_second")
LOST = Column("lost", "deliveries.lost")

# Of a storm: a calm run, and one in which many connect.
CALM_P50 = Column("live p50 ms before", "calm.latency_us.each.p50", 1e-3, 2)
CALM_P99 = Column("live p99 ms before", "calm.latency_us.each.p99", 1e-3, 2)
STORM_P50 = Column("live p50 ms during", "storm.latency_us.each.p50", 1e-3, 2)
STORM_P99 = Column("live p99 ms during", "storm.latency_us.each.p99", 1e-3, 2)
STORM_LOST = Column("lost by live ones", "storm.deliveries.lost")
CAME = Column("connected", "came.clients.connected")
CAME_WITHIN = Column("within s", "came.connecting.seconds", digits=2)