"""A session of signalcast.v2 by websocket-client, each message as docs/asyncapi.yaml says."""

import json
import ssl
import urllib.request
from decimal import Decimal

import pytest
import websocket
import yaml
from jsonschema import Draft202012Validator

from running import DEADLINE, ROOT, Server

ASYNCAPI = yaml.safe_load((ROOT / "docs" / "asyncapi.yaml").read_text())


def documented(channel: str) -> Draft202012Validator:
    """Judges messages by what the server may send on a channel."""
    here = {"$ref": f"#/channels/{channel}"}
    sends = [
        operation if operation["action"] == "send" else operation["reply"]
        for operation in ASYNCAPI["operations"].values()
    ]
    names = {
        message["$ref"].rpartition("/")[2]
        for each in sends
        if each["channel"] == here
        for message in each["messages"]
    }
    messages = ASYNCAPI["channels"][channel]["messages"]
    payloads = [
        ASYNCAPI["components"]["messages"][messages[name]["$ref"].rpartition("/")[2]]["payload"]
        for name in sorted(names)
    ]
    return Draft202012Validator(
        {"oneOf": payloads, "components": {"schemas": ASYNCAPI["components"]["schemas"]}},
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )


V2 = documented("v2")


class Session:
    """A connection of signalcast.v2 whose messages are held against the document."""

    def __init__(self, server: Server, token: str, query: str = "", **options) -> None:
        self.socket = websocket.WebSocket(sslopt={"ca_certs": server.ca})
        self.socket.connect(
            f"{server.url}/{query}",
            header=[f"Authorization: Bearer {token}"],
            subprotocols=["signalcast.v2"],
            timeout=DEADLINE,
            **options,
        )
        assert self.socket.subprotocol == "signalcast.v2"

    def message(self) -> dict:
        message = json.loads(self.socket.recv(), parse_float=Decimal)
        errors = [error.message for error in V2.iter_errors(message)]
        assert errors == [], message
        return message

    def until(self, wanted: str) -> dict:
        """The next message of this type; heartbeats may come before."""
        while (message := self.message())["type"] == "heartbeat" != wanted:
            pass
        assert message["type"] == wanted, message
        return message

    def ask(self, **command) -> None:
        self.socket.send(json.dumps(command))


@pytest.fixture
def server(idle_server: Server):
    idle_server.start("--limits-heartbeat", "1s", "--auth-leeway", "0s")
    yield idle_server
    idle_server.stop()


@pytest.fixture
def session(server: Server):
    sessions: list[Session] = []

    def connect(query: str = "", token: str | None = None) -> Session:
        sessions.append(Session(server, token or server.token(), query))
        return sessions[-1]

    yield connect
    for each in sessions:
        each.socket.close()


def test_a_bot_is_told_first_where_the_log_stands_and_how_the_sources_are(server, session):
    bot = session()
    hello = bot.message()
    assert hello["type"] == "connection_established"
    assert hello["heartbeat_interval"] == 1000
    assert (hello["first_seq"], hello["last_seq"]) == (1, 0)
    assert list(hello["sources"]) == ["file:signals/*.jsonl"]
    assert hello["epoch"] == bot.socket.headers["signalcast-epoch"]


def test_a_quiet_bot_hears_that_there_is_nothing_it_has_missed(server, session):
    bot = session()
    bot.until("connection_established")
    server.append("buy BTCUSDT 75000.10 1720000000")
    assert bot.until("buy")["content"]["price"] == Decimal("75000.10")
    beat = bot.until("heartbeat")
    assert beat["last_seq"] == 1
    (source,) = beat["sources"].values()
    assert source["state"] == "live"
    assert source["last_signal_age_ms"] >= 0


def test_a_bot_chooses_anew_what_it_gets(server, session):
    bot = session()
    bot.until("connection_established")
    bot.ask(type="subscribe", symbols=["BTC*"], tests=False, request_id="a")
    assert bot.until("subscribed") == {
        "type": "subscribed", "symbols": ["BTC*"], "tests": False, "request_id": "a",
    }  # fmt: skip
    for line in ("buy ETHUSDT 1", "buy BTCUSDT 2 test", "buy BTCUSDT 3"):
        server.append(line)
    assert bot.until("buy")["seq"] == 3
    bot.ask(type="subscribe")
    assert bot.until("subscribed") == {"type": "subscribed", "symbols": ["*"], "tests": True}
    server.append("buy ETHUSDT 4")
    assert bot.until("buy")["seq"] == 4


