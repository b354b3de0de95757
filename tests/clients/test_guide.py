"""The integration guide's Python programs, as written but for address and token."""

import asyncio
import json
import ssl
import subprocess
import time

import websocket
import websockets

from running import DEADLINE, NODE_MODULES, ROOT

SIGNAL = (
    '{"type":"buy","content":{"symbol":"BTCUSDT","price":75000.00,'
    '"timestamp":1720000000},"is_test":false}'
)


def test_a_bot_receives_an_appended_signal_byte_for_byte(server, bot):
    listening = bot().opened()
    server.append(SIGNAL)
    assert listening.message() == SIGNAL


def test_every_accepted_shape_of_a_line_arrives_in_the_one_shape_of_the_wire(server, bot):
    listening = bot().opened()
    server.append("buy BTCUSDT 75000.00 1720000000")
    server.append('{"side":"LONG","ticker":"BTCUSDT","price":"75000.00","time":1720000000}')
    server.append(
        '{ "is_test": false, "content": { "price": 75000.00, "symbol": "BTCUSDT",'
        ' "timestamp": "2024-07-03T09:46:40Z" }, "type": "BUY" }'
    )
    assert [listening.message() for _ in range(3)] == [SIGNAL] * 3


def test_a_line_that_is_no_signal_does_not_keep_the_next_from_arriving(server, bot):
    listening = bot().opened()
    server.append("hold BTCUSDT 75000.00")
    server.append(SIGNAL)
    assert listening.message() == SIGNAL
    server.stop()  # after which all that had to be written is written
    dead = (server.folder / "data" / "dead-letters.jsonl").read_text().splitlines()
    assert [json.loads(letter)["line"] for letter in dead] == ["hold BTCUSDT 75000.00"]


def test_test_is_answered_with_test_signals_that_buy_and_sell_in_turn(server, bot):
    asking = bot().opened()
    before = int(time.time())
    sides = []
    for _ in range(4):
        asking.app.send("test")
        answer = asking.message()
        message = json.loads(answer)
        now = message["content"]["timestamp"]
        side = message["type"]
        assert answer == (
            f'{{"type":"{side}","content":{{"symbol":"BTCUSDT","price":75000.00,'
            f'"timestamp":{now}}},"is_test":true}}'
        )
        assert before <= now <= int(time.time())
        sides.append(side)
    assert set(sides[:2]) == {"buy", "sell"}
    assert sides[2:] == sides[:2]


def test_the_answer_to_test_goes_to_the_one_who_asked_alone(server, bot):
    asking, other = bot().opened(), bot().opened()
    asking.app.send("test")
    assert json.loads(asking.message())["is_test"] is True
    server.append(SIGNAL)
    assert asking.message() == SIGNAL
    assert other.message() == SIGNAL


def test_a_bot_with_a_bad_token_sees_401_in_on_error(bot):
    refused = bot("not-a-token").error()
    assert isinstance(refused, websocket.WebSocketBadStatusException)
    assert refused.status_code == 401


def test_a_bot_whose_token_may_not_read_signals_sees_403_in_on_error(server, bot):
    refused = bot(server.token("signals:test")).error()
    assert isinstance(refused, websocket.WebSocketBadStatusException)
    assert refused.status_code == 403


def test_a_bot_that_does_not_trust_the_authority_does_not_connect(server):
    # The system's own list of authorities: the development certificate is not of theirs.
    stranger = websocket.WebSocket()
    try:
        stranger.connect(
            server.url, header=[f"Authorization: Bearer {server.token()}"], timeout=DEADLINE
        )
    except ssl.SSLCertVerificationError:
        return
    raise AssertionError("connected without knowing the certificate authority")


def test_python_websockets_receives_a_signal_and_the_answer_to_test(server):
    async def program() -> None:
        trusted = ssl.create_default_context(cafile=server.ca)
        headers = {"Authorization": f"Bearer {server.token()}"}
        async with websockets.connect(
            server.url, additional_headers=headers, ssl=trusted, proxy=None
        ) as connection:
            server.append(SIGNAL)
            assert await connection.recv() == SIGNAL
            await connection.send("test")
            assert json.loads(await connection.recv())["is_test"] is True

    asyncio.run(asyncio.wait_for(program(), DEADLINE))


def test_wscat_shows_a_signal_and_the_answer_to_test(server, run):
    authorization = f"Authorization: Bearer {server.token()}"
    wscat = run(
        *(NODE_MODULES / ".bin" / "wscat", "--ca", server.ca, "-H", authorization),
        # Sent as soon as it is connected; then it stays.
        *("--connect", server.url, "--execute", "test", "--wait=-1"),
        stdin=subprocess.PIPE,
    )
    answer = json.loads(wscat.line("is_test"))
    assert answer["is_test"] is True
    server.append(SIGNAL)
    assert wscat.line('"is_test":false') == SIGNAL


def test_every_line_of_the_sample_is_a_signal_or_a_comment(server, bot):
    sample = (ROOT / "signals" / "sample.jsonl").read_text().splitlines()
    lines = [line for line in sample if line and not line.startswith("#")]
    listening = bot().opened()
    for line in sample:
        server.append(line)
    received = [json.loads(listening.message()) for _ in lines]
    assert len(received) >= 8
    server.stop()
    assert (server.folder / "data" / "dead-letters.jsonl").read_text() == ""
