"""Launching kernels.gated: which weights it takes, and matrices as tiles to fetch.

Shape suffixes: M tokens, N = 2 I rows of W, K in features, I intermediate.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor
from triton.experimental.gluon.language import NVMMASharedLayout
from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

from inferd_ops_triton.kernels.gated import COLUMNS, INPUTS, ROWS, gated_kernel
from inferd_ops_triton.kernels.warpgroups import AVAILABLE, MAXNREG, WARPS
from inferd_ops_triton.tables import GatedTiles

__all__ = ["ACTIVATIONS", "AVAILABLE", "LAYOUT", "gated", "suits", "takes"]

FILLED = 0.88  # of the places of whole rounds of tiles
ACTIVATIONS = ("silu", "gelu_tanh")
LAYOUT = NVMMASharedLayout(swizzle_byte_width=128, element_bitwidth=16, rank=2)


def takes(weight_NK: Tensor) -> bool:
    """Numbers of 16 bits, and rows that begin at multiples of 16 bytes, of the result too."""
    size, inner = weight_NK.shape
    narrow = weight_NK.dtype in (torch.bfloat16, torch.float16)
    aligned = size % 16 == 0 and inner % 8 == 0 and weight_NK.data_ptr() % 16 == 0
    return narrow and aligned and weight_NK.is_contiguous()


def suits(weight_NK: Tensor, tiles: GatedTiles, tokens: int) -> bool:
    """Whether it is the faster way: where its last round of tiles leaves little of a device idle.

    Found on an H100: 0.93 of the library's speed with 85 % of the rounds filled, 1.01 with 91 %.
    """
    rows, columns = 2 * ROWS.value, COLUMNS.value
    blocks = -(-tokens // rows) * -(-weight_NK.shape[0] // (2 * columns))
    programs = _multiprocessors(weight_NK.device)
    places = -(-blocks // programs) * programs * rows * columns
    return tokens >= tiles.least and tokens * weight_NK.shape[0] // 2 >= FILLED * places


def gated(weight_NK: Tensor, act: str, tiles: GatedTiles) -> Callable[[Tensor], Tensor]:
    """x [M, K] -> act(gate) * up [M, I], of a weight that `takes` says yes to."""
    weight = _tiles(weight_NK, COLUMNS.value, INPUTS.value)
    inner, hidden = weight_NK.shape[0] // 2, weight_NK.shape[1]

    def multiply(x_MK: Tensor) -> Tensor:
        out_MI = x_MK.new_empty(len(x_MK), inner)
        gated_kernel[(_multiprocessors(x_MK.device),)](
            _tiles(x_MK, ROWS.value, INPUTS.value), weight,
            _tiles(out_MI, ROWS.value, COLUMNS.value), len(x_MK), inner, hidden, act,
            tiles.group, tiles.buffers, num_warps=WARPS, maxnreg=MAXNREG,
        )  # fmt: skip
        return out_MI

    return multiply


@lru_cache
def _multiprocessors(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count


def _tiles(matrix: Tensor, rows: int, columns: int) -> TensorDescriptor:
    return TensorDescriptor.from_tensor(matrix.contiguous(), [rows, columns], LAYOUT)
