"""One run of the load client, `signalcast bench`."""

import contextlib
import json
import os
import shlex
import signal
import subprocess
from pathlib import Path

from contestants import Role
from place import environment
from run import Run, RunFailed

# Longer than any run takes; whoever hangs is ended.
PATIENCE_SECONDS = 120
# For its end, once it was asked to.
ENDING_SECONDS = 30


class Load:
    """A load client that runs."""

    def __init__(self, command: list[str], run: Run, server_pid: Path | None = None) -> None:
        self.command = command
        self._server_pid = server_pid
        # Peers know nothing of tokens.
        is_peer = run.contestant.role is Role.PEER
        token = {} if is_peer else {"SIGNALCAST_TOKEN": run.place.token}
        self._child = subprocess.Popen(
            command,
            cwd=run.place.folder,
            env=environment(**token),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def report(self) -> dict:
        """Waits for its end."""
        try:
            out, errors = self._child.communicate(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.end()
            raise RunFailed(f"not over after {PATIENCE_SECONDS} s") from None
        try:
            return json.loads(out.splitlines()[-1])
        except (IndexError, ValueError):
            # The server says on the same stream why it could not go on.
            said = errors.strip().splitlines() or ["it said nothing"]
            raise RunFailed("; ".join(said[-2:])) from None

    def end(self) -> None:
        """Whether it is over or not; the server that it has started, too."""
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGINT)
            try:
                self._child.communicate(timeout=ENDING_SECONDS)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.communicate()
                self._end_server()

    def _end_server(self) -> None:
        if self._server_pid is not None and self._server_pid.exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(self._server_pid.read_text()), signal.SIGKILL)


def measure(run: Run) -> tuple[list[str], dict]:
    """The load client starts the server, feeds it, and ends it: the command, and its report."""
    server_pid = run.place.fresh("server.pid")
    # The shell becomes the server: the number is the server's.
    server = f"echo $$ >{server_pid}; exec {shlex.join(run.server())}"
    if not run.case.lines:
        # A feed that is silent, not one that has ended.
        silence = run.place.fresh("silence")
        os.mkfifo(silence)
        server += f" <>{silence}"
    publisher = run.contestant.publishing(run.door)
    feed_to = f"exec:exec {publisher}" if publisher else "stdin"
    load = Load(run.bench("--server", server, *run.of_case(feed_to)), run, server_pid)
    try:
        return load.command, load.report()
    finally:
        load.end()
