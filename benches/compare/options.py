"""What may be typed."""

import argparse
import time
from pathlib import Path

from program import ROOT, VARIABLE
from scenarios import SCENARIOS

RESULTS = ROOT / "benches" / "results"


def read() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench",
        description="Measures signalcast beside other servers, and beside what the machine can do.",
        epilog="docs/benchmarks.md says what is measured and how to read it.",
    )
    names = ", ".join(scenario.name for scenario in SCENARIOS)
    parser.add_argument(
        "--scenarios", type=words, default=[], metavar="NAMES", help=f"of {names} (all)"
    )
    parser.add_argument(
        "--peers", type=words, default=None, metavar="NAMES", help="beside whom, or none (all)"
    )
    parser.add_argument(
        "--modes", type=words, default=["wss", "ws"], metavar="NAMES", help="(wss,ws)"
    )
    parser.add_argument(
        "--rounds",
        type=at_least_one,
        default=3,
        help="each scenario so many times, in turn (3)",
    )
    parser.add_argument(
        "--scale",
        type=float,
        default=1.0,
        metavar="PART",
        help="only this part of each scenario's clients and lines, for a try (1)",
    )
    parser.add_argument(
        "--binary", metavar="PATH", help=f"the server (${VARIABLE}, or else a release build)"
    )
    parser.add_argument(
        "--load-binary", metavar="PATH", help="the load client (the same as --binary)"
    )
    parser.add_argument(
        "--limit-binary", metavar="PATH", help="the limit loop (built, when it is needed)"
    )
    parser.add_argument(
        "--cpus",
        metavar="N,N",
        help="those of the server and of the load client, or any (0,1)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}.jsonl",
        metavar="PATH",
        help="where raw results go (benches/results/TIME.jsonl)",
    )
    parser.add_argument(
        "--table",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="measure nothing; print the tables of raw results again",
    )
    return parser.parse_args()


def words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("1 at least")
    return number
