"""CompressedTensorsMethod: which matrices of a checkpoint are stored how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from inferd.errors import UnsupportedModel
from inferd.layers.matrix_format import DenseFormat, MatrixFormat
from inferd.layers.packed_method import PackedMethod
from inferd.layers.scaled import RoundedMatrix
from inferd_quant_compressed_tensors.config import Config
from inferd_quant_compressed_tensors.eight_bits import EightBits
from inferd_quant_compressed_tensors.matrix import PackedMatrix


class CompressedTensorsMethod(PackedMethod):
    """By the groups of the checkpoint's configuration; what no group targets is dense."""

    name = "compressed-tensors"

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = Config.read(config)

    def formats(self) -> list[str]:
        return sorted({scheme.format for scheme in self._config.schemes})

    def matrix(self, name: str) -> MatrixFormat:
        scheme = self._config.scheme(name)
        if scheme is None:
            return DenseFormat()
        return scheme.matrix() if isinstance(scheme, EightBits) else PackedMatrix(scheme)


class Int8Method(PackedMethod):
    """A dense checkpoint, rounded row by row when it is loaded: `--quantization int8`."""

    name = "int8"

    def __init__(self, config: Mapping[str, Any]) -> None:
        if config:
            raise UnsupportedModel(
                f"--quantization int8 rounds dense checkpoints, this one is stored as "
                f"{config.get('quant_method')!r}; leave it out"
            )

    def formats(self) -> list[str]:
        return ["int8_row"]

    def matrix(self, name: str) -> MatrixFormat:  # noqa: ARG002 - all alike
        return RoundedMatrix(torch.int8)
