"""What a run needs to know."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from case import Case
from contestants import Contestant
from cpus import Cpus
from place import Door, Place


@dataclass(frozen=True)
class Run:
    """One contestant in one case."""

    # The load client.
    binary: Path
    contestant: Contestant
    case: Case
    door: Door
    place: Place
    cpus: Cpus

    def server(self) -> list[str]:
        """The command of the server."""
        command = self.contestant.command(self.door, self.place, self.case.shards)
        return self.cpus.of_server(command)

    def bench(self, *arguments) -> list[str]:
        """The command of a load client."""
        whom = ["--ca", "certs/ca.pem"] if self.door.mode == "wss" else []
        fixed = ["bench", self.door.url, "--json", *whom, *self.contestant.load]
        return self.cpus.of_load([self.binary, *fixed, *arguments])

    def of_case(self, feed_to: str) -> list:
        """What the case asks of a load client."""
        feed = ["--feed-to", feed_to, "--lines", self.case.lines] if self.case.lines else []
        return ["--clients", self.case.clients, *feed, *shlex.split(self.case.load)]


class RunFailed(Exception):
    """It came to nothing."""
