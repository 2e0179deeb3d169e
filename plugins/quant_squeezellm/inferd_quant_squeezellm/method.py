"""SqueezeMethod: every linear but the output head as SqueezeLLM's packing stores it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from inferd.contracts.lookup_format import LOOKUP_BITS
from inferd.contracts.ops import Ops
from inferd.contracts.quantization import LinearMethod, LinearSpec, QuantizationMethod
from inferd.errors import UnsupportedModel
from inferd.layers.packed import PackedLinear
from inferd_quant_squeezellm.matrix import SqueezeMatrix


class SqueezeMethod(QuantizationMethod):
    """`wbits`, and as the packing's own tools call them `include_sparse` and `topX`."""

    name = "squeezellm"

    def __init__(self, bits: int, sparse: bool, full_rows: int) -> None:
        self._bits, self._sparse, self._full_rows = bits, sparse, full_rows

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        bits, full_rows = config.get("wbits"), config.get("topX") or 0
        if bits not in LOOKUP_BITS:
            raise _unusable("wbits", bits, f"one of {', '.join(map(str, LOOKUP_BITS))}")
        if type(full_rows) is not int or full_rows < 0:
            raise _unusable("topX", full_rows, "a number of rows")
        return cls(bits, bool(config.get("include_sparse")), full_rows)

    def formats(self) -> list[str]:
        return [f"w{self._bits}_lut"]

    def create(self, spec: LinearSpec, ops: Ops) -> LinearMethod:
        matrix = SqueezeMatrix(self._bits, self._sparse, self._full_rows)
        return PackedLinear(spec, ops, [matrix] * len(spec.out_features))


def _unusable(key: str, value: Any, wanted: str) -> UnsupportedModel:
    return UnsupportedModel(
        f"quantization_config of squeezellm: {key} is {value!r}, expected {wanted}"
    )
