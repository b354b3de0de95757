#!/usr/bin/env python3
"""A trading bot's connection: receives signals, keeps prices exact, comes back after a break.

    pip install websocket-client
    export SIGNALCAST_TOKEN=$(signalcast token issue --sub bot-1)
    python examples/bot.py wss://127.0.0.1:8080 --ca certs/ca.pem --test

Put your orders into `trade`.
"""

import argparse
import json
import os
import random
import sys
import time
from datetime import datetime, timezone
from decimal import Decimal

import websocket

SHORTEST_WAIT = 1  # second
LONGEST_WAIT = 30


def trade(side: str, symbol: str, price: Decimal, content: dict) -> None:
    """What to do on a signal; `content` also holds the strategy's own keys."""
    # "f", because str() writes small decimals with an exponent: 1E-8.
    print(f"{side} {symbol} {price:f} at {timestamp(content)}", flush=True)


def main() -> None:
    bot = Bot(arguments())
    try:
        bot.run()
    except KeyboardInterrupt:
        sys.exit(130)


class Bot:
    def __init__(self, options: argparse.Namespace) -> None:
        self.url = options.url
        self.token = options.token
        self.sslopt = {"ca_certs": options.ca} if options.ca else {}
        self.test = options.test
        self.opened_at: float | None = None
        self.retry_after = 0.0
        self.gave_up = False

    def run(self) -> None:
        """Stays connected until the token is refused."""
        # A server that has gone silent in the middle of a handshake must not hold us for ever.
        websocket.setdefaulttimeout(20)
        wait = SHORTEST_WAIT
        # The loop is ours because run_forever returns when the server closes the connection;
        # its own `reconnect` does not cover that before version 1.9, and knows no jitter.
        while True:
            self.opened_at = None
            self.retry_after = 0.0
            app = websocket.WebSocketApp(
                self.url,
                header=[f"Authorization: Bearer {self.token}"],
                on_open=self.on_open,
                on_message=self.on_message,
                on_error=self.on_error,
                on_close=self.on_close,
            )
            # Our own pings find out that the server's machine or the line is gone.
            app.run_forever(sslopt=self.sslopt, ping_interval=30, ping_timeout=10)
            if self.gave_up:
                sys.exit(1)
            if self.opened_at and time.monotonic() - self.opened_at > LONGEST_WAIT:
                wait = SHORTEST_WAIT  # that connection was a good one: start over
            # Jitter, so that many bots do not all come back in the same second.
            wait = min(LONGEST_WAIT, random.uniform(SHORTEST_WAIT, 3 * wait))
            pause = max(wait, self.retry_after)
            say(f"connecting again in {pause:.1f} s")
            time.sleep(pause)

    def on_open(self, app: websocket.WebSocketApp) -> None:
        self.opened_at = time.monotonic()
        say(f"connected to {self.url}")
        if self.test:
            app.send("test")

    def on_message(self, app: websocket.WebSocketApp, text: str) -> None:
        # parse_float=Decimal: 75000.00 stays 75000.00, nothing passes through a float.
        message = json.loads(text, parse_float=Decimal)
        if message["type"] not in ("buy", "sell"):
            say(f"the server says: {text}")
            return
        content = message["content"]
        symbol, price = content["symbol"], Decimal(content["price"])
        if message["is_test"]:
            side = message["type"]
            print(f"test: {side} {symbol} {price:f}, not traded", flush=True)
        else:
            trade(message["type"], symbol, price, content)

    def on_error(self, app: websocket.WebSocketApp, error: Exception) -> None:
        if isinstance(error, websocket.WebSocketBadStatusException):
            self.refused(error)
        elif not isinstance(error, (KeyboardInterrupt, SystemExit)):
            say(f"{type(error).__name__}: {error}")

    def refused(self, answer: websocket.WebSocketBadStatusException) -> None:
        headers = answer.resp_headers or {}
        if answer.status_code in (401, 403):
            # Trying again would not help: it takes another token.
            why = headers.get("www-authenticate", "")
            say(f"refused with {answer.status_code}, giving up: {why}")
            self.gave_up = True
            return
        say(f"refused with {answer.status_code}")
        if answer.status_code in (429, 503) and headers.get("retry-after", "").isdigit():
            self.retry_after = float(headers["retry-after"])

    def on_close(
        self, app: websocket.WebSocketApp, code: int | None, reason: str | None
    ) -> None:
        if self.opened_at:
            say(f"disconnected: {code or 'no close frame'} {reason or ''}".rstrip())


def timestamp(content: dict) -> str:
    return datetime.fromtimestamp(content["timestamp"], timezone.utc).isoformat()


def say(text: str) -> None:
    print(f"bot: {text}", file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Receives signals from a signalcast server.")
    parser.add_argument(
        "url",
        nargs="?",
        default=os.environ.get("SIGNALCAST_URL", "wss://127.0.0.1:8080"),
        help="the server (default: $SIGNALCAST_URL, else wss://127.0.0.1:8080)",
    )
    parser.add_argument(
        "--token",
        default=os.environ.get("SIGNALCAST_TOKEN"),
        help="default: $SIGNALCAST_TOKEN, which other users of this machine can't see",
    )
    parser.add_argument(
        "--ca", metavar="FILE", help="certificate authority to trust, such as certs/ca.pem"
    )
    parser.add_argument(
        "--test", action="store_true", help="ask for a test signal after connecting"
    )
    options = parser.parse_args()
    if not options.token:
        parser.error("a token is needed: set SIGNALCAST_TOKEN or give --token")
    return options


if __name__ == "__main__":
    main()
