"""Linear: a weight of 4 or 8 bits packed once for `kernels.grouped`.

Shape suffixes as in inferd.contracts.weight_formats; P panels of outputs, O outputs of a panel,
S inputs of a group, F inputs of a vector of codes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from inferd.contracts import ops
from inferd.contracts.weight_formats import GroupedWeight, MinimumWeight
from inferd_cpu_numba import runtime
from inferd_cpu_numba.linear import PANEL, padded_bias, rows_of_block
from inferd_cpu_numba.weights import WeightMemory

FIELDS = 8
LINE = 64  # bytes
FORMATS = ("w4_g", "w8_g", "w4_m", "w8_m")
# Where a field of a lane's 32 bits begins: inputs come in pairs, one in each half of them
SHIFTS = tuple(4 * (place // 2) + 16 * (place % 2) for place in range(FIELDS))


class MakeGrouped:
    """For bfloat16; `dense` makes those whose groups are no multiple of 8 inputs.

    Inputs of `size` bytes are multiplied: 2, or 4 in float32.
    """

    def __init__(
        self,
        compile_for: Callable[[Any], runtime.Call],
        dense: ops.MakeLinear,
        memory: WeightMemory,
        size: int,
    ) -> None:
        self._compile, self._dense, self._memory, self._size = compile_for, dense, memory, size
        self._calls: dict[Any, runtime.Call] = {}
        self._room = runtime.Room()

    def __call__(self, weight: GroupedWeight | MinimumWeight, bias_N: Tensor | None) -> ops.Linear:
        if weight.group_size % FIELDS:
            return self._dense(weight.dequantize(torch.bfloat16), bias_N)
        scales_NG, minima_NG = numbers(weight)
        call = self._call_for(weight, scales_NG, minima_NG)
        outputs, inputs = weight.shape
        packed = self._memory.of(pack(weight.codes(), weight.bits, scales_NG, minima_NG))
        tables = make_tables(signed=minima_NG is None)
        kept = packed, padded_bias(bias_N, outputs), tables
        sizes = outputs, inputs, scales_NG.shape[1], self._size
        linear = _linear(call, kept, self._room.bytes, sizes)
        order_K = weight.order_K if isinstance(weight, GroupedWeight) else None
        if order_K is None:
            return linear
        return lambda x_TK: linear(x_TK.index_select(1, order_K))

    def _call_for(
        self, weight: GroupedWeight | MinimumWeight, scales_NG: Tensor, minima_NG: Tensor | None
    ) -> runtime.Call:
        """Compiled once for each layout."""
        from inferd_cpu_numba.kernels.layout import Layout

        layout = Layout(
            size=weight.group_size,
            bits=weight.bits,
            scale_bits=8 * scales_NG.element_size(),
            minima=int(minima_NG is not None),
            input_bytes=self._size,
        )
        if layout not in self._calls:
            self._calls[layout] = self._compile(layout)
        return self._calls[layout]


def _linear(
    call: runtime.Call,
    kept: tuple[Tensor, Tensor, Tensor],
    space: Callable[[int], Tensor],
    sizes: tuple[int, int, int, int],
) -> ops.Linear:
    """`sizes`: outputs, inputs, groups, bytes of an input."""
    packed, bias, tables = kept
    outputs, inputs, groups, size = sizes
    block, row_bytes = rows_of_block(inputs), 4 * inputs if size == 4 else 0

    def linear(x_TK: Tensor) -> Tensor:
        tokens, threads = x_TK.shape[0], torch.get_num_threads()
        out_TN = torch.empty((tokens, outputs), dtype=x_TK.dtype)
        rows = min(tokens, block)
        room_bytes = max(4 * rows * groups, size * inputs * PANEL) + rows * row_bytes
        room_bytes = -(-room_bytes // LINE) * LINE
        room = space(threads * room_bytes)
        x, stride = x_TK.data_ptr(), 2 * x_TK.stride(0)
        weight = packed.data_ptr(), bias.data_ptr()
        other = tables.data_ptr(), room.data_ptr(), room_bytes
        call(threads, x, stride, *weight, out_TN.data_ptr(), *other, tokens, outputs, groups, rows)
        return out_TN

    return linear


def numbers(weight: GroupedWeight | MinimumWeight) -> tuple[Tensor, Tensor | None]:
    """Scales and minima in one dtype: what zero points amount to, if they are not in the table."""
    scales_NG = weight.scales_NG
    if isinstance(weight, MinimumWeight):
        return scales_NG, weight.minima_NG
    if scales_NG.dtype == torch.bfloat16 or weight.zeros_NG is not None:
        scales_NG = scales_NG.float()
    if weight.zeros_NG is None:
        return scales_NG, None
    return scales_NG, scales_NG * -weight.zeros_NG.float()


def make_tables(*, signed: bool) -> Tensor:
    """What a field of four bits stands for: twice in bfloat16, then once in float32."""
    numbers = torch.arange(32) % 16 - (8 if signed else 0)
    parts = numbers.bfloat16(), numbers[:16].float()
    return torch.cat([part.view(torch.uint8) for part in parts])


def pack(codes_NK: Tensor, bits: int, scales_NG: Tensor, minima_NG: Tensor | None) -> Tensor:
    """uint8 [P, G, bytes of a group], as `kernels.grouped` reads them."""
    groups = scales_NG.shape[1]
    codes_POGS = _panels(codes_NK, groups)
    if bits == 4:
        codes = _lanes(codes_POGS)
    else:  # pairs of inputs; the sign's bit is that of a signed byte
        signs = 0 if minima_NG is not None else 128
        pairs = (codes_POGS ^ signs).view(*codes_POGS.shape[:3], -1, 2)
        codes = pairs.permute(0, 2, 3, 1, 4).contiguous()
    parts = [codes.flatten(2).view(torch.uint8)]
    for values_NG in (scales_NG, minima_NG):
        if values_NG is not None:
            values_PGO = _panels(values_NG, groups).squeeze(-1).transpose(1, 2).contiguous()
            parts.append(values_PGO.view(torch.uint8))
    return torch.cat(parts, dim=-1)


def _panels(values: Tensor, groups: int) -> Tensor:
    """[P, O, G, ...], with zeros where the last panel has no outputs."""
    missing = -len(values) % PANEL
    full = F.pad(values, (0, 0, 0, missing)) if missing else values
    return full.view(-1, PANEL, groups, values.shape[1] // groups)


def _lanes(fields_POGS: Tensor) -> Tensor:
    """int32 [P, G, S / F, 2, 16]: an output's eight fields in each."""
    panels, outputs, groups, _ = fields_POGS.shape
    fields = fields_POGS.reshape(panels, outputs, groups, -1, FIELDS)
    lanes = torch.zeros(fields.shape[:-1], dtype=torch.int32)
    for place, shift in enumerate(SHIFTS):
        lanes |= fields[..., place].int() << shift
    return lanes.view(panels, 2, -1, groups, lanes.shape[-1]).permute(0, 3, 4, 1, 2).contiguous()
