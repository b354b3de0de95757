"""A strategy piped into the server, with many bots listening."""

import json
import shlex
import sys
from decimal import Decimal

from bots import Bot
from running import EXAMPLES, server_binary

BOTS = 50


def exact(text: str) -> dict:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def test_fifty_bots_get_every_signal_of_a_piped_strategy_in_order_and_exact(
    idle_server, folder, run
):
    token = idle_server.token()
    strategy = shlex.join([sys.executable, str(EXAMPLES / "sma_cross.py")])
    options = "--listen 127.0.0.1:0 --source stdin --wait-clients 50 --exit-on-eof"
    pipe = run(
        *("bash", "-o", "pipefail", "-c"),
        f"{strategy} | tee saved.jsonl | {shlex.quote(server_binary())} serve {options}",
    )
    idle_server.watch(pipe)

    bots = [Bot(idle_server.url, token, idle_server.ca) for _ in range(BOTS)]
    # The server ends by itself, so the connections do, and then each bot has all it will get.
    assert pipe.ended(within=60) == 0, pipe.story()
    saved = (folder / "saved.jsonl").read_text().splitlines()
    assert len(saved) >= 300
    expected = [exact(line) for line in saved]
    for bot in bots:
        bot.close()
        received = list(bot.messages.queue)
        assert [exact(message) for message in received] == expected
        # Decimals compare by value; the text is to be the same as well.
        assert received == saved
