"""Who is measured, and how each of them is started and fed."""

import base64
import getpass
import runpy
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from place import Door, Place

PEERS = Path(__file__).resolve().parents[1] / "peers"
INSTALLED = PEERS / "installed"
PYTHON = INSTALLED / "venv" / "bin" / "python"

# Brokers that the system runs itself are where only root's path leads to.
SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin"


class Role(Enum):
    # The server without its log, and with it.
    OURS = auto()
    LOGGED = auto()
    PEER = auto()


@dataclass(frozen=True)
class Contestant:
    name: str
    role: Role
    # The server's command, for a door and so many shards.
    command: Callable[[Door, Place, int], list]
    # What has to be there.
    needs: tuple[str | Path, ...] = ()
    # What clients say, beyond their URL.
    load: tuple[str, ...] = ()
    # Publishes the lines of its standard input; without it, the server reads them itself.
    publisher: str = ""

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


def signalcast(journal: str) -> Callable[[Door, Place, int], list]:
    def command(door: Door, place: Place, shards: int) -> list:
        fixed = f"--source stdin --log error --shards {shards} --journal {journal}".split()
        plain = [] if door.certificate else ["--plaintext"]
        data = ["--data-dir", place.fresh("data")]
        listen = ["--listen", f"127.0.0.1:{door.port}"]
        return [place.binary, "serve", *listen, *fixed, *plain, *data]

    return command


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


# In the order of tables.
CONTESTANTS = (
    Contestant("signalcast", Role.OURS, signalcast("none")),
    Contestant("signalcast, sqlite", Role.LOGGED, signalcast("sqlite")),
    Contestant(
        "socketify", Role.PEER, fan_out(PYTHON, "fan_out_socketify.py"), needs=(PYTHON,)
    ),
    Contestant(
        "node-ws",
        Role.PEER,
        fan_out("node", "fan_out_ws.mjs"),
        needs=("node", INSTALLED / "node_modules" / "ws"),
    ),
    Contestant(
        "websockets", Role.PEER, fan_out(PYTHON, "fan_out_websockets.py"), needs=(PYTHON,)
    ),
    Contestant(
        "nats",
        Role.PEER,
        nats,
        needs=("nats-server",),
        load=nats_clients(),
        publisher="publish_nats.py",
    ),
    Contestant(
        "mosquitto",
        Role.PEER,
        mosquitto,
        needs=("mosquitto",),
        load=mqtt_clients(),
        publisher="publish_mqtt.py",
    ),
)
