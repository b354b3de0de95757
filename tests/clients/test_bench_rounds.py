"""`make bench` measures everybody in turn."""

import sys

import pytest

from binary import ROOT

sys.path.append(str(ROOT / "benches" / "compare"))

from case import Case  # noqa: E402
from contestants import CONTESTANTS  # noqa: E402
from jobs import jobs  # noqa: E402
from limit import NAME as LIMIT  # noqa: E402
from scenarios import Scenario  # noqa: E402

OURS, LOGGED, *PEERS = (one.name for one in CONTESTANTS)
WRITES = {"ws": "plain", "wss": "rustls"}
CASES = (Case(10, label="few"), Case(10_000, label="many"))


def scenario(**more) -> Scenario:
    return Scenario("S", "some clients", (), CASES, **more)


def in_order(found: Scenario, rounds: int) -> list[tuple]:
    done = jobs([found], list(CONTESTANTS), ["wss", "ws"], rounds, 1)
    return [(job.round, job.mode, job.case.label, job.who) for job in done]


def test_in_each_round_everybody_runs_once_before_anybody_runs_again():
    everybody = scenario(has_peers=True, has_log=True, limit=WRITES)
    found = in_order(everybody, 3)
    whom = [OURS, LOGGED, *PEERS, LIMIT]
    of_round = {
        (mode, case, who) for mode in ("ws", "wss") for case in ("few", "many") for who in whom
    }
    assert [job[0] for job in found] == [1] * 32 + [2] * 32 + [3] * 32
    for number in (1, 2, 3):
        assert {job[1:] for job in found if job[0] == number} == of_round
    assert [job[1:] for job in found[:32]] != [job[1:] for job in found[32:64]]
    assert found == in_order(everybody, 3)


@pytest.mark.parametrize(
    ("more", "whom"),
    [
        ({}, {OURS}),
        ({"has_log": True}, {OURS, LOGGED}),
        ({"has_peers": True}, {OURS, *PEERS}),
        ({"limit": WRITES}, {OURS, LIMIT}),
    ],
)
def test_only_those_run_whom_a_scenario_is_for(more, whom):
    assert {job[3] for job in in_order(scenario(**more), 1)} == whom


def test_the_limit_runs_where_it_has_something_to_say():
    found = in_order(scenario(limit={"wss": "handshake"}), 1)
    assert {job[1] for job in found if job[3] == LIMIT} == {"wss"}


def test_a_try_is_each_scenario_with_some_clients_and_lines():
    assert Case(1000, 300, "--rate 100").scaled(0.5) == Case(500, 150, "--rate 100")
    assert Case(1, 300).scaled(0.01) == Case(1, 10)
    assert Case(5000, comers=5000).scaled(0.0001) == Case(2, comers=2)
