"""inferd beside vLLM on one GPU, one after the other in one run, held against the project's bars.

    python -m bench.vs_vllm SECTION... [--peer-python PY] [--peer-path SITE] [--json FILE]

Sections: w1 w2 w3 batch ttft prefill sampled startup served. Llama-3.1-8B's shape with random
weights, token-id prompts, greedy to the last token (but in `sampled`), prefix cache off. PY with
SITE on its PYTHONPATH imports vLLM; without either, inferd is measured alone, and what needs a peer
is not judged. Run it from the root of the repository, on a machine that does nothing else.
`--shape tiny` tries the benchmark itself, without a GPU too.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.gpu.comparison import Comparison
from bench.gpu.offline import SECTIONS
from bench.gpu.processes import Peer, query
from bench.gpu.serving import ARRIVALS
from bench.gpu.shapes import PROMPT_IDS, SHAPES, write_model
from bench.gpu.vs_bars import compare, lines
from bench.peers.machine import adopt_orphans

from inferd.cli.bench.report import table
from inferd.config.paths import cache_dir

ALL = (*SECTIONS, "startup", "served")
TINY_TOKENS = 1 / 16  # of every length, for --shape tiny


def main() -> int:
    args = arguments()
    machine = describe_machine()
    print(json.dumps(machine), flush=True)
    adopt_orphans()
    model = write_model(args.shape, cache_dir() / "bench" / f"shape-{args.shape}")
    with args.log.open("a", encoding="utf-8") as log:
        comparison = Comparison(args, model, log)
        comparison.run()
    rows = compare(comparison.found, judge=args.shape == "llama8b")
    shown = lines(rows)
    print(f"\n{table(shown[0], shown[1:])}")
    for problem in comparison.problems:
        print(f"  problem: {problem}")
    if args.json:
        result: dict[str, Any] = {
            "machine": machine,
            "command": sys.argv[1:],
            "engines": comparison.found,
        }
        result |= {"rows": rows, "problems": comparison.problems}
        args.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 1 if comparison.problems or any(row["holds"] is False for row in rows) else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.vs_vllm", description=__doc__)
    parser.add_argument("sections", nargs="+", choices=ALL, metavar="SECTION")
    _add_peers(parser)
    _add_sizes(parser)
    parser.add_argument("--timeout", type=float, default=500.0, help="seconds per process")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--log", type=Path, default=Path("vs_vllm.log"), metavar="FILE")
    args = parser.parse_args()
    args.peer = Peer(args.peer_python or sys.executable, args.peer_path)
    has_peer = bool(args.peer_python or args.peer_path)
    engines = ["inferd"] + ["vllm"] * has_peer + ["hf"] * args.transformers
    args.engines = [engine for engine in engines if args.only in (None, engine)]
    if not args.engines:
        parser.error(f"--only {args.only}: say where it is, with --peer-python or --peer-path")
    args.limit = PROMPT_IDS[args.shape]
    args.tokens = TINY_TOKENS if args.shape == "tiny" else 1.0
    return args


def _add_peers(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("engines")
    group.add_argument("--peer-python", metavar="PY", help="imports vllm; default: this one")
    group.add_argument("--peer-path", default="", metavar="SITE", help="its PYTHONPATH")
    group.add_argument("--only", choices=["inferd", "vllm", "hf"])
    group.add_argument(
        "--transformers", action="store_true", help="w1 with it too, a static batch of 128"
    )
    for engine in ("inferd", "vllm"):
        group.add_argument(
            f"--{engine}-options", type=json.loads, default={}, metavar="JSON", help="of its LLM"
        )


def _add_sizes(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("sizes")
    group.add_argument("--shape", choices=[*SHAPES], default="llama8b")
    group.add_argument("--requests", type=float, default=1.0, help="this share of the requests")
    group.add_argument("--reps", type=int, default=2, help="of w1, w2, w3; the best counts")
    group.add_argument("--runs", type=int, default=2, help="of each served rate; the median counts")
    group.add_argument(
        "--rates",
        type=int,
        nargs="+",
        choices=[*ARRIVALS],
        default=[*ARRIVALS],
        help=f"served requests/s; {ARRIVALS[8]} arrivals each, and {ARRIVALS[64]:,} at 64: its "
        "output rate is read in seconds 5 to 20 of the arrivals",
    )


def describe_machine() -> dict[str, Any]:
    found = query("name,driver_version,clocks.sm,power.limit")
    return {
        "gpu": found or "none",
        "python": platform.python_version(),
        **{name: _version(name) for name in ("torch", "triton", "transformers")},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
