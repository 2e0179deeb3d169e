"""MLPs of a decoder layer.

Shape suffixes: T tokens, D hidden.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from inferd.contracts.model import BuildContext
from inferd.layers.activation import ActAndMul, Activation
from inferd.layers.layer import Layer
from inferd.layers.linear import LinearLayer
from inferd.layers.shape import DecoderShape


class GatedMLP(Layer):
    """down(act(gate(x)) * up(x)); `place` is its own within the layer."""

    def __init__(
        self, shape: DecoderShape, layer: int, build: BuildContext, place: str = "mlp"
    ) -> None:
        super().__init__()
        name = f"model.layers.{layer}.{place}"
        hidden, inner, bias = shape.hidden_size, shape.intermediate_size, shape.mlp_bias
        sizes = [2 * inner] if shape.gate_up_fused else [inner, inner]
        self.gate_up_proj = LinearLayer(f"{name}.gate_up_proj", hidden, sizes, build, bias=bias)
        self.down_proj = LinearLayer(f"{name}.down_proj", inner, [hidden], build, bias=bias)
        self.act = ActAndMul(shape.hidden_act, build)
        self.down_proj.fed_by(self.act)

    def fed_by(self, layer: Layer) -> None:
        self.gate_up_proj.fed_by(layer)

    def forward(self, x_TD: Tensor) -> Tensor:
        out_TD: Tensor = self.down_proj(self.gate_up_proj.activated(x_TD, self.act))
        return out_TD


class MLP(Layer):
    """down(act(up(x)))"""

    linear: ClassVar[type[LinearLayer]] = LinearLayer

    def __init__(self, shape: DecoderShape, layer: int, build: BuildContext) -> None:
        super().__init__()
        name = f"model.layers.{layer}.mlp"
        hidden, inner, bias = shape.hidden_size, shape.intermediate_size, shape.mlp_bias
        self.up_proj = self.linear(f"{name}.up_proj", hidden, [inner], build, bias=bias)
        self.down_proj = self.linear(f"{name}.down_proj", inner, [hidden], build, bias=bias)
        self.act = Activation(shape.hidden_act)

    def forward(self, x_TD: Tensor) -> Tensor:
        out_TD: Tensor = self.down_proj(self.act(self.up_proj(x_TD)))
        return out_TD
