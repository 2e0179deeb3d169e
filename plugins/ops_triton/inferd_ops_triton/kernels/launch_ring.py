"""Launching kernels.packed_ring: which weights it takes, and matrices as tiles to fetch.

Shape suffixes as in kernels.packed.
"""

from __future__ import annotations

import triton
from torch import Tensor
from triton.experimental.gluon.language import NVMMASharedLayout
from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

from inferd_ops_triton.kernels.chain import ALONE, Chain
from inferd_ops_triton.kernels.packed_ring import packed_ring_kernel
from inferd_ops_triton.kernels.skinny import add_parts, outputs
from inferd_ops_triton.kernels.warpgroups import AVAILABLE, MAXNREG, WARPS
from inferd_ops_triton.packing import PLANE, PackedWeight
from inferd_ops_triton.tables_gluon import RingRoute

__all__ = ["AVAILABLE", "multiply", "takes", "tile_layout"]


def takes(weight: PackedWeight) -> bool:
    """Groups of whole planes, and rows of the inputs that begin at multiples of 16 bytes."""
    return weight.group_size % PLANE == 0 and weight.shape[1] % 8 == 0


def multiply(
    x_MK: Tensor, weight: PackedWeight, bias_N: Tensor | None, route: RingRoute,
    chain: Chain = ALONE,
) -> Tensor:  # fmt: skip
    """As packed.multiply, of what `takes` says yes to."""
    tokens, (size, inner), parts = x_MK.shape[0], weight.shape, route.parts(*weight.shape)
    out_MN, sums = outputs((tokens, size), parts, x_MK.dtype, x_MK.device)
    seconds_GN = weight.minima_GN if weight.zeros_GN is None else weight.zeros_GN
    grid = (triton.cdiv(size, 2 * route.rows), parts, triton.cdiv(tokens, route.block_m))
    packed_ring_kernel[grid](
        _tiles(weight.words_NW, route.rows), _tiles(x_MK.contiguous(), route.block_m),
        weight.scales_GN, seconds_GN, None if parts > 1 else bias_N, sums, tokens, size, inner,
        weight.bits, weight.zeros_GN is not None, weight.number, weight.group_size, route.rows,
        route.block_m, route.buffers, num_warps=WARPS, maxnreg=MAXNREG, **chain,
    )  # fmt: skip
    return out_MN if parts == 1 else add_parts(sums, bias_N, out_MN, chain)


def _tiles(matrix: Tensor, rows: int) -> TensorDescriptor:
    layout = tile_layout(matrix.element_size())
    return TensorDescriptor.from_tensor(matrix, [rows, PLANE], layout)


def tile_layout(size: int) -> NVMMASharedLayout:
    """Of elements of `size` bytes; a row of a tile is swizzled as a whole."""
    return NVMMASharedLayout(PLANE * size, 8 * size, 2)
