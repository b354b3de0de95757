"""What is measured: one table."""

from collections.abc import Callable
from dataclasses import dataclass, field

import columns as c
import load
import storm
from case import Case
from columns import Column
from run import Run


@dataclass(frozen=True)
class Scenario:
    name: str
    what: str
    # The first one is what rows are compared by.
    columns: tuple[Column, ...]
    cases: tuple[Case, ...]
    # The case that rows are compared with: the first, unless one is named.
    base: str = ""
    # Whether the peers take part, and the server with its log in SQLite.
    has_peers: bool = False
    has_log: bool = False
    # What the limit loop is asked for, by mode, where it has anything to say.
    limit: dict[str, str] = field(default_factory=dict)
    # How a run is done: the command, and its report.
    measure: Callable[[Run], tuple[list[str], dict]] = load.measure
    is_pinned: bool = True
    modes: tuple[str, ...] = ("wss", "ws")


DELIVERY = (
    c.CPU,
    c.RATE,
    c.P50,
    c.P99,
    c.LAST_P50,
    c.LAST_P99,
    c.SERVER_BUSY,
    c.LOAD_BUSY,
    c.LOST,
)
GROWTH = (c.CPU, c.RATE, c.LAST_P50, c.SERVER_BUSY, c.LOAD_BUSY, c.LOST)
WRITES = {"ws": "plain", "wss": "rustls"}

SCENARIOS = (
    Scenario(
        "S2L",
        "1,000 clients, one signal in flight: each delivery is a write of its own",
        DELIVERY,
        (Case(1000, 400, "--window 1 --duration 5s"),),
        has_peers=True,
        has_log=True,
        limit=WRITES,
    ),
    Scenario(
        "S1",
        "1,000 clients, 100 signals a second",
        DELIVERY,
        (Case(1000, 300, "--rate 100"),),
        has_peers=True,
        has_log=True,
        limit=WRITES,
    ),
    Scenario(
        "S2",
        "1,000 clients, as fast as all get it, 64 signals in flight at most: batches are allowed",
        (*DELIVERY, c.BATCH),
        (Case(1000, 20_000, "--window 64 --batch 16 --duration 3s"),),
        has_peers=True,
        has_log=True,
        limit={"ws": "plain --frames 64", "wss": "rustls --frames 64"},
    ),
    Scenario(
        "S3",
        "10,000 clients, idle, then 10 signals a second",
        (
            c.MEMORY,
            c.LAST_P50,
            c.LAST_P99,
            c.CPU,
            c.MOST_MEMORY,
            c.CONNECTED,
            c.LOAD_BUSY,
            c.LOST,
        ),
        (Case(10_000, 30, "--rate 10 --settle 2s --connecting 128"),),
        has_peers=True,
    ),
    Scenario(
        "M5",
        "5,000 clients connect and stay idle",
        (c.CONNECTS_CPU, c.CONNECTS, c.MEMORY, c.CONNECTED),
        (Case(5000, load="--settle 1500ms --duration 0s"),),
        has_peers=True,
        limit={"wss": "handshake"},
    ),
    Scenario(
        "S4W",
        "standard input to one client, 512 signals in flight at most",
        (c.SIGNALS, c.CPU, c.SERVER_BUSY, c.LOAD_BUSY, c.LOST),
        (Case(1, 2_000_000, "--window 512 --batch 32 --duration 2s"),),
        has_peers=True,
        has_log=True,
    ),
    Scenario(
        "storm",
        "500 live clients get 100 signals a second; before, and while 5,000 connect at once",
        (c.STORM_P99, c.STORM_P50, c.CALM_P99, c.CALM_P50, c.CAME, c.CAME_WITHIN, c.STORM_LOST),
        (Case(500, 300, "--rate 100", comers=5000),),
        has_peers=True,
        measure=storm.measure,
        modes=("wss",),
    ),
    Scenario(
        "few-many",
        "100,000 deliveries a second, to few clients and to many",
        GROWTH,
        (
            Case(10, 20_000, "--rate 10000", label="10 clients, 10,000 signals a second"),
            Case(
                10_000,
                30,
                "--rate 10 --connecting 128",
                label="10,000 clients, 10 signals a second",
            ),
        ),
    ),
    Scenario(
        "clients",
        "one signal in flight, from one client to many",
        GROWTH,
        base="1,000",
        cases=tuple(
            Case(
                clients,
                lines,
                "--window 1 --duration 4s --connecting 128",
                label=f"{clients:,}",
            )
            for clients, lines in (
                (1, 3000),
                (10, 3000),
                (100, 2000),
                (1000, 300),
                (5000, 60),
                (10_000, 30),
                (15_000, 20),
            )
        ),
    ),
    Scenario(
        "size",
        "200 clients, one signal in flight, from short signals to the longest",
        (c.CPU, c.RATE, c.BYTES, c.LAST_P50, c.SERVER_BUSY, c.LOAD_BUSY, c.LOST),
        tuple(
            Case(
                200,
                lines,
                f"--window 1 --duration 4s --line-bytes {size}",
                label=f"{size:,} bytes",
            )
            for size, lines in (
                (110, 1000),
                (250, 1000),
                (1000, 1000),
                (4000, 500),
                (16_000, 200),
                (60_000, 100),
            )
        ),
    ),
    Scenario(
        "filtered",
        "1,000 clients, 100 signals a second in 50 symbols; some clients ask for one symbol each",
        (c.CPU, c.RATE, c.P99, c.SERVER_BUSY, c.LOAD_BUSY, c.LOST),
        tuple(
            Case(
                1000,
                300,
                f"--rate 100 --symbols 50 --filtered {share}",
                f"{share} % filtered",
            )
            for share in (0, 25, 50, 75, 90)
        ),
    ),
    Scenario(
        "shards",
        "1,000 clients as in S2, on all CPUs, which the load client needs as well",
        (c.CPU, c.RATE, c.P99, c.SERVER_BUSY, c.LOAD_BUSY, c.BATCH, c.LOST),
        tuple(
            Case(
                1000,
                20_000,
                "--window 64 --batch 16 --duration 3s",
                f"{shards} shards" if shards > 1 else "1 shard",
                shards,
            )
            for shards in (1, 2)
        ),
        is_pinned=False,
    ),
)
