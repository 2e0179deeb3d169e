"""The ways in which bench/kernels/fp8.py --sweep multiplies weights of 8 bits.

Shape suffixes as there.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import astuple

import torch
import triton
from torch import Tensor

from inferd.contracts.scaled_formats import BLOCK, RoundedInputs, ScaledWeight
from inferd_ops_triton.kernels import scaled, scaled_gemv
from inferd_ops_triton.tables import Route, ScaledRoute

KERNELS = [
    (scaled, "scaled_kernel"),
    (scaled_gemv, "scaled_gemv_kernel"),
]
FEW = {"block_n": (64, 128), "block_k": (128, 256), "warps": (4,), "stages": (3, 4),
       "programs": (128, 132, 264)}  # fmt: skip
MANY = {"block_m": (128, 256), "block_n": (128,), "block_k": (128,), "warps": (4, 8),
        "stages": (3, 4)}  # fmt: skip
GEMV = {"block_n": (2, 4, 8, 16), "warps": (1, 2, 4)}
Way = Callable[[Tensor, RoundedInputs, ScaledWeight], Tensor]


def ways(tokens: int, weight: ScaledWeight, fours: bool) -> Iterator[tuple[str, Way]]:
    """By the rows of the tables that would choose them; `fours` is what a table calls `pairs`."""
    if tokens == 1:
        return _gemvs(fours)
    return _rounded(tokens, weight.inputs.group is not None)


def _gemvs(fours: bool) -> Iterator[tuple[str, Way]]:
    """A thread has four words of each row."""
    for block_n, warps in itertools.product(*GEMV.values()):
        route = Route("gemv", 1, block_n, 512 * warps, warps, 1, 1)
        yield (
            str([*astuple(route)]),
            lambda x, _, w, r=route: scaled_gemv.scaled_gemv(x, w, None, r, fours),
        )


def _rounded(tokens: int, grouped: bool) -> Iterator[tuple[str, Way]]:
    for route in _tiles(tokens, grouped):
        yield (
            str([*astuple(route)]),
            lambda _, x, w, r=route: scaled.multiply(x, w, None, r, torch.bfloat16),
        )


def _tiles(tokens: int, grouped: bool) -> Iterator[ScaledRoute]:
    if tokens > 128:
        for block_m, block_n, block_k, warps, stages in itertools.product(*MANY.values()):
            yield ScaledRoute(tokens, block_m, block_n, block_k, warps, stages, 1)
        return
    padded = max(16, triton.next_power_of_2(tokens))
    for block_n, block_k, *rest in itertools.product(*FEW.values()):
        if block_k == BLOCK or not grouped:
            yield ScaledRoute(tokens, padded, block_n, block_k, *rest)
