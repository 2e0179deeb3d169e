"""Linears of packed weights: the kernel for few tokens, unpacking and the library for many.

Shape suffixes: T tokens, N out features, K in features.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear as library

from inferd.contracts.ops import Linear
from inferd.contracts.weight_formats import (
    GROUPED_BITS,
    MINIMUM_BITS,
    GroupedWeight,
    MinimumWeight,
)
from inferd_ops_triton.kernels.chain import Chain
from inferd_ops_triton.kernels.packed import multiply, unpack
from inferd_ops_triton.kernels.packed_gemv import packed_gemv
from inferd_ops_triton.packing import HALF, MAGIC, PackedWeight
from inferd_ops_triton.tables import Route, packed_route, table
from inferd_ops_triton.tables_gluon import ring_route, warps_route

MANY = 2048  # tokens from which some rows at a time fill a device


class MakePacked:
    """Groups that are no halves of planes, and float32, are dequantized once, for the library."""

    formats = (
        *(f"w{bits}_g" for bits in GROUPED_BITS),
        *(f"w{bits}_m" for bits in MINIMUM_BITS),
    )

    def __init__(self, dtype: torch.dtype, architecture: str, chain: Chain) -> None:
        self._dtype = dtype
        self._architecture, self._chain = architecture, chain

    def __call__(self, weight: GroupedWeight | MinimumWeight, bias_N: Tensor | None, /) -> Linear:
        if weight.group_size % HALF or self._dtype not in MAGIC:
            weight_NK = weight.dequantize(self._dtype)
            return lambda x_TK: library(x_TK, weight_NK, bias_N)
        packed = PackedWeight.of(weight, self._dtype)
        order_K = weight.order_K if isinstance(weight, GroupedWeight) else None
        architecture, chain = self._architecture, self._chain
        others = [(launch, route) for launch, route in in_gluon() if launch.takes(packed)]
        single = Route(*table(architecture)["packed_gemv"])
        rows = table(architecture)["packed_rows"]

        def linear(x_TK: Tensor) -> Tensor:
            if order_K is not None:
                x_TK = x_TK.index_select(1, order_K)
            if x_TK.shape[0] == 1:
                return packed_gemv(x_TK, packed, bias_N, single, chain)
            for launch, route_of in others:
                if (way := route_of(architecture, x_TK.shape[0])) is not None:
                    out_TN: Tensor = launch.multiply(x_TK, packed, bias_N, way, chain)
                    return out_TN
            route = packed_route(architecture, x_TK.shape[0], packed.minima_GN is not None)
            if route is None:
                return unpacked(x_TK, packed, bias_N, rows)
            return multiply(x_TK, packed, bias_N, route, chain)

        return linear


@lru_cache
def in_gluon() -> tuple[tuple[ModuleType, Callable[[str, int], Any]], ...]:
    """Launchers of kernels and what says which tokens are theirs, where this Triton's Gluon has
    what they use."""
    try:
        from inferd_ops_triton.kernels import launch_ring, launch_warps
    except ImportError:
        return ()
    both = (launch_warps, warps_route), (launch_ring, ring_route)
    return both if launch_ring.AVAILABLE else ()


def unpacked(x_TK: Tensor, packed: PackedWeight, bias_N: Tensor | None, rows: int) -> Tensor:
    """By the library; the weight is unpacked `rows` of its rows at a time, 0: all at once.

    Each of these takes the memory of the one before, so it is written and read in the L2.
    """
    size = packed.shape[0]
    if not rows or rows >= size or len(x_TK) < MANY:
        return library(x_TK, unpack(packed, x_TK.dtype), bias_N)
    out_TN = torch.empty(len(x_TK), size, dtype=x_TK.dtype, device=x_TK.device)
    for first in range(0, size, rows):
        weight_RK = unpack(packed, x_TK.dtype, first, rows)
        out_TR = out_TN[:, first : first + rows]
        if bias_N is None:
            torch.mm(x_TK, weight_RK.T, out=out_TR)
        else:
            torch.addmm(bias_N[first : first + rows], x_TK, weight_RK.T, out=out_TR)
        del weight_RK  # the next one takes its memory
    return out_TN
