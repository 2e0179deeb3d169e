"""Linears of packed weights: the kernel for few tokens, unpacking and the library for many.

Shape suffixes: T tokens, N out features, K in features.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import linear as library

from inferd.contracts.ops import Linear
from inferd.contracts.weight_formats import GROUPED_BITS, GroupedWeight
from inferd_ops_triton.kernels.chain import Chain
from inferd_ops_triton.kernels.packed import multiply, unpack
from inferd_ops_triton.packing import MAGIC, PLANE, PackedWeight
from inferd_ops_triton.tables import packed_route


class MakePacked:
    """Groups that are no whole planes, and float32, are dequantized once, for the library."""

    formats = tuple(f"w{bits}_g" for bits in GROUPED_BITS)

    def __init__(self, dtype: torch.dtype, architecture: str, chain: Chain) -> None:
        self._dtype = dtype
        self._architecture, self._chain = architecture, chain

    def __call__(self, weight: GroupedWeight, bias_N: Tensor | None, /) -> Linear:
        if weight.group_size % PLANE or self._dtype not in MAGIC:
            weight_NK = weight.dequantize(self._dtype)
            return lambda x_TK: library(x_TK, weight_NK, bias_N)
        packed, order_K = PackedWeight.of(weight, self._dtype), weight.order_K
        architecture, chain = self._architecture, self._chain

        def linear(x_TK: Tensor) -> Tensor:
            if order_K is not None:
                x_TK = x_TK.index_select(1, order_K)
            route = packed_route(architecture, x_TK.shape[0])
            if route is None:
                return library(x_TK, unpack(packed), bias_N)
            return multiply(x_TK, packed, bias_N, route, chain)

        return linear
