"""The programs that are built here: the server, which is the load client as well, and the limit
loop."""

import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = "SIGNALCAST_BIN"


def server_binary(given: str | None) -> Path:
    """The one that was named, or else a release build."""
    named = given or os.environ.get(VARIABLE)
    if named:
        return Path(named).resolve()
    return built("build", "--release", "--bin", "signalcast", target="signalcast")


def limit_binary() -> Path:
    return built("bench", "--no-run", "--bench", "limit", target="limit")


def built(command: str, *arguments: str, target: str) -> Path:
    """Cargo is asked rather than guessed at: its folder moves with CARGO_TARGET_DIR."""
    done = subprocess.run(
        ["cargo", command, "--locked", "--message-format=json-render-diagnostics", *arguments],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in done.stdout.splitlines():
        message = json.loads(line)
        is_it = message.get("target", {}).get("name") == target and message.get("executable")
        if message["reason"] == "compiler-artifact" and is_it:
            return Path(message["executable"])
    raise FileNotFoundError(f"cargo {command} made no {target}")
