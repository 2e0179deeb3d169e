"""SqueezeMethod: every linear but the output head as SqueezeLLM's packing stores it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferd.contracts.lookup_format import LOOKUP_BITS
from inferd.errors import UnsupportedModel
from inferd.layers.matrix_format import MatrixFormat
from inferd.layers.packed_method import PackedMethod
from inferd_quant_squeezellm.matrix import SqueezeMatrix


class SqueezeMethod(PackedMethod):
    """`wbits`, and as the packing's own tools call them `include_sparse` and `topX`."""

    name = "squeezellm"

    def __init__(self, config: Mapping[str, Any]) -> None:
        bits, full_rows = config.get("wbits"), config.get("topX") or 0
        if bits not in LOOKUP_BITS:
            raise _unusable("wbits", bits, f"one of {', '.join(map(str, LOOKUP_BITS))}")
        if type(full_rows) is not int or full_rows < 0:
            raise _unusable("topX", full_rows, "a number of rows")
        self._bits, self._full_rows = bits, full_rows
        self._sparse = bool(config.get("include_sparse"))

    def formats(self) -> list[str]:
        return [f"w{self._bits}_lut"]

    def matrix(self, name: str) -> MatrixFormat:  # noqa: ARG002 - all alike
        return SqueezeMatrix(self._bits, self._sparse, self._full_rows)


def _unusable(key: str, value: Any, wanted: str) -> UnsupportedModel:
    return UnsupportedModel(
        f"quantization_config of squeezellm: {key} is {value!r}, expected {wanted}"
    )
