"""GgufMethod: every matrix as its own tensor says, in the formats that ops share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferd.contracts.ops import Ops
from inferd.layers.packed import MatrixFormat
from inferd.layers.packed_method import PackedMethod
from inferd_quant_gguf.matrix import FORMATS, GgufMatrix


class GgufMethod(PackedMethod):
    """What a GGUF file holds; the output head is packed as well where an op takes all formats."""

    name = "gguf"

    def __init__(self, config: Mapping[str, Any]) -> None:
        """`storage` is what most matrices have; each says its own, but dummies do not."""
        self._drawn = config.get("storage")

    def formats(self) -> tuple[str, ...]:
        return FORMATS

    def packs_head(self, ops: Ops) -> bool:
        """A dense one may share the embedding's memory."""
        return all(name in ops.linear for name in FORMATS)

    def matrix(self, name: str) -> MatrixFormat:  # noqa: ARG002 - its tensor says more
        return GgufMatrix(self._drawn)
