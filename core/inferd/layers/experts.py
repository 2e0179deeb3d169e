"""The weights of a mixture of experts in the model's dtype, from loading to the callable."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from inferd.contracts.loader import RawTensor
from inferd.contracts.ops import Experts, Ops
from inferd.contracts.quantization import ExpertsMethod, ExpertsSpec
from inferd.contracts.weight_formats import DENSE
from inferd.layers.weight import check_suffix, unpack_checked

DOWN = 2  # the part that is a matrix of its own: gate and up are one


class DenseExperts(ExpertsMethod):
    """All experts' matrices in two tensors, which the op packs and releases; biases likewise."""

    def __init__(self, spec: ExpertsSpec, ops: Ops) -> None:
        self._spec, self._ops = spec, ops
        self._tensors: dict[str, tuple[Tensor, Tensor]] = {}

    def expected(self, part: int) -> dict[str, tuple[int, ...]]:
        rows, columns = self._spec.shape(part)
        bias: dict[str, tuple[int, ...]] = {"bias": (rows,)} if self._spec.bias else {}
        return {"weight": (rows, columns), **bias}

    def load(self, suffix: str, expert: int, part: int, tensor: RawTensor) -> None:
        shapes = self.expected(part)
        check_suffix(suffix, tensor, tuple(shapes))
        value = unpack_checked(tensor, shapes[suffix], self._spec.dtype)
        self.place(suffix, expert, part).copy_(value)

    def place(self, suffix: str, expert: int, part: int) -> Tensor:
        """Where a part of an expert goes. The first one takes the memory of all."""
        if suffix not in self._tensors:
            self._tensors[suffix] = self._allocated(suffix)
        gate_up, down = self._tensors[suffix]
        return down[expert] if part == DOWN else gate_up[expert].chunk(2)[part]

    def _allocated(self, suffix: str) -> tuple[Tensor, Tensor]:
        options: dict[str, Any] = {"dtype": self._spec.dtype, "device": self._spec.device}
        (up, inputs), (down, inner) = self._spec.shape(1), self._spec.shape(DOWN)
        shapes: list[tuple[int, ...]] = [(2 * up,), (down,)]
        if suffix == "weight":
            shapes = [(2 * up, inputs), (down, inner)]
        gate_up, down_ = (torch.empty(self._spec.num_experts, *s, **options) for s in shapes)
        return gate_up, down_

    def biases(self) -> tuple[Tensor, ...]:
        """Of both matrices, or none; they are let go."""
        return self._tensors.pop("bias", ())

    def finish(self) -> Experts:
        self.num_bytes = sum(each.nbytes for both in self._tensors.values() for each in both)
        gate_up, down = self._tensors.pop("weight")
        return self._ops.experts[DENSE](gate_up, down, self._spec.activation, *self.biases())
