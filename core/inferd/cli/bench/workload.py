"""Workloads: prompts as token ids with the number of tokens to answer, drawn or from a file."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inferd.errors import UsageError


@dataclass(frozen=True, slots=True)
class Job:
    """One request."""

    prompt_ids: list[int]
    output_len: int


def add_workload_flags(parser: argparse.ArgumentParser, num_prompts: int) -> None:
    group = parser.add_argument_group("workload")
    group.add_argument("--num-prompts", type=int, default=num_prompts, help="requests")
    group.add_argument("--input-len", type=int, default=256, help="tokens of a drawn prompt")
    group.add_argument("--output-len", type=int, default=128, help="tokens of each answer")
    group.add_argument("--vocab-size", type=int, help="prompts are drawn from ids below it")
    group.add_argument(
        "--dataset-path",
        type=Path,
        metavar="FILE",
        help="JSON: prompts [{ids, output_len}, ...], or {lengths: [[in, out], ...], arrivals}",
    )
    group.add_argument("--dataset-key", default="main", help="which list of FILE (default: main)")


def jobs_of(args: argparse.Namespace, vocab_size: int, seed: int) -> list[Job]:
    """Exactly --num-prompts jobs, or as many as the file holds. Raises UsageError."""
    for name in ("num_prompts", "input_len", "output_len"):
        if getattr(args, name) < 1:
            raise UsageError(f"--{name.replace('_', '-')} must be at least 1")
    limit = args.vocab_size or vocab_size
    if args.dataset_path is None:
        lengths = [(args.input_len, args.output_len)] * args.num_prompts
        return draw(lengths, limit, seed)
    content = read_dataset(args.dataset_path)
    if isinstance(content, dict) and "lengths" in content:
        return draw(content["lengths"][: args.num_prompts], limit, seed)
    return _written(args, content)


def draw(lengths: list[Any], vocab_size: int, seed: int) -> list[Job]:
    """Prompt i is default_rng(seed + i).integers(0, vocab_size, its length)."""
    return [
        Job(np.random.default_rng(seed + i).integers(0, vocab_size, num_in).tolist(), num_out)
        for i, (num_in, num_out) in enumerate(lengths)
    ]


def read_dataset(path: Path) -> Any:
    """Raises UsageError when it is not a JSON file."""
    import json

    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"--dataset-path {path}: {error}") from None


def trace_arrivals(path: Path, rate: float) -> list[float]:
    """The seconds that a file of lengths lists for this rate. Raises UsageError."""
    content = read_dataset(path)
    listed = content.get("arrivals", {}) if isinstance(content, dict) else {}
    times: list[float] | None = listed.get(f"{rate:g}")
    if times is None:
        known = ", ".join(listed) or "none"
        raise UsageError(f"{path} lists no arrivals for {rate:g} requests/s; it has: {known}")
    return times


def _written(args: argparse.Namespace, content: Any) -> list[Job]:
    prompts: Any = content.get(args.dataset_key) if isinstance(content, dict) else content
    if isinstance(prompts, dict):
        prompts = [prompts]
    try:
        jobs = [
            Job([int(i) for i in prompt["ids"]], int(prompt.get("output_len", args.output_len)))
            for prompt in prompts
        ]
    except (TypeError, KeyError, ValueError, AttributeError):
        keys = f"; its keys: {', '.join(content)}" if isinstance(content, dict) else ""
        raise UsageError(
            f"{args.dataset_path} holds no list of prompts ({{ids: [...]}}) under "
            f"--dataset-key {args.dataset_key!r}{keys}"
        ) from None
    return jobs[: args.num_prompts]
