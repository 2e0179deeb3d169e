"""What both offline drivers measure, in the same order.

Each measurement is one line of JSON in the results file, so that what came before a crash counts.
Only the standard library and numpy are used here: drivers run in the peers' own environments.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from bench.gpu.workloads import Batch, Source

Figures = dict[str, Any]
BATCHES = (1, 8, 32, 128)
SECTIONS = ("w1", "w2", "w3", "batch", "ttft", "prefill", "sampled")
SAMPLED: dict[str, Figures] = {
    "greedy": {},
    "sampled": {"temperature": 0.8, "top_p": 0.95, "top_k": 50},
    "logprobs": {"logprobs": 5},
}
SAMPLED_SIZE = (256, 352, (32, 288))  # requests, in, out: the steps between have 512 on average


class Generator(Protocol):
    """An engine behind a driver: token ids in and out, prefix cache off."""

    version: str

    def generate(self, batch: Batch) -> int:
        """Run the batch to its end; how many tokens came out."""


class Clock:
    """Seconds from the start of the process to each phase's end."""

    def __init__(self, started: float) -> None:
        self._started = started
        self.phases: Figures = {}

    def mark(self, phase: str) -> None:
        self.phases[f"{phase}_s"] = round(time.time() - self._started, 2)


def arguments(**parse: Any) -> argparse.Namespace:
    """The flags that vs_vllm.py gives to every driver."""
    parser = argparse.ArgumentParser(**parse)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True, help="lines of JSON are added")
    parser.add_argument("--started", type=float, required=True, help="time.time() of the start")
    parser.add_argument("--sections", nargs="*", choices=SECTIONS, default=[])
    parser.add_argument("--options", type=json.loads, default={}, help="of LLM, as JSON")
    parser.add_argument("--limit", type=int, required=True, help="prompts use the ids below")
    parser.add_argument("--requests", type=float, default=1.0)
    parser.add_argument("--tokens", type=float, default=1.0)
    parser.add_argument("--reps", type=int, default=2)
    return parser.parse_args()


def run(args: argparse.Namespace, start: Callable[[Clock], Generator]) -> None:
    """Start, then measure what was asked for."""
    clock = Clock(args.started)
    clock.mark("python")
    generator = start(clock)
    source = Source(args.limit, args.requests, args.tokens)
    generator.generate(source.fresh(1, 16, 1))
    clock.mark("first_token")
    _write(args.results, "start", {"version": generator.version, **clock.phases})
    if not args.sections:
        return
    seconds(generator, source.fresh(source.count(64), 128, 16))
    for section in args.sections:
        for name, figures in MEASURES[section](generator, source, args.reps, section):
            _write(args.results, name, figures)


def workload(
    generator: Generator, source: Source, reps: int, name: str
) -> Iterator[tuple[str, Figures]]:
    """The best of the repetitions, each with prompts of its own."""
    batches = [source.workload(name, repeat) for repeat in range(reps)]
    taken = [seconds(generator, batch) for batch in batches]
    best, batch = min(taken), batches[0]
    yield (
        name,
        {
            "out_tok_s": round(batch.num_out / best, 1),
            "total_tok_s": round((batch.num_in + batch.num_out) / best, 1),
            "req_s": round(len(batch.prompts) / best, 2),
            "seconds": round(best, 3),
            "all_seconds": [round(each, 3) for each in taken],
        },
    )


def batch_sizes(
    generator: Generator, source: Source, reps: int, _: str
) -> Iterator[tuple[str, Figures]]:
    """Milliseconds per decode step: what the tokens after the first ones add."""
    for size in BATCHES:
        num_in, short, long = (128, 1, 256) if size == 1 else (512, 32, 128)
        step = source.length(long) - source.length(short)
        low, high = (
            median(generator, source, reps, (size, num_in, length)) for length in (short, long)
        )
        ms = (high - low) / max(1, step) * 1e3
        yield f"batch{size}", {"ms_per_step": round(ms, 4), "tok_s": round(size / ms * 1e3, 1)}


def first_token(
    generator: Generator, source: Source, reps: int, _: str
) -> Iterator[tuple[str, Figures]]:
    yield (
        "ttft",
        {
            f"in{length}_ms": round(1e3 * median(generator, source, reps, (1, length, 1)), 2)
            for length in (128, 512)
        },
    )


def prefill(
    generator: Generator, source: Source, reps: int, _: str
) -> Iterator[tuple[str, Figures]]:
    taken = median(generator, source, reps, (1, 8192, 1))
    tokens = source.length(8192)
    yield "prefill", {"in8192_ms": round(taken * 1e3, 2), "tok_s": round(tokens / taken, 1)}


def sampled(
    generator: Generator, source: Source, reps: int, _: str
) -> Iterator[tuple[str, Figures]]:
    """Milliseconds per decode step by how tokens are picked; ways take turns, the first is lost."""
    requests, num_in, lengths = SAMPLED_SIZE
    taken: dict[tuple[str, int], list[float]] = defaultdict(list)
    for _round in range(1 + max(3, reps)):
        for name, sampling in SAMPLED.items():
            for length in lengths:
                batch = source.fresh(source.count(requests), num_in, length)
                taken[name, length].append(seconds(generator, replace(batch, sampling=sampling)))
    low, high = (
        {name: statistics.median(taken[name, length][1:]) for name in SAMPLED} for length in lengths
    )
    steps = source.length(lengths[1]) - source.length(lengths[0])
    ms = {name: (high[name] - low[name]) / steps * 1e3 for name in SAMPLED}
    figures = {f"{name}_ms": round(value, 4) for name, value in ms.items()}
    for name in ("sampled", "logprobs"):
        figures[f"{name}_ratio"] = round(ms[name] / ms["greedy"], 4)
    yield "sampled", figures


MEASURES = {
    **dict.fromkeys(("w1", "w2", "w3"), workload),
    "batch": batch_sizes,
    "ttft": first_token,
    "prefill": prefill,
    "sampled": sampled,
}


def median(generator: Generator, source: Source, reps: int, size: tuple[int, int, int]) -> float:
    """Median seconds of three or five fresh batches, after one that is not counted."""
    rounds = 5 if size[2] == 1 else 3
    seconds(generator, source.fresh(*size))
    return statistics.median(
        seconds(generator, source.fresh(*size)) for _ in range(max(rounds, reps))
    )


def seconds(generator: Generator, batch: Batch) -> float:
    """Raises SystemExit when a token is missing."""
    started = time.perf_counter()
    found = generator.generate(batch)
    taken = time.perf_counter() - started
    if found != batch.num_out:
        raise SystemExit(f"asked for {batch.num_out} tokens, got {found}")
    return taken


def _write(path: Path, section: str, figures: Figures) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"section": section, **figures}) + "\n")
