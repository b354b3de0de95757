"""The programs in examples/ do what their first lines promise."""

import csv
import importlib.util
import json
import sys
from datetime import datetime, timezone
from fractions import Fraction
from pathlib import Path

import pytest

from bots import Bot
from running import EXAMPLES, clean_environment

STRATEGY = (sys.executable, EXAMPLES / "sma_cross.py")


def series(name: str) -> list[tuple[int, str]]:
    """Unix time and closing price, as text, of each row."""
    package = importlib.util.find_spec("backtesting")
    assert package is not None
    path = Path(package.origin).parent / "test" / name
    rows = list(csv.reader(path.open(newline="")))
    close = rows[0].index("Close")
    return [
        (
            int(datetime.fromisoformat(row[0]).replace(tzinfo=timezone.utc).timestamp()),
            row[close],
        )
        for row in rows[1:]
    ]


def crossings(prices: list[tuple[int, str]], fast: int, slow: int):
    """The same rule as the example's, written down once more by definition."""
    side = None
    exact = [Fraction(price) for _, price in prices]
    for end in range(slow, len(prices) + 1):
        gap = sum(exact[end - fast : end]) / fast - sum(exact[end - slow : end]) / slow
        now = side if gap == 0 else "buy" if gap > 0 else "sell"
        if side is not None and now != side:
            yield now, *prices[end - 1]
        side = now


@pytest.mark.parametrize(("fast", "slow"), [(10, 20), (5, 40)])
def test_the_strategy_prints_each_crossing_with_the_price_as_it_stands_in_the_series(
    run, fast, slow
):
    strategy = run(*STRATEGY, "--fast", str(fast), "--slow", str(slow))
    assert strategy.ended() == 0
    expected = [
        f'{{"type":"{side}","content":{{"symbol":"{symbol}","price":{price},'
        f'"timestamp":{when},"strategy":"sma_cross","fast":{fast},"slow":{slow}}},'
        '"is_test":false}'
        for symbol in ("GOOG", "EURUSD")
        for side, when, price in crossings(series(f"{symbol}.csv"), fast, slow)
    ]
    assert strategy.lines == expected


def test_the_strategy_prints_at_least_300_signals(run):
    strategy = run(*STRATEGY)
    assert strategy.ended() == 0
    assert len(strategy.lines) >= 300
    assert {json.loads(line)["content"]["symbol"] for line in strategy.lines} == {
        "GOOG",
        "EURUSD",
    }


def test_the_strategy_stops_quietly_when_nobody_reads_on(run):
    shell = run("bash", "-c", '"$0" "$1" | head -1; echo "${PIPESTATUS[0]}"', *STRATEGY)
    assert shell.ended() == 0
    assert len(shell.lines) == 2
    assert shell.lines[1] == "0"
    assert shell.errors == []


def test_the_strategy_says_how_to_install_the_series_when_they_are_missing(run):
    # -S: without the folder that packages are installed in.
    strategy = run(sys.executable, "-S", EXAMPLES / "sma_cross.py")
    assert strategy.ended() == 1
    assert strategy.lines == []
    assert len(strategy.errors) == 1
    assert "pip install --no-deps backtesting" in strategy.errors[0]


@pytest.fixture(params=["bot.py", "bot.mjs"])
def example_bot(request, run):
    """Starts the example in Python, then the one in Node: both behave the same."""
    python = request.param == "bot.py"
    interpreter = sys.executable if python else "node"

    def start(url: str, token: str, ca: str, *arguments: str):
        return run(
            *(interpreter, EXAMPLES / request.param, url, "--ca", ca, *arguments),
            env=clean_environment(SIGNALCAST_TOKEN=token),
        )

    return start


def test_the_example_bot_prints_signals_with_exact_prices(server, example_bot):
    bot = example_bot(server.url, server.token(), server.ca)
    bot.error_line("connected to")
    server.append("buy BTCUSDT 75000.00 1720000000")
    assert bot.line("BTCUSDT").startswith("buy BTCUSDT 75000.00 at 2024-07-03T09:46:40")
    server.append("sell BTC/USDT:USDT 1e-8 1720000000")
    assert bot.line("BTC/USDT:USDT").startswith("sell BTC/USDT:USDT 0.00000001 at ")


def test_the_example_bot_asks_for_a_test_signal_and_does_not_trade_on_it(
    server, example_bot
):
    bot = example_bot(server.url, server.token(), server.ca, "--test")
    assert bot.line("BTCUSDT") in (
        "test: buy BTCUSDT 75000.00, not traded",
        "test: sell BTCUSDT 75000.00, not traded",
    )


def test_the_example_bot_comes_back_after_a_restart_of_the_server(server, example_bot):
    bot = example_bot(server.url, server.token(), server.ca)
    bot.error_line("connected to")
    server.append("buy BTCUSDT 75000.00 1720000000")
    bot.line("75000.00")
    said = len(bot.errors)
    server.restart()
    bot.error_line("connected to", after=said)
    server.append("sell BTCUSDT 75000.10 1720000060")
    assert bot.line("75000.10").startswith("sell BTCUSDT 75000.10 at 2024-07-03T09:47:40")


def test_the_example_bot_gives_up_when_its_token_is_refused(server, example_bot):
    bot = example_bot(server.url, "not-a-token", server.ca)
    assert bot.ended() == 1
    assert "refused with 401, giving up" in bot.error_line("refused")


def test_the_example_bot_gives_up_when_its_token_may_not_read_signals(server, example_bot):
    bot = example_bot(server.url, server.token("signals:test"), server.ca)
    assert bot.ended() == 1
    assert "refused with 403, giving up" in bot.error_line("refused")


def test_the_example_bot_waits_and_tries_again_when_the_server_is_full(
    idle_server, example_bot
):
    idle_server.start("--limits-connections", "1")
    token = idle_server.token()
    first = Bot(idle_server.url, token, idle_server.ca).opened()
    second = example_bot(idle_server.url, token, idle_server.ca)
    second.error_line("refused with 503")
    second.error_line("connecting again in")
    first.close()
    second.error_line("connected to")
    idle_server.stop()
