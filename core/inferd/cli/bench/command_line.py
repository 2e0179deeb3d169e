"""How long the command line takes to answer, and what registering the plugins costs."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Any

INFERD = [sys.executable, "-c", "import sys; from inferd.cli import main; sys.exit(main())"]
REGISTER = """
import time
import inferd.host.host
began = time.perf_counter()
inferd.host.host.Host()
print(time.perf_counter() - began)
"""
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import inferd": [sys.executable, "-c", "import inferd"],
    "inferd --help": [*INFERD, "--help"],
    "inferd plugins": [*INFERD, "plugins"],
}
REGISTERING = "register the plugins"
LIMIT_MS = {"import inferd": 300, "inferd --help": 300, "inferd plugins": 300, REGISTERING: 20}


def measure_commands(num_iters: int) -> list[dict[str, Any]]:
    """Least and median milliseconds over fresh processes, interleaved; limits are on the least.

    The first round, which fills the page cache, does not count.
    """
    found: dict[str, list[float]] = {name: [] for name in [*COMMANDS, REGISTERING]}
    for _ in range(num_iters + 1):
        for name, command in COMMANDS.items():
            found[name].append(_seconds(command))
        found[REGISTERING].append(_register_seconds())
    return [_row(name, times[1:]) for name, times in found.items()]


def _row(name: str, times: list[float]) -> dict[str, Any]:
    least, middle = min(times) * 1e3, statistics.median(times) * 1e3
    limit = LIMIT_MS.get(name)
    return {
        "name": name,
        "min_ms": round(least, 1),
        "median_ms": round(middle, 1),
        "limit_ms": limit,
        "holds": None if limit is None else least <= limit,
    }


def _seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def _register_seconds() -> float:
    """Inside a fresh process, once its imports are done."""
    done = subprocess.run([sys.executable, "-c", REGISTER], check=True, capture_output=True)
    return float(done.stdout)
