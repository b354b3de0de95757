"""Bots that were away: each signal once, the missed ones too."""

import json
import re
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from bots import Bot
from running import ROOT, Server, clean_environment


def lines(numbers: range) -> str:
    """Signals whose prices a float could not keep."""
    return "\n".join(f"buy BTCUSDT {number}.10000000000000000000 1720000000" for number in numbers)


def price(number: int) -> str:
    return f"{number}.10000000000000000000"


@pytest.fixture
def documented_bot(server: Server, folder: Path, run):
    """Starts the bot of docs/protocol.md, as it stands there but for the address."""
    page = (ROOT / "docs" / "protocol.md").read_text()
    _, section = page.split("\n### Resuming\n")
    (program,) = re.findall(r"^```python\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    assert program.count("wss://127.0.0.1:8080") == 1
    (folder / "bot.py").write_text(program.replace("wss://127.0.0.1:8080", server.url))
    environment = clean_environment(SIGNALCAST_TOKEN=server.token())

    def start():
        return run(sys.executable, "bot.py", env=environment)

    return start


def test_the_documented_bot_has_every_signal_once_although_the_server_was_killed(
    server, documented_bot
):
    bot = documented_bot()
    bot.error_line("connected")
    server.append(lines(range(1, 4)))
    bot.line(price(3))
    for round in range(1, 4):
        first = 10 * round
        said = len(bot.errors)
        server.crash()
        # Most likely before the bot is back.
        server.append(lines(range(first, first + 5)))
        bot.error_line("connected", after=said)
        server.append(lines(range(first + 5, first + 8)))
        bot.line(price(first + 7))
    numbers = [1, 2, 3, *range(10, 18), *range(20, 28), *range(30, 38)]
    assert bot.lines == [
        f"{seq} buy BTCUSDT {price(number)}" for seq, number in enumerate(numbers, start=1)
    ]


def test_the_documented_bot_goes_on_where_it_was_when_it_is_started_anew(server, documented_bot):
    bot = documented_bot()
    bot.error_line("connected")
    server.append(lines(range(1, 3)))
    bot.line(price(2))
    bot.kill()
    server.append(lines(range(3, 6)))
    bot = documented_bot()
    server.append(lines(range(6, 7)))
    bot.line(price(6))
    numbers = [int(line.split()[0]) for line in bot.lines]
    # The one that it was killed with may come again.
    assert numbers[-4:] == [3, 4, 5, 6]
    assert numbers[:-4] in ([], [2])


def test_the_documented_bot_stops_when_the_log_is_another_one(server, folder, documented_bot):
    bot = documented_bot()
    bot.error_line("connected")
    server.append(lines(range(1, 3)))
    bot.line(price(2))
    server.child.kill()
    for file in (folder / "data").glob("signals.db*"):
        file.unlink()
    server.start(listen=server.url.removeprefix("wss://"))
    assert bot.ended() == 1
    assert any("another log" in line or "410" in line for line in bot.errors), bot.story()


def test_a_v1_bot_gets_what_was_received_since_a_time(server, bot):
    live = Bot(f"{server.url}/?after_seq=0", server.token(), server.ca).opened()
    server.append(lines(range(1, 6)))
    sent = [live.message() for _ in range(5)]
    assert [json.loads(text, parse_float=Decimal)["content"]["price"] for text in sent] == [
        Decimal(price(number)) for number in range(1, 6)
    ]
    live.close()
    server.crash()

    all_of_it = Bot(f"{server.url}/?since=2020-01-01T00:00:00Z", server.token(), server.ca)
    assert [all_of_it.message() for _ in range(5)] == sent
    # A plus would be a blank in a URL.
    later = f"{server.url}/?since=2999-01-01T00:00:00%2B01:00"
    none_of_it = Bot(later, server.token(), server.ca).opened()
    server.append(lines(range(6, 7)))
    assert none_of_it.message() == all_of_it.message()
    for each in (all_of_it, none_of_it):
        each.close()
