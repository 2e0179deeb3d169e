"""PackedMethod: a QuantizationMethod that says of each matrix, by its name, how it is stored."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

from inferd.contracts.model import BuildContext
from inferd.contracts.ops import Ops
from inferd.contracts.quantization import (
    ExpertsMethod,
    ExpertsSpec,
    LinearMethod,
    LinearSpec,
    QuantizationMethod,
)
from inferd.layers.matrix_format import DenseFormat, MatrixFormat
from inferd.layers.packed import PackedLinear
from inferd.layers.packed_experts import PackedExperts


class PackedMethod(QuantizationMethod):
    """Linears and experts from `matrix`; `formats` names what they become."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Reads the checkpoint's quantization_config; raises UnsupportedModel with the reason."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        return cls(config)

    @abstractmethod
    def matrix(self, name: str) -> MatrixFormat:
        """How the matrix is stored that the checkpoint calls `name`."""

    def create(self, spec: LinearSpec, ops: Ops) -> LinearMethod:
        names = [spec.stored_name(part) for part in range(len(spec.out_features))]
        return PackedLinear(spec, ops, [self.matrix(name) for name in names])

    def create_experts(self, spec: ExpertsSpec, ops: Ops) -> ExpertsMethod:
        return PackedExperts(spec, ops, self.matrix)


class DenseMethod(PackedMethod):
    name = "dense"

    def matrix(self, name: str) -> MatrixFormat:  # noqa: ARG002
        return DenseFormat()


def unquantized(build: BuildContext) -> BuildContext:
    """For what no library quantizes, and no configuration says so: routers."""
    return replace(build, quantization=DenseMethod({}))
