"""Ways to feed the same prompts: their logits must not depend on the way.

Shape suffixes: R rows, T tokens, V vocabulary.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from inferd.contracts.model import CausalLM
from inferd.contracts.ops import Ops
from inferd.testing.drive import Driver, build_context, load_model
from inferd.testing.oracle import Held, Oracle

BLOCK_SIZE = 8
SAME, DIFFERENT = 1e-4, 1e-2
"""max |difference of logits| / their standard deviation: at most, and at least."""
WAYS = ("whole", "chunked", "decode", "batched", "cached")


def schedule(way: str, length: int) -> list[list[int]]:
    """Per row, the tokens it gets in each step (0: it waits)."""
    half, rest = length // 2, length - 38
    return {
        "whole": [[length]] * 3,
        "chunked": [[7, 30, 1, rest], [0, 1, length - 1], [half, 0, 0, length - half]],
        "decode": [[1] * length],
        "cached": [[length]] * 3,
        "batched": [
            [5] + [1] * (length - 5),
            [0] * 4 + [13] * (length // 13) + [1] * (length % 13),
            [0] * 9 + [length - 20] + [1] * 20,
        ],
    }[way]


def load(
    kind: type[CausalLM],
    oracle: Oracle,
    hf: Mapping[str, Any] | None = None,
    ops: Ops | None = None,
) -> CausalLM:
    """A model with the oracle's weights, built from `hf` and with `ops` where they are given."""
    build = build_context(
        oracle.config if hf is None else hf,
        max_model_len=oracle.ids_RT.shape[1],
        vocab_size=oracle.config["vocab_size"],
        ops=ops,
        architecture=oracle.config["architectures"][0],
    )
    return load_model(kind, build, Held(oracle.tensors))


def feed(model: CausalLM, oracle: Oracle, way: str) -> dict[int, Tensor]:
    """Logits [T, V] by row."""
    rows = schedule(way, oracle.ids_RT.shape[1])
    driver = Driver(model, block_size=BLOCK_SIZE, num_blocks=400)
    done = [0] * len(rows)
    parts: dict[int, list[Tensor]] = {row: [] for row in range(len(rows))}
    for counts in itertools.zip_longest(*rows, fillvalue=0):
        ends = [start + count for start, count in zip(done, counts, strict=True)]
        spans = {row: (done[row], ends[row]) for row, count in enumerate(counts) if count}
        tokens = {row: oracle.ids_RT[row, a:b].tolist() for row, (a, b) in spans.items()}
        for row, logits_TV in driver.step(tokens).items():
            parts[row].append(logits_TV)
        done = ends
    if way == "cached":
        _again(driver, oracle, parts)
    return {row: torch.cat(logits) for row, logits in parts.items()}


def _again(driver: Driver, oracle: Oracle, parts: dict[int, list[Tensor]]) -> None:
    """Every row once more, from a half of it that is found in the cache."""
    found = len(oracle.ids_RT[0]) // 2 // BLOCK_SIZE * BLOCK_SIZE
    for row in parts:
        driver.keep(row, found)
    rest = {row: oracle.ids_RT[row, found:].tolist() for row in parts}
    for row, logits_TV in driver.step(rest).items():
        parts[row] = [*(part[:found] for part in parts[row]), logits_TV]


def distance(model: CausalLM, oracle: Oracle, way: str = "whole") -> float:
    """max |difference of logits| / their standard deviation; infinite where one is not finite."""
    found = feed(model, oracle, way)
    gaps = torch.cat([logits_TV - oracle.logits_RTV[row] for row, logits_TV in found.items()])
    worst = float(gaps.abs().max()) / oracle.spread
    return worst if math.isfinite(worst) else math.inf