def test_a_bot_goes_back_to_a_place_in_the_log(server, session):
    bot = session()
    bot.until("connection_established")
    for number in range(1, 6):
        server.append(f"buy BTCUSDT {number}.00")
    assert [bot.until("buy")["seq"] for _ in range(5)] == [1, 2, 3, 4, 5]
    bot.ask(type="resume", after_seq=2, request_id="back")
    assert bot.until("resumed") == {
        "type": "resumed", "from_seq": 3, "to_seq": 5, "request_id": "back",
    }  # fmt: skip
    assert [bot.until("buy")["seq"] for _ in range(3)] == [3, 4, 5]
    bot.ask(type="resume", after_seq=99, request_id="beyond")
    gone = bot.until("error")
    assert (gone["code"], gone["first_seq"], gone["last_seq"]) == ("history_gone", 1, 5)
    assert gone["request_id"] == "beyond"
    server.append("sell BTCUSDT 6.00")
    assert bot.until("sell")["seq"] == 6


def test_ping_and_test_are_answered(server, session):
    bot = session()
    bot.until("connection_established")
    bot.ask(type="ping", request_id="p")
    assert bot.until("pong")["request_id"] == "p"
    bot.ask(type="test", request_id="t")
    signal = bot.until("buy")
    assert (signal["is_test"], signal["source"], signal["request_id"]) == (True, "test", "t")
    assert "seq" not in signal
    bot.socket.send("test")
    assert bot.until("sell")["is_test"]


def test_a_bot_renews_its_token_before_it_expires(server, session):
    token = server.token(ttl="5s")
    bot, other = session(token=token), session(token=token)
    for each in (bot, other):
        each.until("connection_established")
    bot.ask(type="auth", token="no-token", request_id="bad")
    refused = bot.until("error")
    assert (refused["code"], refused["request_id"]) == ("invalid_token", "bad")
    bot.ask(type="auth", token=server.token(sub="another"))
    bot.until("error")
    bot.ask(type="auth", token=server.token(ttl="1h"), request_id="good")
    assert bot.until("authenticated")["request_id"] == "good"
    code, reason = close_of(other)
    assert (code, "expired" in reason) == (1008, True), reason
    server.append("buy BTCUSDT 1")
    assert bot.until("buy")["seq"] == 1


def close_of(bot: Session) -> tuple[int, str]:
    """Code and reason with which the server closes; heartbeats may come before."""
    while True:
        opcode, data = bot.socket.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            return int.from_bytes(data[:2], "big"), data[2:].decode()
        assert json.loads(data)["type"] == "heartbeat", data


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("{", "bad_command"),
        ("[]", "bad_command"),
        ('{"type":"dance"}', "unknown_command"),
        ('{"type":"ping","at":1}', "bad_command"),
        ('{"type":"resume"}', "bad_command"),
        ('{"type":"subscribe","symbols":"BTC*"}', "bad_command"),
        ("tset", "bad_command"),
    ],
)
def test_what_is_no_command_is_told_so_and_the_connection_stays(session, command, code):
    bot = session()
    bot.until("connection_established")
    bot.socket.send(command)
    assert bot.until("error")["code"] == code
    bot.ask(type="ping")
    bot.until("pong")


def test_a_ticket_lets_a_bot_in_once(server):
    token = server.token()
    request = urllib.request.Request(
        f"{server.https}/ticket", method="POST", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(
        request, context=ssl.create_default_context(cafile=server.ca), timeout=DEADLINE
    ) as answer:
        assert answer.status == 201
        ticket = json.load(answer)
    assert ticket["expires_in"] == 30
    url = f"{server.url}/?ticket={ticket['ticket']}"
    sslopt = {"ca_certs": server.ca}
    websocket.create_connection(url, sslopt=sslopt, timeout=DEADLINE).close()
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        websocket.create_connection(url, sslopt=sslopt, timeout=DEADLINE)
    assert refused.value.status_code == 401
