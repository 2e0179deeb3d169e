"""GgufMethod: every matrix as its own tensor says, in the formats that ops share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from inferd.contracts.ops import Ops
from inferd.contracts.quantization import LinearMethod, LinearSpec, QuantizationMethod
from inferd.layers.packed import PackedLinear
from inferd_quant_gguf.matrix import FORMATS, GgufMatrix


class GgufMethod(QuantizationMethod):
    """What a GGUF file holds; the output head is packed as well."""

    name = "gguf"

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:  # noqa: ARG003
        return cls()

    def formats(self) -> tuple[str, ...]:
        return FORMATS

    def packs_head(self, ops: Ops) -> bool:
        """A dense one may share the embedding's memory."""
        return _stays_packed(ops)

    def create(self, spec: LinearSpec, ops: Ops) -> LinearMethod:
        packed = _stays_packed(ops)
        return PackedLinear(spec, ops, [GgufMatrix(spec.dtype, packed) for _ in spec.out_features])


def _stays_packed(ops: Ops) -> bool:
    return all(name in ops.linear for name in FORMATS)
