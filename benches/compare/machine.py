"""What a result has to be read with: the machine, and the versions of all that ran on it."""

import os
import platform
import re
import subprocess
from pathlib import Path

from contestants import PYTHON, found


def known(binary: Path, scale: float) -> dict:
    return {
        "scale": scale,
        "cpu": cpu(),
        "cpus": os.cpu_count(),
        "memory_mb": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1_000_000,
        "kernel": platform.release(),
        "load_average": os.getloadavg()[0],
        "versions": {
            "signalcast": said(binary, "--version"),
            "rustc": said("rustc", "--version"),
            "python": platform.python_version(),
            "node": said("node", "--version"),
            "packages": said(PYTHON, "-m", "pip", "freeze"),
            "nats-server": said(found("nats-server"), "--version"),
            "mosquitto": said(found("mosquitto"), "-h").partition("\n")[0],
        },
    }


def shown(machine: dict) -> str:
    """In a line, above tables."""
    load, scale = machine["load_average"], machine["scale"]
    size = f"; a try with {scale:g} of all clients and lines" if scale != 1 else ""
    return (
        f"{machine['cpu']}, {machine['cpus']} CPUs, Linux {machine['kernel']}; "
        f"load average at the start {load:.2f}{size}"
    )


def cpu() -> str:
    model = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    return model[1] if model else platform.machine()


def said(program: str | Path, *arguments: str) -> str:
    """The version that a program tells; empty if it is not there."""
    try:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=20)
    except OSError:
        return ""
    return done.stdout.strip()
