"""How long the command line takes to answer, and what registering the plugins costs.

    python bench/startup.py [--runs N]

The minimum and the median over fresh processes, interleaved; budgets: 300 ms for each command,
20 ms to discover and register every installed plugin. Exit code 1 when a minimum misses its budget.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

INFERD = str(Path(sys.executable).parent / "inferd")
REGISTER = """
import time
import inferd.host.host
began = time.perf_counter()
inferd.host.host.Host()
print(1000 * (time.perf_counter() - began))
"""
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import inferd": [sys.executable, "-c", "import inferd"],
    "inferd --help": [INFERD, "--help"],
    "inferd plugins": [INFERD, "plugins"],
}
BUDGET_MS = {"import inferd": 300, "inferd --help": 300, "inferd plugins": 300, "register": 20}


def wall_ms(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return 1000 * (time.perf_counter() - began)


def register_ms() -> float:
    """Inside a fresh process, once its imports are done."""
    done = subprocess.run([sys.executable, "-c", REGISTER], check=True, capture_output=True)
    return float(done.stdout)


def measure(runs: int) -> dict[str, list[float]]:
    """By name; the first round, which fills the page cache, does not count."""
    found: dict[str, list[float]] = {name: [] for name in [*COMMANDS, "register"]}
    for _ in range(runs + 1):
        for name, command in COMMANDS.items():
            found[name].append(wall_ms(command))
        found["register"].append(register_ms())
    return {name: times[1:] for name, times in found.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    found = measure(parser.parse_args().runs)
    missed = False
    for name, times in found.items():
        budget = BUDGET_MS.get(name)
        least, middle = round(min(times), 1), round(statistics.median(times), 1)
        row = {"name": name, "min_ms": least, "median_ms": middle, "budget_ms": budget}
        print(json.dumps(row))
        missed |= budget is not None and min(times) > budget
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
