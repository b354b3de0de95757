"""Prints where the server's debug build is, building it first if need be.

Cargo is asked rather than guessed at: its folder moves with CARGO_TARGET_DIR, a
`.cargo/config.toml` or a cross target.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# `cargo test --no-run` first: after `cargo test` it has nothing left to build, while
# `cargo build` could compile the dependencies once more with other features. It only tells of
# the binary when there are integration tests, hence the second.
COMMANDS = (
    ("cargo", "test", "--locked", "--no-run", "--message-format=json"),
    ("cargo", "build", "--locked", "--bin", "signalcast", "--message-format=json"),
)


def server_binary() -> str:
    """SIGNALCAST_BIN if it is set, else the debug build."""
    given = os.environ.get("SIGNALCAST_BIN")
    if given:
        return str(Path(given).resolve())
    for command in COMMANDS:
        built = subprocess.run(
            command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE
        )
        for line in built.stdout.splitlines():
            message = json.loads(line) if line.startswith("{") else {}
            if is_server(message):
                return message["executable"]
    raise FileNotFoundError("cargo built no binary named signalcast")


def is_server(message: dict) -> bool:
    return (
        message.get("reason") == "compiler-artifact"
        and message["target"]["name"] == "signalcast"
        and message["target"]["kind"] == ["bin"]
        and not message["profile"]["test"]
        and message["executable"] is not None
    )


if __name__ == "__main__":
    try:
        print(server_binary())
    except subprocess.CalledProcessError as failed:
        sys.exit(failed.returncode)
