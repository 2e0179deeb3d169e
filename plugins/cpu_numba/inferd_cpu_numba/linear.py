"""Linear: a weight packed once for `kernels.linear`.

Shape suffixes as in inferd.contracts.ops; P panels of outputs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from inferd.contracts import ops
from inferd_cpu_numba import runtime
from inferd_cpu_numba.weights import WeightMemory

PANEL = 32  # outputs
LINE_NUMBERS = 2 * PANEL  # of a panel's line: two inputs of each output
LARGEST_TILE = 12  # rows
BLOCK_BYTES = 1 << 19  # of x: half of a core's L2
MANY = 24  # rows from which a panel is written out
SAMPLE = 256  # rows of a weight from which its exponents are known well enough
NONE = 255


def supported() -> bool:
    """Whether this CPU has AVX-512 and nothing better, which is AMX."""
    from llvmlite.binding import get_host_cpu_features

    features = get_host_cpu_features()
    return bool(features.get("avx512bw")) and not features.get("amx-bf16")


class MakeLinear:
    """For bfloat16; inputs of `size` bytes are multiplied: 2, or 4 in float32."""

    def __init__(
        self, call: runtime.Call, pack: runtime.Call, memory: WeightMemory, size: int
    ) -> None:
        self._call, self._pack, self._memory, self._size = call, pack, memory, size
        self._room = runtime.Room()

    def __call__(self, weight_NK: Tensor, bias_N: Tensor | None) -> ops.Linear:
        outputs, inputs = weight_NK.shape
        if inputs % 4:  # no model has such a layer
            return lambda x_TK: F.linear(x_TK, weight_NK, bias_N)
        call, space, bias = self._call, self._room.bytes, padded_bias(bias_N, outputs)
        kept = pack(weight_NK, self._pack, self._memory)
        block = rows_of_block(inputs)
        panel_bytes, row_bytes = self._size * inputs * PANEL, 4 * inputs if self._size == 4 else 0

        def linear(x_TK: Tensor) -> Tensor:
            tokens, threads = x_TK.shape[0], torch.get_num_threads()
            out_TN = torch.empty((tokens, outputs), dtype=x_TK.dtype)
            room_bytes = panel_bytes + row_bytes * min(tokens, block)
            room = space(threads * room_bytes if tokens >= MANY or row_bytes else 0)
            weight, *others = (part.data_ptr() for part in kept)
            x, stride, out = x_TK.data_ptr(), 2 * x_TK.stride(0), out_TN.data_ptr()
            places = weight, bias.data_ptr(), out, *others, room.data_ptr(), room_bytes
            call(threads, x, stride, *places, tokens, outputs, inputs, block)
            return out_TN

        return linear


def rows_of_block(inputs: int) -> int:
    """Whole tiles."""
    return max(1, BLOCK_BYTES // (2 * inputs * LARGEST_TILE)) * LARGEST_TILE


def pack(weight_NK: Tensor, call: runtime.Call, memory: WeightMemory) -> tuple[Tensor, ...]:
    """What `kernels.linear` has as WEIGHT, TABLE, FIRSTS, PLACES and KEPT."""
    outputs, inputs = weight_NK.shape
    panels, threads = -(-outputs // PANEL), torch.get_num_threads()
    table_16, fields_256 = tables(weight_NK)
    counts_P = torch.empty(panels, dtype=torch.int64)
    source = weight_NK.data_ptr(), weight_NK.stride(0), outputs, inputs, fields_256.data_ptr()
    call(threads, *source, counts_P.data_ptr(), 0, 0, 0, 0)
    firsts_P1 = F.pad((counts_P + 1).cumsum(0), (1, 0))
    lines = int(firsts_P1[-1])
    packed = memory.empty(panels * inputs * PANEL * 3 // 2)
    places, kept = memory.empty(4 * lines), memory.empty(2 * LINE_NUMBERS * lines)
    written = (packed, firsts_P1, places, kept)
    call(threads, *source, 0, *(part.data_ptr() for part in written))
    return packed, table_16.repeat(4), firsts_P1, places, kept


def tables(weight_NK: Tensor) -> tuple[Tensor, Tensor]:
    """Upper bytes by field, four bits; fields by upper byte, NONE for those that have none.

    A field is a sign and one of the eight upper bytes that are there most often, without sign.
    """
    some = weight_NK[:: max(1, len(weight_NK) // SAMPLE)].contiguous()
    upper = some.view(torch.uint8)[:, 1::2].flatten() & 127
    best_8 = torch.bincount(upper, minlength=128).topk(8).indices.to(torch.uint8)
    table_16 = torch.cat((best_8, best_8 | 128))
    fields_256 = torch.full((256,), NONE, dtype=torch.uint8)
    fields_256[table_16.long()] = torch.arange(16, dtype=torch.uint8)
    return table_16, fields_256


def padded_bias(bias_N: Tensor | None, outputs: int) -> Tensor:
    bias = torch.zeros(outputs + -outputs % PANEL)
    if bias_N is not None:
        bias[:outputs] = bias_N
    return bias
