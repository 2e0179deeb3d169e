"""PackedMatrix: one matrix in the format pack-quantized.

    weight_packed      int32 [N, K * bits / 32]   codes, from the lowest bits of a word on
    weight_scale       float [N, G]
    weight_zero_point  int32 [N * bits / 32, G]   codes of the zero points, packed along N
    weight_g_idx       int32 [K]                  each input's group
    weight_shape       int64 [2]                  N, K

Codes are signed integers plus 2 ** (bits - 1). A symmetric matrix has no zero points, one without
act-order no g_idx.
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
from inferd.errors import CheckpointError, UnsupportedModel
from inferd.layers.matrix_format import MatrixFormat, Stored, sorted_by_group
from inferd_quant_compressed_tensors.config import Scheme

assert sys.byteorder == "little"  # words are viewed as bytes
INT32, INT64 = ("int32",), ("int64",)


class PackedMatrix(MatrixFormat):
    def __init__(self, scheme: Scheme) -> None:
        self._scheme = scheme

    def tensors(self, name: str, rows: int, columns: int) -> dict[str, Stored]:
        bits = self._scheme.bits
        size = columns if self._scheme.group_size == -1 else self._scheme.group_size
        if columns % size:
            raise UnsupportedModel(f"{name}: groups of {size} do not divide its {columns} inputs")
        asymmetric = not self._scheme.symmetric
        for what, count in (("inputs", columns), ("outputs", rows))[: 1 + asymmetric]:
            if count * bits % 32:
                raise UnsupportedModel(
                    f"{name}: {count} {what} of {bits} bits are no whole number of 32-bit words"
                )
        found = {
            "weight_packed": Stored((rows, columns * bits // 32), INT32),
            "weight_scale": Stored((rows, columns // size)),
            "weight_shape": Stored((2,), INT64),
        }
        if asymmetric:
            found["weight_zero_point"] = Stored((rows * bits // 32, columns // size), INT32)
        if self._scheme.ordered:
            found["weight_g_idx"] = Stored((columns,), INT32)
        return found

    def draw(
        self, suffix: str, rows: int, columns: int, generator: torch.Generator
    ) -> Drawn | None:
        if suffix == "weight_shape":
            return Drawn("int64", torch.tensor([rows, columns], device=generator.device))
        if suffix != "weight_g_idx":
            return super().draw(suffix, rows, columns, generator)
        size = self._scheme.group_size
        inputs_K = torch.arange(columns, dtype=torch.int32, device=generator.device)
        return Drawn("int32", inputs_K // (columns if size == -1 else size))

    def weight(self, name: str, stored: Mapping[str, Tensor]) -> GroupedWeight:
        bits, shape = self._scheme.bits, stored["weight_shape"].tolist()
        packed_NB = stored["weight_packed"].contiguous().view(torch.uint8)
        if shape != [len(packed_NB), packed_NB.shape[1] * 8 // bits]:
            raise CheckpointError(f"{name}.weight_shape is {shape}, which weight_packed is not")
        zeros_NG = None
        if not self._scheme.symmetric:
            words = stored["weight_zero_point"].T.contiguous().view(torch.uint8)
            zeros_NG = unpack_bits(words, bits).T.contiguous()
        weight = GroupedWeight(bits, packed_NB, stored["weight_scale"].contiguous(), zeros_NG)
        if not self._scheme.ordered:
            return weight
        return sorted_by_group(weight, stored["weight_g_idx"], f"{name}.weight_g_idx")
