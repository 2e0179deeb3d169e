"""Activations: between the two halves of a gated MLP, or alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from inferd.contracts.model import BuildContext
from inferd.errors import UnsupportedModel
from inferd.layers.layer import Layer

GATED = {  # to the names of Ops.act_and_mul
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "clamped_swiglu": "clamped_swiglu",
}


def _gelu_tanh(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


ALONE: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "swish": F.silu,
    "gelu": F.gelu,
    "gelu_pytorch_tanh": _gelu_tanh,
    "gelu_new": _gelu_tanh,
    "gelu_fast": _gelu_tanh,
    "relu": torch.relu,
    "relu2": lambda x: torch.relu(x).square(),
}


def gated_name(hidden_act: str) -> str:
    """The key of Ops.act_and_mul; raises UnsupportedModel for an unknown name."""
    return str(_known(hidden_act, GATED))


def _known(hidden_act: str, table: Mapping[str, Any]) -> Any:
    if hidden_act not in table:
        known = ", ".join(sorted(table))
        raise UnsupportedModel(f"hidden_act {hidden_act!r} is not supported; known: {known}")
    return table[hidden_act]


class ActAndMul(Layer):
    """act(gate) * up over a fused [T, 2I] input; raises UnsupportedModel for an unknown name."""

    def __init__(self, hidden_act: str, build: BuildContext) -> None:
        super().__init__()
        self.name = gated_name(hidden_act)
        self.is_plain = True  # its result is a tensor, and not rounded for its reader
        self._op: Callable[[Tensor], Tensor] = build.ops.act_and_mul[self.name]

    def forward(self, x_T2I: Tensor) -> Tensor:
        return self._op(x_T2I)

    def fuse(self, fused: Mapping[str, Callable[..., Any]]) -> None:
        if self.name in fused:
            self._op, self.is_plain = fused[self.name], False


class Activation(Layer):
    """act(x), element by element; raises UnsupportedModel for an unknown name."""

    def __init__(self, hidden_act: str) -> None:
        super().__init__()
        self._function: Callable[[Tensor], Tensor] = _known(hidden_act, ALONE)

    def forward(self, x_TI: Tensor) -> Tensor:
        return self._function(x_TI)
