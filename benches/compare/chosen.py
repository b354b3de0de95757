"""What was asked for, as far as it is there."""

import logging
import sys
from pathlib import Path

import program
from contestants import CONTESTANTS, Contestant, Role
from cpus import FREE, Cpus, one_each
from scenarios import SCENARIOS, Scenario


def scenarios(names: list[str]) -> list[Scenario]:
    known = {scenario.name: scenario for scenario in SCENARIOS}
    refuse_unknown("--scenarios", names, known)
    return [known[name] for name in names] or list(SCENARIOS)


def contestants(peers: list[str] | None) -> list[Contestant]:
    """We ourselves, and those peers that are wanted and there."""
    known = {one.name: one for one in CONTESTANTS if one.role is Role.PEER}
    names = [] if peers == ["none"] else list(known) if peers is None else peers
    refuse_unknown("--peers", names, known)
    found = [one for one in CONTESTANTS if one.role is not Role.PEER or one.name in names]
    return [one for one in found if is_there(one)]


def is_there(contestant: Contestant) -> bool:
    missing = ", ".join(contestant.missing())
    if missing:
        logging.warning(
            "%s is left out: there is no %s; benches/peers/setup installs it",
            contestant.name,
            missing,
        )
    return not missing


def refuse_unknown(option: str, names: list[str], known: dict) -> None:
    for name in names:
        if name not in known:
            sys.exit(f"{option}: {name} is not known; write some of {', '.join(known)}")


def cpus(text: str | None) -> Cpus:
    if text is None:
        return one_each()
    server, _, of_load = text.partition(",")
    return FREE if text == "any" else Cpus(server, of_load)


def limit_loop(given: str | None, asked: list[Scenario], modes: list[str]) -> Path | None:
    """None if nobody asks for it."""
    if not any(mode in scenario.limit for scenario in asked for mode in modes):
        return None
    return Path(given) if given else program.limit_binary()


def modes(names: list[str]) -> list[str]:
    refuse_unknown("--modes", names, {"wss": None, "ws": None})
    return names
