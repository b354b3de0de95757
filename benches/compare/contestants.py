"""Who is measured, and how each of them is started and fed."""

import base64
import getpass
import runpy
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from place import Door, Place

PEERS = Path(__file__).resolve().parents[1] / "peers"
INSTALLED = PEERS / "installed"
PYTHON = INSTALLED / "venv" / "bin" / "python"

# Brokers that the system runs itself are where only root's path leads to.
SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin"


@dataclass(frozen=True)
class Contestant:
    name: str
    # The server's command, for a door and so many shards.
    command: Callable[[Door, Place, int], list]
    # What has to be there.
    needs: tuple[str | Path, ...] = ()
    # What clients say, beyond their URL.
    load: tuple[str, ...] = ()
    # Publishes the lines of its standard input; without it, the server reads them itself.
    publisher: str = ""
    # Settings of its own are understood by signalcast alone.
    is_ours: bool = False

    def missing(self) -> list[str]:
        """What is not there of what it needs."""
        return [str(need) for need in self.needs if not is_there(need)]

    def publishing(self, door: Door) -> str:
        """The shell command that publishes its standard input; empty if the server reads it."""
        if not self.publisher:
            return ""
        return shlex.join([sys.executable, str(PEERS / self.publisher), str(door.inner_port)])


def is_there(need: str | Path) -> bool:
    return (
        need.exists()
        if isinstance(need, Path)
        else shutil.which(need, path=SYSTEM_PATH) is not None
    )


def ours(binary: Path) -> list[Contestant]:
    """The server, without its log and with it."""
    return [signalcast(binary, OURS, "none"), signalcast(binary, LOGGED, "sqlite")]


OURS = "signalcast"
LOGGED = "signalcast, sqlite"

# In the order of tables.
NAMES = (OURS, LOGGED, "socketify", "node-ws", "websockets", "nats", "mosquitto")


def signalcast(binary: Path, name: str, journal: str) -> Contestant:
    def command(door: Door, place: Place, shards: int) -> list:
        fixed = f"--source stdin --log error --shards {shards} --journal {journal}".split()
        plain = [] if door.certificate else ["--plaintext"]
        data = ["--data-dir", place.fresh("data")]
        return [binary, "serve", "--listen", f"127.0.0.1:{door.port}", *fixed, *plain, *data]

    return Contestant(name, command, is_ours=True)


def peers() -> list[Contestant]:
    python = (PYTHON,)
    return [
        Contestant("socketify", fan_out(PYTHON, "fan_out_socketify.py"), python),
        Contestant(
            "node-ws",
            fan_out("node", "fan_out_ws.mjs"),
            ("node", INSTALLED / "node_modules" / "ws"),
        ),
        Contestant("websockets", fan_out(PYTHON, "fan_out_websockets.py"), python),
        Contestant("nats", nats, ("nats-server",), nats_clients(), "publish_nats.py"),
        Contestant("mosquitto", mosquitto, ("mosquitto",), mqtt_clients(), "publish_mqtt.py"),
    ]


def fan_out(interpreter: str | Path, program: str) -> Callable[[Door, Place, int], list]:
    """One of our few lines around a library: standard input to all clients."""

    def command(door: Door, place: Place, shards: int) -> list:
        secured = [door.certificate, door.key] if door.certificate else []
        return [interpreter, PEERS / program, door.port, *secured]

    return command


def nats(door: Door, place: Place, shards: int) -> list:
    secured = "no_tls: true"
    if door.certificate:
        secured = f'tls {{ cert_file: "{door.certificate}", key_file: "{door.key}" }}'
    settings = place.fresh("nats.conf")
    settings.write_text(
        f"listen: 127.0.0.1:{door.inner_port}\n"
        f'websocket {{ listen: "127.0.0.1:{door.port}", compression: false, {secured} }}\n'
    )
    return [found("nats-server"), "-c", settings]


def nats_clients() -> tuple[str, ...]:
    return ("--hello", 'CONNECT {"verbose":false,"pedantic":false}\r\nSUB signals 1\r\n')


def mosquitto(door: Door, place: Place, shards: int) -> list:
    lines = [
        "allow_anonymous true",
        "persistence false",
        "set_tcp_nodelay true",
        # As many messages may wait for a client as it takes: none is dropped.
        "max_queued_messages 0",
        # As root it would become somebody who may not read the key.
        f"user {getpass.getuser()}",
        f"listener {door.inner_port} 127.0.0.1",
        f"listener {door.port} 127.0.0.1",
        "protocol websockets",
    ]
    if door.certificate:
        lines += [f"certfile {door.certificate}", f"keyfile {door.key}"]
    settings = place.fresh("mosquitto.conf")
    settings.write_text("\n".join(lines) + "\n")
    return [found("mosquitto"), "-c", settings]


def mqtt_clients() -> tuple[str, ...]:
    mqtt = runpy.run_path(str(PEERS / "mqtt.py"))
    hello = base64.b64encode(mqtt["CONNECT"] + mqtt["SUBSCRIBE"]).decode()
    return ("--subprotocol", "mqtt", "--hello", f"base64:{hello}")


def found(program: str) -> str:
    return shutil.which(program, path=SYSTEM_PATH) or program
