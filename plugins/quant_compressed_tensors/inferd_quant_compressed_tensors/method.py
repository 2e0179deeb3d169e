"""CompressedTensorsMethod: which matrices of a checkpoint are stored how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from inferd.contracts.ops import Ops
from inferd.contracts.quantization import LinearMethod, LinearSpec, QuantizationMethod
from inferd.layers.packed import DenseFormat, MatrixFormat, PackedLinear
from inferd_quant_compressed_tensors.config import Config
from inferd_quant_compressed_tensors.matrix import PackedMatrix


class CompressedTensorsMethod(QuantizationMethod):
    """By the groups of the checkpoint's configuration; what no group targets is dense."""

    name = "compressed-tensors"

    def __init__(self, config: Config) -> None:
        self._config = config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(Config.read(config))

    def formats(self) -> list[str]:
        return [f"w{bits}_g" for bits in sorted({s.bits for s in self._config.schemes})]

    def create(self, spec: LinearSpec, ops: Ops) -> LinearMethod:
        names = [spec.stored_name(part) for part in range(len(spec.out_features))]
        return PackedLinear(spec, ops, [self._format(name) for name in names])

    def _format(self, name: str) -> MatrixFormat:
        scheme = self._config.scheme(name)
        return DenseFormat() if scheme is None else PackedMatrix(scheme)
