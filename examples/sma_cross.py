#!/usr/bin/env python3
"""A moving-average crossover over real prices, as signals on standard output.

    pip install --no-deps backtesting
    python examples/sma_cross.py | signalcast serve --source stdin

It buys when the fast average of the closing prices crosses above the slow one and sells when
it crosses below: daily GOOG from 2004 to 2013, then hourly EUR/USD from 2017 to 2018. The
series are CSV files in the PyPI package `backtesting`, which is read, never imported.

Prices go out as the text that stands in the series. The averages are exact too: sums of
decimals, compared without a division.
"""

import argparse
import csv
import importlib.util
import json
import os
import re
import sys
import time
from collections import deque
from collections.abc import Iterator
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

SERIES = {"GOOG": "GOOG.csv", "EURUSD": "EURUSD.csv"}
JSON_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")
INSTALL = (
    "the price series are not installed; run: {python} -m pip install --no-deps backtesting"
)


def main() -> None:
    options = arguments()
    try:
        for symbol, file in SERIES.items():
            for side, price, when in crossings(
                closes(series_folder() / file), options.fast, options.slow
            ):
                print(
                    signal(side, symbol, price, when, options.fast, options.slow),
                    flush=True,
                )
                time.sleep(options.pace)
    except BrokenPipeError:
        # Whoever read the signals has gone: nothing is left to say. Without this, Python
        # would complain while it flushes standard output at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        sys.exit(130)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="A moving-average crossover over real prices (daily GOOG, hourly EUR/USD), "
        "as signals on standard output, one JSON line each."
    )
    parser.add_argument(
        "--fast", type=int, default=10, help="prices in the fast average (default: 10)"
    )
    parser.add_argument(
        "--slow", type=int, default=20, help="prices in the slow average (default: 20)"
    )
    parser.add_argument(
        "--pace",
        type=float,
        default=0,
        metavar="SECONDS",
        help="pause after each signal (default: 0)",
    )
    options = parser.parse_args()
    if not 0 < options.fast < options.slow:
        parser.error("--fast must be at least 1 and less than --slow")
    if not 0 <= options.pace < float("inf"):
        parser.error("--pace must be 0 or more seconds")
    return options


def series_folder() -> Path:
    # Finding a package's place does not run its code.
    package = importlib.util.find_spec("backtesting")
    if package is None or package.origin is None:
        sys.exit(f"sma_cross: {INSTALL.format(python=sys.executable)}")
    return Path(package.origin).parent / "test"


def closes(path: Path) -> Iterator[tuple[datetime, str]]:
    """Time and closing price of each row; the price as text. The times name no zone: UTC."""
    with path.open(newline="") as file:
        rows = csv.reader(file)
        column = next(rows).index("Close")
        for row in rows:
            when = datetime.fromisoformat(row[0]).replace(tzinfo=timezone.utc)
            yield when, row[column]


def crossings(
    prices: Iterator[tuple[datetime, str]], fast: int, slow: int
) -> Iterator[tuple[str, str, datetime]]:
    window: deque[Decimal] = deque(maxlen=slow)
    was_above = None
    for when, text in prices:
        window.append(Decimal(text))
        if len(window) < slow:
            continue
        fast_sum = sum(list(window)[-fast:])
        slow_sum = sum(window)
        # fast_sum / fast against slow_sum / slow, both sides times fast * slow.
        difference = fast_sum * slow - slow_sum * fast
        if difference == 0:
            continue  # touching is not crossing: the side they were on still stands
        above = difference > 0
        if was_above is not None and above != was_above:
            yield "buy" if above else "sell", text, when
        was_above = above


def signal(
    side: str, symbol: str, price: str, when: datetime, fast: int, slow: int
) -> str:
    """One line in the server's own shape. Put together by hand around the price, because
    `json.dumps` knows no decimals, and a float may print other digits than the series has."""
    if not JSON_NUMBER.fullmatch(price):
        raise ValueError(f"{symbol} at {when}: not a price: {price!r}")
    return (
        f'{{"type":"{side}","content":{{"symbol":{json.dumps(symbol)},"price":{price},'
        f'"timestamp":{int(when.timestamp())},"strategy":"sma_cross","fast":{fast},'
        f'"slow":{slow}}},"is_test":false}}'
    )


if __name__ == "__main__":
    main()
