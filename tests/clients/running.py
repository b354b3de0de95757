"""The server and other programs as child processes of a test, with a deadline on every wait."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from binary import ROOT, server_binary

EXAMPLES = ROOT / "examples"
NODE_MODULES = ROOT / "node_modules"

# Generous: a debug build on a busy machine. What works takes a fraction of a second.
DEADLINE = 20


def clean_environment(**more: str) -> dict[str, str]:
    """Ours less whatever would configure the server or a client."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SIGNALCAST_") and not name.lower().endswith("_proxy")
    }
    # The test's Python comes first, as in a terminal where its environment is activated.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "PYTHONUNBUFFERED": "1", **more}


class Child:
    """A running program, the lines it has printed and the end of it."""

    def __init__(self, command: list, folder: Path, **options) -> None:
        options.setdefault("env", clean_environment())
        self.command = [str(part) for part in command]
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._news = threading.Condition()
        self.process = subprocess.Popen(
            self.command,
            cwd=folder,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            # Its own group: a shell is ended together with what it started.
            start_new_session=True,
            **options,
        )
        self._readers = [
            threading.Thread(target=self._collect, args=pair, daemon=True)
            for pair in (
                (self.process.stdout, self.lines),
                (self.process.stderr, self.errors),
            )
        ]
        for reader in self._readers:
            reader.start()

    def _collect(self, pipe, lines: list[str]) -> None:
        for line in pipe:
            with self._news:
                lines.append(line.rstrip("\r\n"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def line(self, wanted: str | Callable[[str], bool], after: int = 0) -> str:
        """The first line of standard output that holds `wanted` (or satisfies it), waiting
        for it if need be; the first `after` lines don't count."""
        return self._line_of(self.lines, wanted, after)

    def error_line(self, wanted: str | Callable[[str], bool], after: int = 0) -> str:
        return self._line_of(self.errors, wanted, after)

    def _line_of(self, lines: list[str], wanted, after: int) -> str:
        matches = wanted if callable(wanted) else lambda line: wanted in line
        deadline = time.monotonic() + DEADLINE
        with self._news:
            while True:
                found = next((line for line in lines[after:] if matches(line)), None)
                if found is not None:
                    return found
                ended = not any(reader.is_alive() for reader in self._readers)
                left = deadline - time.monotonic()
                if ended or left <= 0:
                    why = "it ended" if ended else f"{DEADLINE} s passed"
                    raise AssertionError(f"no such line: {why}\n{self.story()}")
                # In slices, because a reader's end gives its last notice before it is dead.
                self._news.wait(min(left, 0.2))

    def ended(self, within: float = DEADLINE) -> int:
        """Its exit code, once it has ended by itself and all it printed is here."""
        try:
            code = self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {within} s\n{self.story()}") from None
        for reader in self._readers:
            reader.join(DEADLINE)
        return code

    def kill(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def story(self) -> str:
        """What it said so far, for the report of a failed test."""
        return "\n".join(
            [
                f"--- {' '.join(self.command)} (exit code {self.process.poll()})",
                *self.lines,
                "--- its standard error",
                *self.errors,
            ]
        )


class Server:
    """`signalcast serve` in a folder of its own, with its keys, its data and its feeds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.child: Child | None = None
        self.url = ""
        (folder / "signals").mkdir(exist_ok=True)

    @property
    def ca(self) -> str:
        return str(self.folder / "certs" / "ca.pem")

    @property
    def https(self) -> str:
        return self.url.replace("wss://", "https://")

    def start(self, *arguments: str, listen: str = "127.0.0.1:0") -> "Server":
        command = [server_binary(), "serve", "--listen", listen, *arguments]
        self.watch(Child(command, self.folder))
        return self

    def watch(self, child: Child) -> None:
        """Takes over a server that was started as `child`; returns when it listens."""
        self.child = child
        line = child.line(lambda line: line.startswith("listening "))
        found = re.fullmatch(r"listening (wss://127\.0\.0\.1:\d+)/?", line)
        assert found, f"unexpected: {line!r}"
        self.url = found[1]

    def restart(self) -> None:
        """Stops it and starts it on the same port."""
        self.stop()
        self.start(listen=self.url.removeprefix("wss://"))

    def crash(self) -> None:
        """Kills it, and starts it on the same port in the same folder."""
        assert self.child is not None
        self.child.kill()
        self.start(listen=self.url.removeprefix("wss://"))

    def stop(self) -> None:
        """Ends it as a service manager would; a server that has ended already may be stopped."""
        assert self.child is not None
        self.child.process.terminate()
        code = self.child.ended()
        assert code == 0, f"exit code {code} after SIGTERM\n{self.child.story()}"

    def token(
        self, scope: str = "signals:read signals:test", sub: str = "bot-1", ttl: str = "1h"
    ) -> str:
        issued = subprocess.run(
            [
                *(server_binary(), "token", "issue", "--sub", sub),
                *("--scope", scope, "--ttl", ttl),
            ],
            cwd=self.folder,
            env=clean_environment(),
            check=True,
            text=True,
            stdout=subprocess.PIPE,
            timeout=DEADLINE,
        )
        return issued.stdout.removesuffix("\n")

    def append(self, line: str, feed: str = "live.jsonl") -> None:
        """Adds one line to a feed file, as `echo … >> signals/live.jsonl` does."""
        with (self.folder / "signals" / feed).open("a") as file:
            file.write(f"{line}\n")
