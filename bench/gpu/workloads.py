"""The workloads as token ids: `numpy.random.default_rng(seed).integers(0, limit, n)`."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

W3 = Path(__file__).resolve().parents[1] / "data/w3.json"
FIXED = {"w1": (512, 512, 256, 10_000), "w2": (256, 1024, 128, 20_000)}  # requests, in, out, seed
W3_SEED = 30_000
REPEAT_SEED = 100_000  # added for each repetition, so that no prompt comes twice
OTHER_SEED = 900_000  # of everything that is not W1 to W3


@dataclass(frozen=True, slots=True)
class Batch:
    """Prompts, how many tokens each is answered with, and how these are picked."""

    prompts: list[list[int]]
    lengths: list[int]
    sampling: dict[str, Any] = field(default_factory=dict)  # of SamplingParams; empty: greedy

    @property
    def num_in(self) -> int:
        return sum(map(len, self.prompts))

    @property
    def num_out(self) -> int:
        return sum(self.lengths)


@dataclass(slots=True)
class Source:
    """Draws batches. `requests` and `tokens` shrink them, for trying the benchmark itself."""

    limit: int
    requests: float = 1.0
    tokens: float = 1.0
    _seeds: itertools.count[int] = field(default_factory=lambda: itertools.count(OTHER_SEED))

    def workload(self, name: str, repeat: int) -> Batch:
        """w1, w2 or w3."""
        if name == "w3":
            lengths, seed = read_w3()["lengths"], W3_SEED
        else:
            count, num_in, num_out, seed = FIXED[name]
            lengths = [(num_in, num_out)] * count
        lengths = lengths[: self.count(len(lengths))]
        seed += repeat * REPEAT_SEED
        return self.draw(lengths, seed)

    def draw(self, lengths: list[Any], seed: int) -> Batch:
        """Prompt i is drawn with seed + i."""
        sizes = [self.length(num_in) for num_in, _ in lengths]
        prompts = [draw_ids(seed + i, size, self.limit) for i, size in enumerate(sizes)]
        return Batch(prompts, [self.length(num_out) for _, num_out in lengths])

    def fresh(self, count: int, num_in: int, num_out: int) -> Batch:
        """Prompts that no other batch has."""
        prompts = [
            draw_ids(next(self._seeds), self.length(num_in), self.limit) for _ in range(count)
        ]
        return Batch(prompts, [self.length(num_out)] * count)

    def count(self, requests: int) -> int:
        return max(1, round(requests * self.requests))

    def length(self, tokens: int) -> int:
        return max(1, round(tokens * self.tokens))


def draw_ids(seed: int, num_tokens: int, limit: int) -> list[int]:
    ids: list[int] = np.random.default_rng(seed).integers(0, limit, size=num_tokens).tolist()
    return ids


def read_w3() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(W3.read_text(encoding="utf-8"))
    return content
