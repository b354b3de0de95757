"""Where runs happen: a folder with a certificate and a token, and ports that are free."""

import os
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Door:
    """Where a server is to listen."""

    mode: str
    port: int
    # For servers that are fed over the network.
    inner_port: int
    # With wss.
    certificate: Path | None
    key: Path | None

    @property
    def url(self) -> str:
        return f"{self.mode}://127.0.0.1:{self.port}/"


class Place:
    """A temporary folder, with the server's program; gone when it is left."""

    def __init__(self, binary: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="signalcast-bench-")
        self.folder = Path(self._folder.name)
        self.binary = binary
        self._count = 0
        self._make_certificate()
        self.token = self._output("token", "issue", "--sub", "bench").strip()

    def __enter__(self) -> "Place":
        return self

    def __exit__(self, *_) -> None:
        self._folder.cleanup()

    def door(self, mode: str) -> Door:
        certificate = key = None
        if mode == "wss":
            certificate, key = (
                self.folder / "certs" / f"server.{end}" for end in ("pem", "key")
            )
        return Door(mode, free_port(), free_port(), certificate, key)

    def fresh(self, name: str) -> Path:
        """A path that nothing has used before."""
        self._count += 1
        folder = self.folder / str(self._count)
        folder.mkdir()
        return folder / name

    def _make_certificate(self) -> None:
        """A server makes one when it first starts; with nothing to read it ends at once."""
        listen = ("--listen", "127.0.0.1:0")
        self._output("serve", *listen, "--source", "stdin", "--exit-on-eof")

    def _output(self, *arguments: str) -> str:
        done = subprocess.run(
            [self.binary, *arguments],
            cwd=self.folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode != 0:
            raise OSError(f"{self.binary} {arguments[0]}: {done.stderr.strip()}")
        return done.stdout


def environment(**more: str) -> dict[str, str]:
    """Ours less whatever would configure the server or the load client."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("SIGNALCAST_")
    }
    return {**kept, **more}


def free_port() -> int:
    """One that nobody listens at; it is not one that connections come from by themselves, so
    nobody takes it meanwhile."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        first_of_connections = int(file.read().split()[0])
    while True:
        port = next(_ports)
        if port >= first_of_connections:
            raise OSError("no port is free")
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


# One after the other: a port is used once in a run.
_ports = iter(range(20_000, 65_536))
