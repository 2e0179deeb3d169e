"""The gated activation between the two halves of an MLP."""

from __future__ import annotations

from torch import Tensor

from inferd.contracts.model import BuildContext
from inferd.errors import UnsupportedModel
from inferd.layers.layer import Layer

NAMES = {"silu": "silu", "swish": "silu", "gelu": "gelu", "gelu_pytorch_tanh": "gelu_tanh"}


class ActAndMul(Layer):
    """act(gate) * up over a fused [T, 2I] input; raises UnsupportedModel for an unknown name."""

    def __init__(self, hidden_act: str, build: BuildContext) -> None:
        super().__init__()
        name = NAMES.get(hidden_act)
        if name is None or name not in build.ops.act_and_mul:
            known = ", ".join(sorted(NAMES))
            raise UnsupportedModel(f"hidden_act {hidden_act!r} is not supported; known: {known}")
        self._op = build.ops.act_and_mul[name]

    def forward(self, x_T2I: Tensor) -> Tensor:
        return self._op(x_T2I)
