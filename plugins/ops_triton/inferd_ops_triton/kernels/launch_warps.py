"""Launching kernels.packed_warps: which weights it takes, matrices as tiles to fetch, and shares.

Shape suffixes as in kernels.packed.
"""

from __future__ import annotations

import torch
import triton
from torch import Tensor
from triton.experimental.gluon.language import NVMMASharedLayout
from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

from inferd_ops_triton.kernels.chain import ALONE, Chain
from inferd_ops_triton.kernels.packed_warps import packed_warps_kernel
from inferd_ops_triton.kernels.packed_warps_shares import add_shares_kernel
from inferd_ops_triton.packing import PLANE, TILE, PackedWeight
from inferd_ops_triton.tables_gluon import WarpsRoute

TILES = NVMMASharedLayout(2 * PLANE, 16, rank=3)  # a row of a tile is swizzled as a whole
ADDED_TOKENS = 4  # by a program


def takes(weight: PackedWeight) -> bool:
    """4 bits, whole tiles, groups of whole planes that end with tiles, and aligned rows of them."""
    size, inner = weight.shape
    of_tiles = inner % TILE == 0 and TILE % weight.group_size == 0
    return weight.bits == 4 and of_tiles and weight.group_size % PLANE == 0 and size % 8 == 0


def multiply(
    x_MK: Tensor, weight: PackedWeight, bias_N: Tensor | None, route: WarpsRoute,
    chain: Chain = ALONE,
) -> Tensor:  # fmt: skip
    """As packed.multiply, of what `takes` says yes to."""
    tokens, (size, inner) = x_MK.shape[0], weight.shape
    per_block, share, programs, parts = route.shares(size, inner)
    seconds_GN = weight.minima_GN if weight.zeros_GN is None else weight.zeros_GN
    out_MN = torch.empty(tokens, size, dtype=x_MK.dtype, device=x_MK.device)
    parts_PMN = torch.empty(parts, tokens, size, dtype=torch.float32, device=x_MK.device)
    packed_warps_kernel[programs, triton.cdiv(tokens, route.block_m)](
        _tiles(weight.words_NW, PLANE, [route.warps_k, route.rows, PLANE]),
        _of_tiles(weight.scales_GN, inner, route), _of_tiles(seconds_GN, inner, route),
        _tiles(x_MK.contiguous(), TILE, [route.warps_k, route.block_m, PLANE]), bias_N, out_MN,
        parts_PMN, tokens, size, inner, share, TILE // weight.group_size,
        weight.zeros_GN is not None, weight.number, route.rows, route.block_m, route.warps_n,
        route.warps_k, route.buffers, num_warps=route.warps, maxnreg=route.registers, **chain,
    )  # fmt: skip
    if parts > 1:
        blocks = triton.cdiv(size, route.rows), triton.cdiv(tokens, ADDED_TOKENS)
        add_shares_kernel[blocks](
            parts_PMN, bias_N, out_MN, tokens, size, share, per_block, route.rows, ADDED_TOKENS,
            parts, num_warps=4, **chain,
        )  # fmt: skip
    return out_MN


def _tiles(matrix: Tensor, width: int, box: list[int]) -> TensorDescriptor:
    """[tiles, rows, `width`] of a matrix whose rows are whole tiles."""
    rows, stride = matrix.shape[0], matrix.stride(0)
    shape, strides = [matrix.shape[1] // width, rows, width], [width, stride, 1]
    return TensorDescriptor(matrix, shape, strides, box, TILES)


def _of_tiles(of_GN: Tensor | None, inner: int, route: WarpsRoute) -> TensorDescriptor:
    """[tiles, groups of a tile times N]."""
    assert of_GN is not None
    tiles = of_GN.view(inner // TILE, -1)
    layout = group_layout(of_GN.element_size())
    return TensorDescriptor.from_tensor(tiles, [route.warps_k, route.rows], layout)


def group_layout(size: int) -> NVMMASharedLayout:
    """Of what groups have, in elements of `size` bytes."""
    return NVMMASharedLayout(0, 8 * size)
