"""Linear: a weight packed once for `kernels.linear`.

Shape suffixes as in inferd.contracts.ops; P panels of outputs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from inferd.contracts import ops
from inferd_cpu_numba import runtime

PANEL = 32  # outputs
LARGEST_TILE = 12  # rows
BLOCK_BYTES = 1 << 19  # of x: half of a core's L2


def supports_pairs() -> bool:
    """Whether this CPU multiplies pairs of bfloat16 and has nothing better, which is AMX."""
    from llvmlite.binding import get_host_cpu_features

    features = get_host_cpu_features()
    return bool(features.get("avx512bf16")) and not features.get("amx-bf16")


class MakeLinear:
    """For bfloat16."""

    def __init__(self, call: runtime.Call) -> None:
        self._call = call

    def __call__(self, weight_NK: Tensor, bias_N: Tensor | None) -> ops.Linear:
        outputs, inputs = weight_NK.shape
        if inputs % 2:  # no model has such a layer
            return lambda x_TK: F.linear(x_TK, weight_NK, bias_N)
        call = self._call
        packed, bias = pack(weight_NK), padded_bias(bias_N, outputs)
        block = rows_of_block(inputs)

        def linear(x_TK: Tensor) -> Tensor:
            tokens = x_TK.shape[0]
            out_TN = torch.empty((tokens, outputs), dtype=x_TK.dtype)
            call(
                torch.get_num_threads(),
                x_TK.data_ptr(),
                2 * x_TK.stride(0),
                packed.data_ptr(),
                bias.data_ptr(),
                out_TN.data_ptr(),
                tokens,
                outputs,
                inputs,
                block,
            )
            return out_TN

        return linear


def rows_of_block(inputs: int) -> int:
    """Whole tiles."""
    return max(1, BLOCK_BYTES // (2 * inputs * LARGEST_TILE)) * LARGEST_TILE


def pack(weight_NK: Tensor) -> Tensor:
    """[P, K / 2, 32, 2], with zeros where the last panel has no outputs."""
    outputs, inputs = weight_NK.shape
    missing = -outputs % PANEL
    full_NK = F.pad(weight_NK, (0, 0, 0, missing)) if missing else weight_NK
    return full_NK.view(-1, PANEL, inputs // 2, 2).transpose(1, 2).contiguous()


def padded_bias(bias_N: Tensor | None, outputs: int) -> Tensor:
    bias = torch.zeros(outputs + -outputs % PANEL)
    if bias_N is not None:
        bias[:outputs] = bias_N
    return bias
