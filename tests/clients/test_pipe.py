"""Standard input as a feed, by what becomes of the server when it ends."""

import json

from bots import Bot
from running import server_binary

SERVE = ("serve", "--listen", "127.0.0.1:0", "--source", "stdin")


def test_the_server_goes_on_when_its_standard_input_has_ended(idle_server, folder, run):
    feed = folder / "feed"
    feed.write_text("buy EURUSD 1.07260 1492596000\n")
    with feed.open() as stdin:
        idle_server.watch(run(server_binary(), *SERVE, stdin=stdin))
    idle_server.child.error_line("source ended")
    bot = Bot(idle_server.url, idle_server.token(), idle_server.ca).opened()
    bot.app.send("test")
    assert json.loads(bot.message())["is_test"] is True
    bot.close()
    idle_server.stop()


def test_the_last_line_of_a_pipe_needs_no_newline(idle_server, folder, run):
    feed = folder / "feed"
    feed.write_text("buy EURUSD 1.07260 1492596000\nsell EURUSD 1.07260 1492596060")
    with feed.open() as stdin:
        idle_server.watch(
            run(server_binary(), *SERVE, "--wait-clients", "1", "--exit-on-eof", stdin=stdin)
        )
    bot = Bot(idle_server.url, idle_server.token(), idle_server.ca)
    assert [json.loads(bot.message())["type"] for _ in range(2)] == ["buy", "sell"]
    assert idle_server.child.ended() == 0, idle_server.child.story()
