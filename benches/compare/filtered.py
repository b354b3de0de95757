"""Clients of which some have asked for one symbol each."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

from load import PATIENCE_SECONDS, Load, LoadFailed
from place import environment
from run import Run
from server import Server

SYMBOLS = 50
HERE = Path(__file__).parent

# What the load client writes before the lines that count.
WARM_UP_LINES = 20


def measure(run: Run) -> tuple[list[str], dict]:
    arguments = shlex.split(run.case.load)
    lines = int(arguments[arguments.index("--lines") + 1])
    some = run.case.clients * run.case.filtered_percent // 100
    with Server(run) as server, Crowd(some, lines, run) as crowd:
        naming = shlex.join([sys.executable, str(HERE / "symbols.py"), str(SYMBOLS)])
        feed = ["--feed-to", f"exec:exec {naming} >{server.pipe}"]
        whom = ["--clients", run.case.clients - some, "--pid", server.pid]
        command = run.bench(*whom, *feed, *arguments)
        load = Load(command, run)
        try:
            report = load.report()
        finally:
            load.end()
        return command, with_filtered(report, crowd.report())


def with_filtered(report: dict, filtered: dict) -> dict:
    """What the server used is for all deliveries, not only those that the load client saw."""
    server, deliveries = report["server"], report["deliveries"]
    count = deliveries["count"] + filtered["deliveries"]
    if server is None or count == 0:
        raise LoadFailed("nothing was delivered, or the server is gone")
    together = {
        "server": {**server, "cpu_us_per_delivery": server["cpu_seconds"] / count * 1e6},
        "deliveries": {**deliveries, "per_second": count / deliveries["seconds"]},
    }
    return {**report, **together, "filtered": filtered}


class Crowd:
    """`filtered_crowd.py`, while it runs."""

    def __init__(self, clients: int, lines: int, run: Run) -> None:
        ca = ["certs/ca.pem"] if run.door.mode == "wss" else []
        numbers = [clients, SYMBOLS, WARM_UP_LINES, lines]
        program = [sys.executable, HERE / "filtered_crowd.py", run.door.url, *numbers, *ca]
        self._child = subprocess.Popen(
            run.cpus.of_load(program),
            cwd=run.place.folder,
            env=environment(SIGNALCAST_TOKEN=run.place.token),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._child.stdout.readline() != "ready\n":
            self.end()
            raise LoadFailed("the filtered clients could not connect")

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(self, *_) -> None:
        self.end()

    def report(self) -> dict:
        out, _ = self._child.communicate(timeout=PATIENCE_SECONDS)
        return json.loads(out)

    def end(self) -> None:
        if self._child.poll() is None:
            self._child.kill()
        self._child.communicate()
