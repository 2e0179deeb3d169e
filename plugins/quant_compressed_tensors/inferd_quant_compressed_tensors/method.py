"""CompressedTensorsMethod: which matrices of a checkpoint are stored how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch

from inferd.contracts.ops import Ops
from inferd.contracts.quantization import LinearMethod, LinearSpec, QuantizationMethod
from inferd.errors import UnsupportedModel
from inferd.layers.packed import DenseFormat, MatrixFormat, PackedLinear
from inferd.layers.scaled import RoundedMatrix
from inferd_quant_compressed_tensors.config import Config
from inferd_quant_compressed_tensors.eight_bits import EightBits
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
        return sorted({scheme.format for scheme in self._config.schemes})

    def create(self, spec: LinearSpec, ops: Ops) -> LinearMethod:
        names = [spec.stored_name(part) for part in range(len(spec.out_features))]
        return PackedLinear(spec, ops, [self._format(name) for name in names])

    def _format(self, name: str) -> MatrixFormat:
        scheme = self._config.scheme(name)
        if scheme is None:
            return DenseFormat()
        return scheme.matrix() if isinstance(scheme, EightBits) else PackedMatrix(scheme)


class Int8Method(QuantizationMethod):
    """A dense checkpoint, rounded row by row when it is loaded: `--quantization int8`."""

    name = "int8"

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        if config:
            raise UnsupportedModel(
                f"--quantization int8 rounds dense checkpoints, this one is stored as "
                f"{config.get('quant_method')!r}; leave it out"
            )
        return cls()

    def formats(self) -> list[str]:
        return ["int8_row"]

    def create(self, spec: LinearSpec, ops: Ops) -> LinearMethod:
        return PackedLinear(spec, ops, [RoundedMatrix(torch.int8) for _ in spec.out_features])
