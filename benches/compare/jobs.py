"""What is to be done, and in which order."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

import limit
from case import Case
from contestants import Contestant
from scenarios import Scenario


@dataclass(frozen=True)
class Job:
    scenario: Scenario
    case: Case
    mode: str
    round: int
    # None: the limit loop.
    contestant: Contestant | None

    @property
    def who(self) -> str:
        return self.contestant.name if self.contestant else limit.NAME

    def __str__(self) -> str:
        parts = (
            self.scenario.name,
            self.case.label,
            self.mode,
            self.who,
            f"round {self.round}",
        )
        return ", ".join(part for part in parts if part)


def jobs(
    scenarios: list[Scenario],
    rivals: list[Contestant],
    modes: list[str],
    rounds: int,
    scale: float,
) -> Iterator[Job]:
    """Everybody in each round of a scenario, so that what the machine does meanwhile is done to
    all; in another order each time, the same in each run."""
    for scenario in scenarios:
        cases = [case.scaled(scale) if scale != 1 else case for case in scenario.cases]
        for number in range(1, rounds + 1):
            of_round = [
                Job(scenario, case, mode, number, contestant)
                for mode in modes
                if mode in scenario.modes
                for case in cases
                for contestant in taking_part(scenario, mode, rivals)
            ]
            random.Random(number).shuffle(of_round)
            yield from of_round


def taking_part(
    scenario: Scenario, mode: str, rivals: list[Contestant]
) -> list[Contestant | None]:
    ours, logged, *peers = rivals
    parts: list[Contestant | None] = [ours]
    parts += [logged] if scenario.has_log else []
    parts += peers if scenario.has_peers else []
    parts += [None] if mode in scenario.limit else []
    return parts
