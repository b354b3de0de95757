"""`make bench` goes on when a run comes to nothing."""

import sys

import pytest

from binary import ROOT

sys.path.append(str(ROOT / "benches" / "compare"))

import columns  # noqa: E402
from bench import Bench  # noqa: E402
from case import Case  # noqa: E402
from contestants import CONTESTANTS  # noqa: E402
from cpus import FREE  # noqa: E402
from jobs import Job  # noqa: E402
from place import Place  # noqa: E402
from scenarios import Scenario  # noqa: E402

CASE = Case(2, 10)
SCENARIO = Scenario("S", "some clients", (columns.CPU,), (CASE,))

# Stands for the server and for its load client.
PROGRAM = """\
#!/bin/sh
case $1 in
token) echo secret ;;
bench) {bench} ;;
esac
"""


@pytest.mark.parametrize(
    ("bench", "report", "error"),
    [
        ("echo '{\"own\": {}}'", {"own": {}}, ""),
        ("echo '{\"own\": '; echo 'out of memory' >&2", {}, "out of memory"),
        ("echo 'no client could connect' >&2", {}, "no client could connect"),
        ("exit 1", {}, "it said nothing"),
    ],
    ids=["a_report", "half_a_report", "a_reason", "nothing"],
)
def test_what_a_load_client_says_is_the_result(tmp_path, bench, report, error):
    program = tmp_path / "signalcast"
    program.write_text(PROGRAM.format(bench=bench))
    program.chmod(0o755)
    with Place(program) as place:
        job = Job(SCENARIO, CASE, "ws", 1, CONTESTANTS[0])
        result = Bench(program, None, place, FREE).result(job)
    assert (result.report, result.error) == (report, error)
