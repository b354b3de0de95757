"""What a first start shows is to be pasted into a terminal, so it has to work as it stands."""

import stat

from bots import Bot
from running import clean_environment

SIGNAL = (
    '{"type":"sell","content":{"symbol":"EURUSD","price":1.07219,'
    '"timestamp":1492592400},"is_test":false}'
)


def for_python(line: str) -> bool:
    return "python" in line and " -c " in line and "websocket" in line


def test_the_python_line_works_as_pasted(server, run):
    assert server.child is not None
    pasted = run("sh", "-c", server.child.line(for_python).strip())
    # It asks for a test signal itself.
    assert '"is_test":true' in pasted.line("is_test")
    server.append(SIGNAL)
    assert SIGNAL in pasted.line("EURUSD")


def test_the_python_line_works_in_a_later_shell_with_nothing_else_set(server, run):
    assert server.child is not None
    bare = {name: clean_environment()[name] for name in ("PATH", "PYTHONUNBUFFERED")}
    pasted = run("sh", "-c", server.child.line(for_python).strip(), env=bare)
    assert '"is_test":true' in pasted.line("is_test")


def test_the_listen_line_works_as_pasted(server, run):
    assert server.child is not None
    listen = run("sh", "-c", server.child.line(" listen wss://").strip())
    listen.error_line("connected")
    server.append(SIGNAL)
    assert "SELL EURUSD 1.07219" in listen.line("EURUSD")


def test_keys_are_readable_by_their_owner_alone_and_the_authority_keeps_none(server):
    modes = {
        file.name: oct(stat.S_IMODE(file.stat().st_mode))
        for file in (server.folder / "certs").iterdir()
    }
    assert "ca.key" not in modes
    assert modes["ca.pem"] == modes["server.pem"] == "0o644"
    assert modes["server.key"] == modes["jwt.key"] == "0o600"


def test_a_second_start_says_only_where_it_listens_and_keeps_the_keys(server):
    token = server.token()
    certificate = (server.folder / "certs" / "server.pem").read_bytes()
    server.restart()
    assert server.child is not None
    assert server.child.lines == [f"listening {server.url}"]
    assert (server.folder / "certs" / "server.pem").read_bytes() == certificate
    Bot(server.url, token, server.ca).opened().close()
