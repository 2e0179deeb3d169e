"""AwqMethod: 4-bit weights as AutoAWQ stores them, layout GEMM.

    qweight  int32 [K, N / 8]   codes, packed along N
    qzeros   int32 [G, N / 8]   zero points, packed likewise
    scales   float [G, N]

The eight codes of a word are, from its lowest bits on, outputs 0, 2, 4, 6, 1, 3, 5, 7. Where
`zero_point` is false qzeros are there all the same, and say that it is in the middle.
Shape suffixes as in inferd.contracts.weight_formats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from inferd.contracts.bit_strings import pack_bits
from inferd.contracts.weight_formats import GroupedWeight
from inferd.errors import UnsupportedModel
from inferd.layers.matrix_format import DenseFormat, MatrixFormat, Stored
from inferd.layers.packed_method import PackedMethod

BITS = 4
PLACES = (0, 4, 1, 5, 2, 6, 3, 7)  # of each output's code in its word
INT32 = ("int32",)
EXPECTED = {"bits": BITS, "version": "gemm"}
SPELLINGS = {"bits": "w_bit", "group_size": "q_group_size"}


class AwqMethod(PackedMethod):
    """The same everywhere but in `modules_to_not_convert`."""

    name = "awq"

    def __init__(self, config: Mapping[str, Any]) -> None:
        for key, expected in EXPECTED.items():
            found = _get(config, key, expected)
            if (found.lower() if isinstance(found, str) else found) != expected:
                raise _unusable(key, found, repr(expected))
        size = _get(config, "group_size", 128)
        if type(size) is not int or (size != -1 and size < 1):
            raise _unusable("group_size", size, "-1 or a number of inputs")
        self._group_size, self._dense = size, tuple(config.get("modules_to_not_convert") or ())

    def formats(self) -> list[str]:
        return [f"w{BITS}_g"]

    def matrix(self, name: str) -> MatrixFormat:
        """`modules_to_not_convert` has parts of names."""
        left_out = any(part in name for part in self._dense)
        return DenseFormat() if left_out else AwqMatrix(self._group_size)


class AwqMatrix(MatrixFormat):
    def __init__(self, group_size: int) -> None:
        self._group_size = group_size

    def tensors(self, name: str, rows: int, columns: int) -> dict[str, Stored]:
        size = columns if self._group_size == -1 else self._group_size
        if columns % size:
            raise UnsupportedModel(f"{name}: groups of {size} do not divide its {columns} inputs")
        if rows % 8:
            raise UnsupportedModel(f"{name}: its {rows} outputs are no whole number of words of 8")
        groups = columns // size
        return {
            "qweight": Stored((columns, rows // 8), INT32),
            "qzeros": Stored((groups, rows // 8), INT32),
            "scales": Stored((groups, rows)),
        }

    def weight(self, name: str, stored: Mapping[str, Tensor]) -> GroupedWeight:  # noqa: ARG002
        return GroupedWeight(
            BITS,
            pack_bits(_codes(stored["qweight"]).T.contiguous(), BITS),
            stored["scales"].T.contiguous(),
            _codes(stored["qzeros"]).T.contiguous(),
        )


def _codes(words: Tensor) -> Tensor:
    """uint8 [rows, 8 * words]."""
    shifts_8 = torch.tensor(PLACES, dtype=torch.int32, device=words.device) * BITS
    codes: Tensor = (words.unsqueeze(-1) >> shifts_8 & 15).to(torch.uint8)
    return codes.flatten(1)


def _get(config: Mapping[str, Any], key: str, usual: Any) -> Any:
    return config.get(key, config.get(SPELLINGS.get(key, key), usual))


def _unusable(key: str, value: Any, wanted: str) -> UnsupportedModel:
    return UnsupportedModel(f"quantization_config of awq: {key} is {value!r}, expected {wanted}")
