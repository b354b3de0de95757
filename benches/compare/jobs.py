"""What is to be done, and in which order."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

import limit
from case import Case
from contestants import Contestant, Role
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
    contestants: list[Contestant],
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
                for contestant in taking_part(scenario, mode, contestants)
            ]
            random.Random(number).shuffle(of_round)
            yield from of_round


def taking_part(
    scenario: Scenario, mode: str, contestants: list[Contestant]
) -> list[Contestant | None]:
    roles = {Role.OURS}
    if scenario.has_log:
        roles.add(Role.LOGGED)
    if scenario.has_peers:
        roles.add(Role.PEER)
    limit_loop = [None] if mode in scenario.limit else []
    return [one for one in contestants if one.role in roles] + limit_loop
