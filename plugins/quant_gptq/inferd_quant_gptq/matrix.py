"""GptqMatrix: one matrix as GPTQ stores it.

    qweight  int32 [K * bits / 32, N]   codes, packed along K from the lowest bit on
    qzeros   int32 [G, N * bits / 32]   zero points, packed along N likewise
    scales   float [G, N]
    g_idx    int32 [K]                  each input's group

A column of qweight, and a row of qzeros, is one string of bits: where 32 is no multiple of the bits
a code goes on in the next word. Version 1 stores zero points minus one, subtracted from the words
after they were packed, so that a zero point of 0 borrows from its neighbour.
Shape suffixes as in inferd.contracts.weight_formats.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

import torch
from torch import Tensor

from inferd.contracts.bit_strings import unpack_bits
from inferd.contracts.quantization import Drawn
from inferd.contracts.weight_formats import GroupedWeight
from inferd.errors import UnsupportedModel
from inferd.layers.matrix_format import MatrixFormat, Stored, sorted_by_group
from inferd_quant_gptq.config import Packing

assert sys.byteorder == "little"  # words are viewed as bytes
INT32 = ("int32",)


class GptqMatrix(MatrixFormat):
    def __init__(self, packing: Packing) -> None:
        self._packing = packing

    def tensors(self, name: str, rows: int, columns: int) -> dict[str, Stored]:
        bits = self._packing.bits
        size = columns if self._packing.group_size == -1 else self._packing.group_size
        if columns % size:
            raise UnsupportedModel(f"{name}: groups of {size} do not divide its {columns} inputs")
        for what, count in (("inputs", columns), ("outputs", rows)):
            if count * bits % 32:
                raise UnsupportedModel(
                    f"{name}: {count} {what} of {bits} bits are no whole number of 32-bit words"
                )
        return {
            "qweight": Stored((columns * bits // 32, rows), INT32),
            "qzeros": Stored((columns // size, rows * bits // 32), INT32),
            "scales": Stored((columns // size, rows)),
            "g_idx": Stored((columns,), INT32),
        }

    def draw(
        self, suffix: str, rows: int, columns: int, generator: torch.Generator
    ) -> Drawn | None:
        if suffix != "g_idx":
            return super().draw(suffix, rows, columns, generator)
        size = self._packing.group_size
        inputs_K = torch.arange(columns, dtype=torch.int32, device=generator.device)
        return Drawn("int32", inputs_K // (columns if size == -1 else size))

    def weight(self, name: str, stored: Mapping[str, Tensor]) -> GroupedWeight:
        weight = GroupedWeight(
            self._packing.bits,
            _bytes(stored["qweight"].T),
            stored["scales"].T.contiguous(),
            self._zeros(stored["qzeros"]),
        )
        return sorted_by_group(weight, stored["g_idx"], f"{name}.g_idx")

    def _zeros(self, words: Tensor) -> Tensor | None:
        """uint8 [N, G]; None where all are in the middle."""
        bits, less_one = self._packing.bits, self._packing.less_one
        if less_one and bits != 3:
            words = words + sum(1 << place for place in range(0, 31, bits))
        zeros_GN = unpack_bits(_bytes(words), bits)
        if less_one and bits == 3:
            zeros_GN = zeros_GN + 1 & 7
        if bool((zeros_GN == 2 ** (bits - 1)).all()):
            return None
        return zeros_GN.T.contiguous()


def _bytes(words: Tensor) -> Tensor:
    return words.contiguous().view(torch.uint8)
