"""Fp8Method: which matrices of a checkpoint are stored how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from inferd.contracts.ops import Ops
from inferd.contracts.quantization import LinearMethod, LinearSpec, QuantizationMethod
from inferd.contracts.scaled_formats import E4M3
from inferd.layers.packed import DenseFormat, MatrixFormat, PackedLinear
from inferd.layers.scaled import RoundedMatrix, ScaledMatrix
from inferd_quant_fp8.config import Config


class Fp8Method(QuantizationMethod):
    """By the checkpoint's configuration; one without any is dense, and rounded row by row."""

    name = "fp8"

    def __init__(self, config: Config) -> None:
        self._config = config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(Config.read(config))

    def formats(self) -> list[str]:
        return ["fp8_block" if self._config.blocks else "fp8_row"]

    def create(self, spec: LinearSpec, ops: Ops) -> LinearMethod:
        names = [spec.stored_name(part) for part in range(len(spec.out_features))]
        return PackedLinear(spec, ops, [self._format(name) for name in names])

    def _format(self, name: str) -> MatrixFormat:
        config = self._config
        if config.ignores(name):
            return DenseFormat()
        if not config.stored:
            return RoundedMatrix(E4M3)
        suffix = "weight_scale_inv" if config.blocks else "weight_scale"
        return ScaledMatrix(E4M3, suffix, blocks=config.blocks, static=config.static)
