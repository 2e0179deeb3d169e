"""Dense weights, in the model's own dtype.

Shape suffixes: K in features, N out features.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor

from inferd.contracts.loader import RawTensor
from inferd.contracts.ops import Linear, Ops
from inferd.contracts.quantization import (
    ExpertsMethod,
    ExpertsSpec,
    LinearMethod,
    LinearSpec,
    QuantizationMethod,
)
from inferd.errors import CheckpointError
from inferd.layers.experts import DenseExperts
from inferd.layers.weight import reordered, unpack_checked


class DenseWeights(LinearMethod):
    """One [N, K] matrix, filled part by part; the op packs it and it is released."""

    def __init__(self, spec: LinearSpec, ops: Ops) -> None:
        self._spec = spec
        self._ops = ops
        total = sum(spec.out_features)
        options: dict[str, Any] = {"dtype": spec.dtype, "device": spec.device}
        self._tensors: dict[str, Tensor] = {
            "weight": torch.empty(total, spec.in_features, **options)
        }
        if spec.bias:
            self._tensors["bias"] = torch.empty(total, **options)
        self._missing = set(self.expected())

    def expected(self) -> dict[tuple[str, int], tuple[int, ...]]:
        return {
            (suffix, part): self._shape(suffix, part)
            for suffix in self._tensors
            for part in range(len(self._spec.out_features))
        }

    def load(self, suffix: str, part: int, tensor: RawTensor) -> None:
        if suffix not in self._tensors:
            raise CheckpointError(
                f"{tensor.name}: {self._spec.name} has no {suffix!r}; it takes "
                f"{', '.join(self._tensors)}"
            )
        rows = self._spec.out_features[part]
        start = sum(self._spec.out_features[:part])
        tensor = reordered(tensor, self._spec.order(part))
        value = unpack_checked(tensor, self._shape(suffix, part), self._spec.dtype)
        self._tensors[suffix][start : start + rows].copy_(value)
        self._missing.discard((suffix, part))

    def _shape(self, suffix: str, part: int) -> tuple[int, ...]:
        rows = self._spec.out_features[part]
        return (rows, self._spec.in_features) if suffix == "weight" else (rows,)

    def missing(self) -> list[str]:
        return [f"{suffix} of part {part}" for suffix, part in sorted(self._missing)]

    def finish(self) -> Linear:
        make = self._ops.linear["dense"]
        return make(self._tensors.pop("weight"), self._tensors.pop("bias", None))


class Unquantized(QuantizationMethod):
    """What a checkpoint without a quantization_config has."""

    name = "unquantized"

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:  # noqa: ARG003
        return cls()

    def create(self, spec: LinearSpec, ops: Ops) -> LinearMethod:
        return DenseWeights(spec, ops)

    def create_experts(self, spec: ExpertsSpec, ops: Ops) -> ExpertsMethod:
        return DenseExperts(spec, ops)


class UnpackedGguf(Unquantized):
    """GGUF's blocks, which their loader unpacks."""

    name = "gguf"
