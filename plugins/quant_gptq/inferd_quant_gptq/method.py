"""GptqMethod: which matrices of a checkpoint are stored how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from inferd.contracts.ops import Ops
from inferd.contracts.quantization import LinearMethod, LinearSpec, QuantizationMethod
from inferd.contracts.weight_formats import GROUPED_BITS
from inferd.layers.packed import DenseFormat, MatrixFormat, PackedLinear
from inferd_quant_gptq.config import Config
from inferd_quant_gptq.matrix import GptqMatrix


class GptqMethod(QuantizationMethod):
    """The checkpoint's own quantization_config decides everything."""

    name = "gptq"

    def __init__(self, config: Config) -> None:
        self._config = config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(Config.read(config))

    def formats(self) -> list[str]:
        return [f"w{bits}_g" for bits in GROUPED_BITS if bits in self._config.all_bits]

    def create(self, spec: LinearSpec, ops: Ops) -> LinearMethod:
        names = [spec.stored_name(part) for part in range(len(spec.out_features))]
        return PackedLinear(spec, ops, [self._format(name) for name in names])

    def _format(self, name: str) -> MatrixFormat:
        packing = self._config.packing(name)
        return DenseFormat() if packing is None else GptqMatrix(packing)
