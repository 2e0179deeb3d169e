"""What takes the weights of a model of transformers.

Shape suffixes: T tokens, K in features, N out features; M experts, D hidden, I inner.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from inferd.contracts.loader import RawTensor
from inferd.contracts.model import BuildContext
from inferd.contracts.ops import Linear
from inferd.contracts.weights import TakesWeights
from inferd.errors import CheckpointError
from inferd.layers import Layer, LinearLayer

Shapes = dict[tuple[str, int], tuple[int, ...]]


class ModuleWeights:
    """A module's own parameters and persistent buffers, as they are.

    Those in `tied` are another module's: a checkpoint that stores them again is not read twice.
    """

    def __init__(self, module: nn.Module, tied: frozenset[str]) -> None:
        own = {**dict(module.named_parameters(recurse=False)), **_persistent(module)}
        self.tensors = {name: tensor for name, tensor in own.items() if name not in tied}
        self._tied = tied
        self._missing = set(self.tensors)

    def load_weight(self, suffix: str, part: int, tensor: RawTensor) -> None:  # noqa: ARG002
        if suffix in self._tied:
            return
        if suffix not in self.tensors:
            takes = ", ".join(self.tensors) or "nothing"
            raise CheckpointError(f"{tensor.name}: its module has no {suffix!r}, it takes {takes}")
        target = self.tensors[suffix]
        if tuple(tensor.shape) != tuple(target.shape):
            raise CheckpointError(
                f"{tensor.name}: expected shape {list(target.shape)}, found {list(tensor.shape)}"
            )
        target.data.copy_(tensor.unpack(target.dtype))
        self._missing.discard(suffix)

    def expected(self) -> Shapes:
        return {(name, 0): tuple(tensor.shape) for name, tensor in self.tensors.items()}

    def missing(self) -> list[str]:
        return sorted(self._missing)

    def finish(self) -> None:
        """The module uses its tensors where they are."""


def _persistent(module: nn.Module) -> dict[str, Tensor]:
    temporary = module._non_persistent_buffers_set
    return {
        name: buffer
        for name, buffer in module.named_buffers(recurse=False)
        if name not in temporary
    }


class TokenLinear(LinearLayer):
    """In place of nn.Linear: all leading dimensions are tokens to it."""

    def __init__(self, name: str, linear: nn.Linear, build: BuildContext) -> None:
        self.in_features, self.out_features = linear.in_features, linear.out_features
        bias = linear.bias is not None
        super().__init__(name, linear.in_features, [linear.out_features], build, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        out_TN = super().forward(x.reshape(-1, self.in_features))
        return out_TN.view(*x.shape[:-1], self.out_features)


class TiedHead(Layer):
    """In place of an nn.Linear whose weight, and perhaps bias, another module loads."""

    def __init__(
        self,
        linear: nn.Linear,
        tied: frozenset[str],
        sources: Sequence[TakesWeights],
        build: BuildContext,
    ) -> None:
        super().__init__()
        self._tensors: tuple[Tensor, Tensor | None] = (linear.weight, linear.bias)
        self._sources = sources
        own = ModuleWeights(linear, tied)
        self.load_weight, self.expected, self._own = own.load_weight, own.expected, own
        self._make = build.ops.linear["dense"]
        self._linear: Linear

    def forward(self, x: Tensor) -> Tensor:
        out_TN = self._linear(x.reshape(-1, x.shape[-1]))
        return out_TN.view(*x.shape[:-1], -1)

    def missing(self) -> list[str]:
        """It also waits for what it is tied to: it packs that weight."""
        others = [f"{word} of another" for each in self._sources for word in each.missing()]
        return [*self._own.missing(), *others]

    def finish(self) -> None:
        weight_NK, bias_N = self._tensors
        self._linear = self._make(weight_NK.data, None if bias_N is None else bias_N.data)
        self._tensors = (torch.empty(0), None)


class ExpertsWeights:
    """All experts of a layer, in transformers' two tensors, which the op packs."""

    NAMES = ("gate_up_proj", "down_proj")

    def __init__(self, module: Any, activation: str, attribute: str, build: BuildContext) -> None:
        self._module, self._activation, self._attribute = module, activation, attribute
        self._weights = ModuleWeights(module, frozenset())
        self._make = build.ops.experts["dense"]
        self.load_weight, self.expected = self._weights.load_weight, self._weights.expected
        self.missing = self._weights.missing

    def finish(self) -> None:
        gate_up_MND, down_MDI = (self._weights.tensors.pop(name).data for name in self.NAMES)
        for name in self.NAMES:
            setattr(self._module, name, None)
        setattr(self._module, self._attribute, self._make(gate_up_MND, down_MDI, self._activation))
