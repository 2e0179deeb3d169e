"""What every driver measures, in the same order, through one small face per engine.

A driver prints its Figures as one line of JSON, the last of its output. Only the standard library
is used here: drivers run in the peers' own environments.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

PARTS = ("single", "batch", "shared")
NEW_TOKENS = 128


class Generator(Protocol):
    """An engine behind a driver. All prompts are token ids, all decoding is greedy without end."""

    def generate(self, prompts: list[list[int]], num_tokens: int) -> list[list[int]]:
        """`num_tokens` new ids for each prompt."""

    def forget(self) -> None:
        """Drop every cached prefix."""


@dataclass(slots=True)
class Figures:
    """One process's measurements; None where an engine has no such mode."""

    engine: str
    version: str
    ready_s: float  # process start to the first token
    threads: int
    ttft_ms: float | None = None  # of the 512-token prompt
    decode_tok_s: float | None = None  # one stream, after that prompt
    batch_out_tok_s: float | None = None  # 64 requests, cold cache
    shared_out_tok_s: float | None = None  # 64 requests with a common prefix, cache on
    pss_mb: float | None = None  # the whole process tree after the batch
    details: dict[str, Any] = field(default_factory=dict)


def arguments() -> argparse.Namespace:
    """The flags that cpu.py gives to every driver."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--started", type=float, required=True, help="time.time() of the start")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--requests", type=int, default=64)
    return parser.parse_args()


def measure(
    args: argparse.Namespace,
    start: Callable[[], Generator],
    *,
    engine: str,
    version: str,
    can: tuple[str, ...] = PARTS,
) -> Figures:
    """Start the engine, then measure the parts that were asked for and that it can do."""
    prompts = json.loads(args.prompts.read_text(encoding="utf-8"))
    long512 = prompts["long512"]["ids"]
    generator = start()
    generator.generate([long512[:8]], 1)
    figures = Figures(engine, version, round(time.time() - args.started, 2), args.threads)
    parts = [part for part in args.parts if part in can]
    if "single" in parts:
        _measure_single(generator, long512, figures)
    if "batch" in parts:
        main = [prompt["ids"] for prompt in prompts["main"][: args.requests]]
        figures.batch_out_tok_s = _throughput(generator, main)
        figures.pss_mb = round(tree_pss_mb(os.getpid()), 1)
    if "shared" in parts:
        shared = [prompt["ids"] for prompt in prompts["shared"][: args.requests]]
        figures.shared_out_tok_s = _throughput(generator, shared)
    return figures


def report(figures: Figures) -> None:
    """The line that cpu.py reads."""
    print(json.dumps(asdict(figures)), flush=True)


def _measure_single(generator: Generator, ids: list[int], figures: Figures) -> None:
    _seconds(generator, [ids], 1)  # first use of these shapes
    first = statistics.median(_seconds(generator, [ids], 1) for _ in range(3))
    whole = _seconds(generator, [ids], NEW_TOKENS + 1)
    figures.ttft_ms = round(first * 1000, 1)
    figures.decode_tok_s = round(NEW_TOKENS / (whole - first), 2)


def _throughput(generator: Generator, prompts: list[list[int]]) -> float:
    return round(len(prompts) * NEW_TOKENS / _seconds(generator, prompts, NEW_TOKENS), 1)


def _seconds(generator: Generator, prompts: list[list[int]], num_tokens: int) -> float:
    generator.forget()
    started = time.perf_counter()
    outputs = generator.generate(prompts, num_tokens)
    seconds = time.perf_counter() - started
    if [len(ids) for ids in outputs] != [num_tokens] * len(prompts):
        raise SystemExit(f"asked for {num_tokens} tokens, got {[len(ids) for ids in outputs]}")
    return seconds


def tree_pss_mb(root: int) -> float:
    """Proportional set size of a process and all its descendants, in MB (10^6 bytes)."""
    return sum(_pss_kib(pid) for pid in _tree(root)) * 1024 / 1e6


def _tree(root: int) -> Iterator[int]:
    yield root
    for child in children_of(root):
        yield from _tree(child)


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def _pss_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
