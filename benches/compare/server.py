"""A server that the runner itself starts, and feeds through a named pipe."""

import os
import socket
import subprocess
import time
from pathlib import Path

from place import Door, environment
from run import Run, RunFailed

PATIENCE_SECONDS = 20


class Server:
    """It listens; it ends when it is left."""

    def __init__(self, run: Run) -> None:
        self.pipe = run.place.fresh("feed")
        os.mkfifo(self.pipe)
        # Open for writing as well: the feed never ends, whoever writes to it comes and goes.
        feed = os.open(self.pipe, os.O_RDWR)
        self._errors = run.place.fresh("errors")
        with self._errors.open("w") as errors:
            self._child = subprocess.Popen(
                run.server(),
                cwd=run.place.folder,
                env=environment(),
                stdin=feed,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        os.close(feed)
        try:
            self._wait_until_it_listens(run.door)
        except RunFailed:
            self.end()
            raise
        self.pid = self._child.pid

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_) -> None:
        self.end()

    def end(self) -> None:
        self._child.terminate()
        try:
            self._child.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _wait_until_it_listens(self, door: Door) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", door.port), timeout=1).close()
                return
            except OSError:
                if self._child.poll() is not None or time.monotonic() > deadline:
                    raise RunFailed(
                        f"the server does not listen: {last_line(self._errors)}"
                    ) from None
                time.sleep(0.02)


def last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
