"""Fp8Method: which matrices of a checkpoint are stored how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferd.contracts.scaled_formats import E4M3
from inferd.layers.matrix_format import DenseFormat, MatrixFormat
from inferd.layers.packed_method import PackedMethod
from inferd.layers.scaled import RoundedMatrix, ScaledMatrix
from inferd_quant_fp8.config import Config


class Fp8Method(PackedMethod):
    """By the checkpoint's configuration; one without any is dense, and rounded row by row."""

    name = "fp8"

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = Config.read(config)

    def formats(self) -> list[str]:
        return ["fp8_block" if self._config.blocks else "fp8_row"]

    def matrix(self, name: str) -> MatrixFormat:
        config = self._config
        if config.ignores(name):
            return DenseFormat()
        if not config.stored:
            return RoundedMatrix(E4M3)
        suffix = "weight_scale_inv" if config.blocks else "weight_scale"
        return ScaledMatrix(E4M3, suffix, blocks=config.blocks, static=config.static)
