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
    return built("bin", "signalcast")


def limit_binary() -> Path:
    return built("example", "limit")


def built(kind: str, name: str) -> Path:
    """Cargo is asked rather than guessed at: its folder moves with CARGO_TARGET_DIR."""
    build = ["cargo", "build", "--locked", "--release", f"--{kind}", name]
    done = subprocess.run(
        [*build, "--message-format=json-render-diagnostics"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in done.stdout.splitlines():
        message = json.loads(line)
        is_it = message.get("target", {}).get("name") == name and message.get("executable")
        if message["reason"] == "compiler-artifact" and is_it:
            return Path(message["executable"])
    raise FileNotFoundError(f"cargo build made no {name}")
