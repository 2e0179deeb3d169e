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

    def __init__(self, drawn: str | None) -> None:
        self._drawn = drawn

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """`storage` is what most matrices have; each says its own, but dummies do not."""
        return cls(config.get("storage"))

    def formats(self) -> tuple[str, ...]:
        return FORMATS

    def packs_head(self, ops: Ops) -> bool:
        """A dense one may share the embedding's memory."""
        return _stays_packed(ops)

    def create(self, spec: LinearSpec, ops: Ops) -> LinearMethod:
        matrices = [
            GgufMatrix(spec.dtype, _stays_packed(ops), self._drawn) for _ in spec.out_features
        ]
        return PackedLinear(spec, ops, matrices)


def _stays_packed(ops: Ops) -> bool:
    return all(name in ops.linear for name in FORMATS)
