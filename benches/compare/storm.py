"""Live clients, before and while many others connect at once."""

import time
from pathlib import Path

from load import Load
from run import Run, RunFailed
from server import Server

# Behind the lines that warm the server up, the measurement begins.
WARM_UP_LINES = 20
BEGINS_WITHIN_SECONDS = 60


def measure(run: Run) -> tuple[list[str], dict]:
    with Server(run) as server:
        load, _ = live(run, server)
        try:
            calm = load.report()
        finally:
            load.end()
        load, fed = live(run, server)
        try:
            wait_for_lines(fed, WARM_UP_LINES)
            came = storm(run)
            return load.command, {"calm": calm, "storm": load.report(), "came": came}
        finally:
            load.end()


def live(run: Run, server: Server) -> tuple[Load, Path]:
    """The clients that get signals, and a copy of what they are fed."""
    fed = run.place.fresh("fed")
    publisher = run.contestant.publishing(run.door)
    feed = f"tee {fed} | {publisher}" if publisher else f"tee {fed} >{server.pipe}"
    of_case = run.of_case(f"exec:{feed}")
    return Load(run.bench("--pid", server.pid, "--warm-up", WARM_UP_LINES, *of_case), run), fed


def storm(run: Run) -> dict:
    """They share a CPU with the live clients, who must not be late for that: they come second.
    That nobody gets in is a finding, too."""
    count = run.case.comers
    at_once = ["--clients", count, "--connecting", count, "--settle", "0ms", "--duration", "0s"]
    load = Load(["nice", "-n", "5", *run.bench(*at_once)], run)
    try:
        return load.report()
    except RunFailed as failed:
        return {"clients": {"connected": 0, "failed": count}, "error": str(failed)}
    finally:
        load.end()


def wait_for_lines(path: Path, count: int) -> None:
    deadline = time.monotonic() + BEGINS_WITHIN_SECONDS
    while not path.exists() or path.read_bytes().count(b"\n") <= count:
        if time.monotonic() > deadline:
            raise RunFailed(f"no line was fed within {BEGINS_WITHIN_SECONDS} s")
        time.sleep(0.002)
