"""GptqMethod: which matrices of a checkpoint are packed how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferd.contracts.weight_formats import GROUPED_BITS
from inferd.layers.matrix_format import DenseFormat, MatrixFormat
from inferd.layers.packed_method import PackedMethod
from inferd_quant_gptq.config import Config
from inferd_quant_gptq.matrix import GptqMatrix


class GptqMethod(PackedMethod):
    """The checkpoint's own quantization_config decides everything."""

    name = "gptq"

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = Config.read(config)

    def formats(self) -> list[str]:
        return [f"w{bits}_g" for bits in GROUPED_BITS if bits in self._config.all_bits]

    def matrix(self, name: str) -> MatrixFormat:
        packing = self._config.packing(name)
        return DenseFormat() if packing is None else GptqMatrix(packing)
