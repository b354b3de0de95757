"""`make bench`'s clients that ask for one symbol each, on a real server: what they make of it."""

import json
import subprocess
import sys

import pytest

from binary import ROOT
from running import clean_environment

COMPARE = ROOT / "benches" / "compare"

sys.path.append(str(COMPARE))

from symbols import FIRST_TIMESTAMP, named_after_its_number  # noqa: E402

CLIENTS = 6
SYMBOLS = 3
# The first two lines are not counted.
FIRST = 2
LINES = 9


def line(number: int) -> str:
    timestamp = FIRST_TIMESTAMP + number
    content = f'{{"symbol":"BTCUSDT","price":1.5,"timestamp":{timestamp}}}'
    whole = f'{{"type":"buy","content":{content},"is_test":true}}'
    return named_after_its_number(whole.encode(), SYMBOLS).decode().rstrip("\n")


@pytest.mark.parametrize(
    ("numbers", "found"),
    [
        (list(range(11)), {"deliveries": 18, "lost": 0, "wrong": 0}),
        # Each symbol has two clients.
        ([0, 1, 2, 3, 4, 6, 7, 8, 9, 10], {"deliveries": 16, "lost": 2, "wrong": 0}),
        ([0, 1, 2, 3, 3, *range(4, 11)], {"deliveries": 18, "lost": 0, "wrong": 2}),
    ],
    ids=["all", "one_is_missing", "one_comes_twice"],
)
def test_each_client_is_judged_by_the_lines_of_its_symbol(run, server, numbers, found):
    crowd = run(
        sys.executable,
        COMPARE / "filtered_crowd.py",
        server.url,
        *(CLIENTS, SYMBOLS, FIRST, LINES),
        server.ca,
        stdin=subprocess.PIPE,
        env=clean_environment(SIGNALCAST_TOKEN=server.token()),
    )
    crowd.line("ready")
    for number in numbers:
        server.append(line(number))
    crowd.process.stdin.close()
    assert crowd.ended() == 0
    report = json.loads(crowd.lines[-1])
    assert {key: report[key] for key in found} == found
    assert (report["clients"], report["expected"], report["closed"]) == (CLIENTS, 18, 0)
