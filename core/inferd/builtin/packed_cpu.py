"""Linears on packed weights for CPUs, by torch's own product of 4-bit integers.

Shape suffixes as in inferd.contracts.weight_formats; T tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor

from inferd.contracts.ops import Linear, MakeLinear
from inferd.contracts.weight_formats import GroupedWeight

GROUP_SIZES = (32, 64, 128, 256)
ROWS = 16  # that the outputs are a multiple of


def packed_makers(dtype: torch.dtype, dense: MakeLinear) -> dict[str, MakeLinear]:
    """By format; none where this torch has no such product."""
    if not hasattr(torch.ops.aten, "_weight_int4pack_mm_for_cpu"):
        return {}
    return {"w4_g": MakeInt4(dtype, dense)}


class MakeInt4:
    """Weights whose groups or rows torch does not take are dequantized, once, and `dense`."""

    def __init__(self, dtype: torch.dtype, dense: MakeLinear) -> None:
        self._dtype, self._dense = dtype, dense

    def __call__(self, weight: GroupedWeight, bias_N: Tensor | None, /) -> Linear:
        size = weight.group_size
        if size not in GROUP_SIZES or weight.shape[0] % ROWS:
            return self._dense(weight.dequantize(self._dtype), bias_N)
        packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(weight.codes().int(), 1)
        scales_GN2, order_K = _scales(weight).to(self._dtype), weight.order_K
        product = torch.ops.aten._weight_int4pack_mm_for_cpu

        def linear(x_TK: Tensor) -> Tensor:
            if order_K is not None:
                x_TK = x_TK.index_select(1, order_K)
            out_TN: Tensor = product(x_TK.contiguous(), packed, size, scales_GN2)
            return out_TN if bias_N is None else out_TN.add_(bias_N)

        return linear


def _scales(weight: GroupedWeight) -> Tensor:
    """float32 [G, N, 2]: torch has (code - 8) * scale + offset."""
    scales_NG = weight.scales_NG.float()
    offsets_NG = (8 - weight.zeros().float()) * scales_NG
    return torch.stack((scales_NG, offsets_NG), -1).transpose(0, 1).contiguous()
