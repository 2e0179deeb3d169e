"""A GGUF's packed weights against the same weights in bfloat16, and against llama.cpp on the file.

    python -m bench.packed --llama PYTHON [--rounds 3]

PYTHON is the interpreter of an environment with llama-cpp-python. Runs alternate, each in a process
of its own; run it from the root of the repository on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from bench.peers.processes import convert, run_driver

from inferd.cli.bench.report import table
from inferd.config.paths import cache_dir
from inferd.loading.sources import resolve

SHOWN = ("ttft_ms", "decode_tok_s", "batch_out_tok_s", "pss_mb", "ready_s", "foreign_cores")


def main() -> int:
    args = _arguments()
    packed = resolve(args.model)
    folder, _ = convert(args.model, args.cache)
    engines = {"packed": ("inferd", sys.executable, packed)}
    engines["bfloat16"] = ("inferd", sys.executable, folder)
    if args.llama:
        engines["llama.cpp"] = ("llama", args.llama, packed)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in engines}
    for number in range(1, args.rounds + 1):
        for name, (engine, python, weights) in engines.items():
            run = run_driver(engine, python, weights, args)
            print(f"round {number}, {name}: {json.dumps(run)}", flush=True)
            if "failed" in run:
                return 1
            runs[name].append(run)
    rows = [[name, *(_median(found, key) for key in SHOWN)] for name, found in runs.items()]
    print(f"\n{table(['engine', *SHOWN], rows)}")
    return 0


def _median(runs: list[dict[str, Any]], key: str) -> str:
    values = [run[key] for run in runs if run[key] is not None]
    return f"{statistics.median(values):g}" if values else "-"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.packed", description=__doc__)
    parser.add_argument("--llama", metavar="PYTHON")
    parser.add_argument("--model", default="smollm2", help="a llama-architecture GGUF or its alias")
    parser.add_argument("--cache", type=Path, default=cache_dir() / "bench", metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=16)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds per process")
    args = parser.parse_args()
    args.parts = ["single", "batch"]
    return args


if __name__ == "__main__":
    sys.exit(main())
