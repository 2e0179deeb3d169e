"""inferd and its peers on one CPU, alternating in one run, held against the project's bars.

    python -m bench.cpu --peer vllm=PYTHON --peer hf=PYTHON --peer llama=PYTHON [--json FILE]

PYTHON is the interpreter of an environment where that peer is installed (docs/performance.md says
how); nothing is installed here. Run it from the root of the repository, in inferd's environment,
on a machine that does nothing else. All engines load the same weights: those of the GGUF, rounded
once to bf16, which are written on the first run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import torch
from bench.peers.bars import bars_table, compare, figures_table
from bench.peers.machine import adopt_orphans
from bench.peers.measure import PARTS
from bench.peers.processes import convert, run_driver

from inferd.cli.bench.report import table
from inferd.config.paths import cache_dir

PEERS = ("vllm", "hf", "llama")
QUIET_CORES = 0.1  # what others may use before a figure is called disturbed


def main() -> int:
    args = _arguments()
    machine = _machine(args.threads)
    print(json.dumps(machine), flush=True)
    runs, problems = alternate(args)
    bars = compare(runs)
    if args.json:
        result = {"machine": machine, "runs": runs, "bars": bars, "problems": problems}
        args.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for lines in (figures_table(runs), bars_table(bars)):
        print(f"\n{table(lines[0], lines[1:])}")
    for problem in problems:
        print(f"  warning: {problem}")
    return 1 if problems or any(row["holds"] is False for row in bars) else 0


def alternate(args: argparse.Namespace) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
    """A B C A B C ...: the runs of each engine, and what disturbed or ended them."""
    folder, gguf = convert(args.model, args.cache)
    adopt_orphans()
    engines = {"inferd": sys.executable, "inferd_served": sys.executable, **args.peers}
    runs: dict[str, list[dict[str, Any]]] = {engine: [] for engine in engines}
    problems = []
    for number in range(1, args.rounds + 1):
        for engine, python in engines.items():
            run = run_driver(engine, python, gguf if engine == "llama" else folder, args)
            print(f"round {number}, {engine}: {json.dumps(run)}", flush=True)
            if "failed" in run:
                problems.append(f"round {number}, {engine}: {run['failed']}")
                continue
            runs[engine].append(run)
            if run["foreign_cores"] > QUIET_CORES:
                problems.append(
                    f"round {number}, {engine} is disturbed: others used "
                    f"{run['foreign_cores']} cores on average"
                )
    return runs, problems


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.cpu", description=__doc__)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--model", default="smollm2", help="a llama-architecture GGUF or its alias")
    parser.add_argument("--cache", type=Path, default=cache_dir() / "bench", metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds per process")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    args.peers = dict(peer.partition("=")[::2] for peer in args.peer)
    for name, python in args.peers.items():
        if name not in PEERS or not Path(python).is_file():
            parser.error(f"--peer {name}={python}: give one of {', '.join(PEERS)} and its python")
    return args


def _machine(threads: int) -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return {
        "cpu": next(names, platform.processor()),
        "cores": len(os.sched_getaffinity(0)),
        "threads": threads,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "load_average": round(os.getloadavg()[0], 2),
    }


if __name__ == "__main__":
    sys.exit(main())
