"""Measures the server beside others, in turn, and prints tables: `make bench`."""

import logging
import resource
import sys
from pathlib import Path

import chosen
import machine
import options
import program
import results
from bench import Bench
from jobs import jobs
from place import Place
from tables import tables


def main() -> None:
    # Progress goes to standard error: standard output is for tables.
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    typed = options.read()
    if typed.table:
        machines, found = results.read(typed.table)
        print(*map(machine.shown, machines), sep="\n", end="\n\n")
        print(tables(found))
    else:
        measure(typed)


def measure(typed) -> None:
    scenarios = chosen.scenarios(typed.scenarios)
    modes = chosen.modes(typed.modes)
    contestants = chosen.contestants(typed.peers)
    binary = program.server_binary(typed.binary)
    loop = chosen.limit_loop(typed.limit_binary, scenarios, modes)
    allow_many_files()
    known = machine.known(binary, typed.scale)
    file = results.File(typed.output, known)
    cpus = chosen.cpus(typed.cpus)
    logging.info("%s; results in %s", machine.shown(known), file.path)
    found = []
    with Place(binary) as place:
        bench = Bench(Path(typed.load_binary or binary).resolve(), loop, place, cpus)
        for job in jobs(scenarios, contestants, modes, typed.rounds, typed.scale):
            found.append(bench.result(job))
            file.add(found[-1])
    print(machine.shown(known), end="\n\n")
    print(tables(found))
    logging.info("raw results: %s", file.path)
    if all(result.error for result in found):
        sys.exit(1)


def allow_many_files() -> None:
    """Some servers don't raise their limit themselves."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    main()
