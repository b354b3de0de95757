"""The limit loop: what nobody who uses sockets and rustls can undercut."""

import json
import shlex
import subprocess
from pathlib import Path

from cpus import Cpus
from run import RunFailed

NAME = "the limit"
SECONDS = 2
PATIENCE_SECONDS = 60


def measure(binary: Path, arguments: str, cpus: Cpus) -> tuple[list[str], dict]:
    """What it found, where the load client's reports have it."""
    pin = ["--pin", f"{cpus.server},{cpus.load}"] if cpus.server else []
    command = [str(binary), *shlex.split(arguments), "--seconds", str(SECONDS), *pin]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True
        )
    except subprocess.SubprocessError as failed:
        raise RunFailed(str(failed)) from None
    found = json.loads(done.stdout)
    if found["measure"] == "handshake":
        return command, {
            "connecting": {"per_server_cpu_second": found["per_cpu_second"]},
            "limit": found,
        }
    return command, {
        "server": {
            "cpu_us_per_delivery": found["cpu_us_per_delivery"],
            "cpu_percent": found["cpu_percent"],
        },
        "deliveries": {"per_second": found["deliveries_per_second"]},
        "limit": found,
    }
