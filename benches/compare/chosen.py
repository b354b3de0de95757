"""What was asked for, as far as it is there."""

import sys
from pathlib import Path

import program
from contestants import Contestant
from contestants import peers as all_peers
from cpus import FREE, Cpus, one_each
from scenarios import SCENARIOS, Scenario
from telling import tell


def scenarios(names: list[str]) -> list[Scenario]:
    known = {scenario.name: scenario for scenario in SCENARIOS}
    refuse_unknown("--scenarios", names, known)
    return [known[name] for name in names] or list(SCENARIOS)


def peers(names: list[str] | None) -> list[Contestant]:
    """Those that are wanted and there."""
    known = {peer.name: peer for peer in all_peers()}
    names = [] if names == ["none"] else names if names is not None else list(known)
    refuse_unknown("--peers", names, known)
    there = []
    for peer in (known[name] for name in names):
        if missing := peer.missing():
            what = ", ".join(missing)
            tell(
                f"{peer.name} is left out: there is no {what}; benches/peers/setup installs it"
            )
        else:
            there.append(peer)
    return there


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
