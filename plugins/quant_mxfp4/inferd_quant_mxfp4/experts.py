"""Mxfp4Experts: the experts of a layer from blocks of 32 values, dequantized as they come.

    blocks  uint8 [rows, K / 32, 16]  two values a byte, the first in the lower four bits
    scales  uint8 [rows, K / 32]      the exponent of a power of two, plus 127
    bias    float [rows]

Values are e2m1 floats (OCP Microscaling Formats 1.0): sign, two bits of exponent, one of mantissa.
Shape suffixes: N rows, K inputs, X = K / 32 blocks; M experts, D hidden, I inner.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from inferd.contracts.loader import RawTensor
from inferd.contracts.ops import Experts, Ops
from inferd.contracts.quantization import ExpertsMethod, ExpertsSpec
from inferd.errors import CheckpointError, UnsupportedModel
from inferd.layers.weight import check_suffix, unpack_checked

BLOCK = 32  # values that share a scale
SCALE_BIAS = 127
MAGNITUDES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


class Mxfp4Experts(ExpertsMethod):
    """Blocks and scales wait for each other: one part of one expert at a time is unpacked."""

    def __init__(self, spec: ExpertsSpec, ops: Ops) -> None:
        """Raises UnsupportedModel for sizes that are no multiple of 32."""
        for what, size in (("hidden", spec.hidden_size), ("inner", spec.intermediate_size)):
            if size % BLOCK:
                raise UnsupportedModel(f"{spec.name}: {what} size {size}, no multiple of {BLOCK}")
        self._spec, self._ops = spec, ops
        num, hidden, inner = spec.num_experts, spec.hidden_size, spec.intermediate_size
        options: dict[str, Any] = {"dtype": spec.dtype, "device": spec.device}
        self._weights: tuple[Tensor, ...] = (
            torch.empty(num, 2 * inner, hidden, **options),
            torch.empty(num, hidden, inner, **options),
        )
        self._biases: tuple[Tensor, ...] = (
            (torch.empty(num, 2 * inner, **options), torch.empty(num, hidden, **options))
            if spec.bias
            else ()
        )
        self._waiting: dict[tuple[int, int], tuple[str, Tensor]] = {}

    def expected(self, part: int) -> dict[str, tuple[int, ...]]:
        rows, columns = _place(self._weights, 0, part).shape
        bias: dict[str, tuple[int, ...]] = {"bias": (rows,)} if self._spec.bias else {}
        blocks = columns // BLOCK
        return {"blocks": (rows, blocks, BLOCK // 2), "scales": (rows, blocks), **bias}

    def load(self, suffix: str, expert: int, part: int, tensor: RawTensor) -> None:
        shapes = self.expected(part)
        check_suffix(suffix, tensor, tuple(shapes))
        if suffix == "bias":
            place = _place(self._biases, expert, part)
            place.copy_(unpack_checked(tensor, shapes[suffix], self._spec.dtype))
            return
        if (tensor.storage, tuple(tensor.shape)) != ("uint8", shapes[suffix]):
            raise CheckpointError(
                f"{tensor.name}: expected uint8 {list(shapes[suffix])} of an expert, found "
                f"{tensor.storage} {list(tensor.shape)}"
            )
        data = tensor.data.to(self._spec.device)
        other = self._waiting.pop((expert, part), None)
        if other is None:
            self._waiting[expert, part] = (suffix, data)
            return
        stored = dict([other, (suffix, data)])
        _place(self._weights, expert, part).copy_(dequantize(stored["blocks"], stored["scales"]))

    def finish(self) -> Experts:
        (gate_up, down), biases = self._weights, self._biases
        self._weights = self._biases = ()
        return self._ops.experts["dense"](gate_up, down, self._spec.activation, *biases)


def _place(both: tuple[Tensor, ...], expert: int, part: int) -> Tensor:
    """Where a part of an expert goes: gate and up are one tensor."""
    gate_up, down = both
    return down[expert] if part == 2 else gate_up[expert].chunk(2)[part]


def dequantize(blocks_NXB: Tensor, scales_NX: Tensor) -> Tensor:
    """float32 [N, K], exactly."""
    table = torch.tensor([*MAGNITUDES, *(-each for each in MAGNITUDES)], device=blocks_NXB.device)
    codes_NXB2 = torch.stack((blocks_NXB & 15, blocks_NXB >> 4), dim=-1)
    values_NX32 = table[codes_NXB2.int()].flatten(2)
    exponents_NX1 = scales_NX.int().unsqueeze(-1) - SCALE_BIAS
    return torch.ldexp(values_NX32, exponents_NX1).flatten(1)
