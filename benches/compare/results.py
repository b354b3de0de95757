"""Raw results: a file of JSON lines, the first of which tells of the machine."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Result:
    """A run."""

    scenario: str
    case: str
    mode: str
    contestant: str
    round: int
    # When it began, and what was typed.
    time: str
    command: list[str]
    # What the load client said; empty if nothing.
    report: dict
    # Why there is no report.
    error: str = ""

    def warnings(self) -> list[str]:
        """Why the figures may be somebody else's than the server's."""
        parts = [
            self.report,
            *(self.report.get(part, {}) for part in ("calm", "storm", "came")),
        ]
        return [warning for part in parts for warning in part.get("warnings", [])]


class File:
    """It grows with each result, so that a run which is broken off leaves what it has."""

    def __init__(self, path: Path, machine: dict) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._append({"machine": machine})

    def add(self, result: Result) -> None:
        self._append(asdict(result))

    def _append(self, content: dict) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(content) + "\n")


def read(paths: Iterable[Path]) -> tuple[list[dict], list[Result]]:
    """What is known of the machines, and all results."""
    machines, results = [], []
    for path in paths:
        for line in path.read_text().splitlines():
            content = json.loads(line)
            if "machine" in content:
                machines.append(content["machine"])
            else:
                results.append(Result(**content))
    return machines, results
