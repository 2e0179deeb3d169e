"""GgufMatrix: a matrix in one of GGUF's block formats, or plain, to one that ops multiply by.

Shape suffixes as in inferd.contracts.weight_formats; V values of a block, 1 of a single one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from inferd.contracts.bit_strings import pack_bits
from inferd.contracts.loader import RawTensor
from inferd.contracts.quantization import Drawn
from inferd.contracts.weight_formats import GroupedWeight, MinimumWeight, Weight
from inferd.layers.gguf_blocks import STORAGE, BlockFormat
from inferd.layers.matrix_format import FLOATS, MatrixFormat, Stored

FORMATS = ("w4_g", "w4_m", "w8_g", "w8_m")
DUMMY_BYTE = 40  # all bytes of a dummy are below: two of them as a float16 are below 0.03


class GgufMatrix(MatrixFormat):
    """Which format it is in its tensor says; `drawn` that of dummies, which are plain without."""

    def __init__(self, drawn: str | None = None) -> None:
        self._drawn = drawn
        self._storage: str

    def tensors(self, name: str, rows: int, columns: int) -> dict[str, Stored]:  # noqa: ARG002
        return {"weight": Stored((rows, columns), (*FLOATS, *STORAGE))}

    def take(self, suffix: str, tensor: RawTensor) -> Tensor:
        if suffix == "weight":
            self._storage = tensor.storage
        return tensor.data

    def draw(
        self, suffix: str, rows: int, columns: int, generator: torch.Generator
    ) -> Drawn | None:
        if self._drawn is None:
            return super().draw(suffix, rows, columns, generator)
        form = STORAGE[self._drawn]
        shape = rows, columns // form.num_values * form.num_bytes
        options: dict[str, Any] = {"generator": generator, "device": generator.device}
        return Drawn(self._drawn, torch.randint(DUMMY_BYTE, shape, dtype=torch.uint8, **options))

    def weight(self, name: str, stored: Mapping[str, Tensor]) -> Weight | Tensor:  # noqa: ARG002
        form, rows_NB = STORAGE.get(self._storage), stored["weight"]
        return rows_NB if form is None else coded(form, rows_NB)


def coded(form: BlockFormat, rows_NB: Tensor) -> Weight:
    """Packed rows in the narrower of the formats of 4 and 8 bits that has their codes."""
    rows, bits = len(rows_NB), 4 if form.bits <= 4 else 8
    codes_NV, scales, minima, zero = form.read(rows_NB.reshape(-1, form.num_bytes))
    if minima is None:  # zero points stand in the middle
        codes_NV = codes_NV + (2 ** (bits - 1) - zero)
    packed_NB, scales_NG = pack_bits(codes_NV.view(rows, -1), bits), scales.view(rows, -1)
    if minima is None:
        return GroupedWeight(bits, packed_NB, scales_NG)
    return MinimumWeight(bits, packed_NB, scales_NG, minima.view(rows, -1))
