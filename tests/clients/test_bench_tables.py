"""`make bench` makes the right tables of what was measured."""

import sys
from dataclasses import replace

import pytest

from binary import ROOT

sys.path.append(str(ROOT / "benches" / "compare"))

from figures import Figure, ratio  # noqa: E402
from results import File, Result, read  # noqa: E402
from tables import tables  # noqa: E402


def test_a_figure_is_the_median_with_its_range():
    assert Figure.of([5.0, 1.0, 9.0]) == Figure(5.0, 1.0, 9.0, 3)
    assert Figure.of([1.0, 2.0, 4.0, 100.0]) == Figure(3.0, 1.0, 100.0, 4)
    assert Figure.of([]) is None


@pytest.mark.parametrize(
    ("values", "digits", "shown"),
    [
        ([4.716, 5.306, 4.901], 2, "4.90 (4.72–5.31)"),
        ([4.716], 2, "4.72"),
        ([0.0, 0.0, 0.4], 0, "0"),
        ([1234567.0, 2.0], 0, "617,284 (2–1,234,567)"),
    ],
)
def test_a_figure_is_shown_with_its_digits(values, digits, shown):
    assert Figure.of(values).shown(digits) == shown


def test_a_ratio_is_that_of_the_medians():
    assert ratio(Figure.of([6.0, 1.0, 9.0]), Figure.of([4.0, 3.0, 50.0])) == 1.5
    assert ratio(Figure.of([1.0]), Figure.of([0.0])) is None
    assert ratio(Figure.of([1.0]), None) is None
    assert ratio(None, Figure.of([1.0])) is None


def result(contestant: str, round: int, cpu: float, lost: int = 0, **more) -> Result:
    report = {
        "server": {"cpu_us_per_delivery": cpu},
        "latency_us": {"each": {"p50": 1000 * cpu}},
        "deliveries": {"lost": lost},
    }
    at = f"2026-11-21T10:00:0{round}"
    return Result("S2L", "", "wss", contestant, round, at, [], {**report, **more})


def rows(text: str) -> dict[str, list[str]]:
    """The cells behind each row's name."""
    lines = [
        line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")
    ]
    return {cells[0]: cells[1:] for cells in lines}


def test_rows_are_the_server_its_peers_and_the_limit_compared_by_their_medians():
    measured = [
        result(who, number, cpu)
        for number, of_round in enumerate([(4.0, 8.0, 6.0), (2.0, 4.0, 9.0), (2.5, 5.0, 3.0)])
        for who, cpu in zip(("the limit", "signalcast", "socketify"), of_round, strict=True)
    ]
    found = rows(tables(measured))
    assert list(found)[2:] == ["signalcast", "socketify", "the limit"]
    assert found["signalcast"][0] == "5.00 (4.00–8.00)"
    assert found["socketify"][0] == "6.00 (3.00–9.00)"
    # Milliseconds, of a report in microseconds.
    assert found["signalcast"][2] == "5.00 (4.00–8.00)"
    # What nobody has reported.
    assert found["signalcast"][1] == "–"
    assert found["signalcast"][-3:] == ["1.00", "2.00", "3"]
    assert found["socketify"][-3:] == ["1.20", "2.40", "3"]


def test_what_spoils_a_figure_is_told_below_the_table():
    lossy = result("socketify", 1, 5.0, lost=12)
    warned = result("node-ws", 1, 5.0, warnings=["this tool needed 97 % of a core"])
    failed = replace(result("nats", 1, 5.0), report={}, error="it said nothing")
    text = tables([result("signalcast", 1, 4.0), lossy, warned, failed])
    assert "\\* socketify: in 1 of 1 rounds: 12 lost" in text
    assert (
        "\\* node-ws: may not be the server's figures in 1 of 1 rounds: this tool needed"
        in text
    )
    assert "\\* nats: no figures in 1 of 1 rounds: it said nothing" in text
    assert "\\* signalcast" not in text
    unasked = result("signalcast", 2, 4.0, deliveries={"lost": 0, "unasked": 3})
    assert "in 1 of 1 rounds: 3 unasked" in tables([unasked])
    assert rows(text)["nats \\*"][-1] == "0"


def test_a_slow_connect_spoils_no_figure_of_a_delivery():
    said = "this tool needed 97 % of a core to connect: the server could take more"
    run = result("signalcast", 1, 4.0, warnings=[said])
    assert "\\*" not in tables([run])
    assert said in tables([replace(run, scenario="M5")])


def test_raw_results_give_the_same_tables_again(tmp_path):
    file = File(tmp_path / "new" / "raw.jsonl", {"cpu": "some"})
    measured = [result("signalcast", 1, 4.0), result("the limit", 1, 2.0)]
    for each in measured:
        file.add(each)
    machines, again = read([file.path])
    assert machines == [{"cpu": "some"}]
    assert tables(again) == tables(measured)
