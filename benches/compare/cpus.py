"""Which CPUs the server and the load have."""

import os
import shutil
from dataclasses import dataclass


@dataclass(frozen=True)
class Cpus:
    """Lists as taskset(1) takes them; empty: any."""

    server: str = ""
    load: str = ""

    def of_server(self, command: list) -> list[str]:
        return pinned(self.server, command)

    def of_load(self, command: list) -> list[str]:
        return pinned(self.load, command)


FREE = Cpus()


def one_each() -> Cpus:
    """The first CPU for the server and the second for the load, if they are there."""
    ours = sorted(os.sched_getaffinity(0))
    if len(ours) < 2 or shutil.which("taskset") is None:
        return FREE
    return Cpus(str(ours[0]), str(ours[1]))


def pinned(cpus: str, command: list) -> list[str]:
    prefix = ["taskset", "-c", cpus] if cpus else []
    return [*prefix, *(str(part) for part in command)]
