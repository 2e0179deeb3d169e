"""GgufMethod: every matrix as its own tensor says, in the formats that ops share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from inferd.contracts.ops import Ops
from inferd.layers.matrix_format import MatrixFormat
from inferd.layers.packed_method import PackedMethod
from inferd_quant_gguf.matrix import FORMATS, GgufMatrix


class GgufMethod(PackedMethod):
    """What a GGUF file holds; the output head is packed as well where an op takes all formats."""

    name = "gguf"

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Each tensor says what it is; for dummies `tensors` does so by name, `storage` for all."""
        self._drawn = config.get("storage")
        self._tensors: Mapping[str, str | None] = config.get("tensors") or {}

    def formats(self) -> tuple[str, ...]:
        return FORMATS

    def packs_head(self, ops: Ops) -> bool:
        """A dense one may share the embedding's memory."""
        return all(name in ops.linear for name in FORMATS)

    def matrix(self, name: str) -> MatrixFormat:
        shared = re.sub(r"\.experts\.\d+\.", ".experts.*.", name)
        return GgufMatrix(self._tensors.get(shared, self._drawn))
