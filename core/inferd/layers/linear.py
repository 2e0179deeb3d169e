"""LinearLayer: a matrix product whose weights a quantization method owns.

Shape suffixes: T tokens, K in features, N out features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from inferd.contracts.loader import RawTensor
from inferd.contracts.model import BuildContext
from inferd.contracts.ops import GatedLinear, Linear
from inferd.contracts.quantization import Drawn, LinearMethod, LinearSpec
from inferd.layers.activation import ActAndMul
from inferd.layers.layer import Layer


class LinearLayer(Layer):
    """Several checkpoint matrices fused along N (q, k, v; gate, up), or a single one.

    `order` has for each of them which of its rows each row is, None where they stay as they are.
    """

    def __init__(
        self,
        name: str,
        in_features: int,
        out_features: Sequence[int],
        build: BuildContext,
        *,
        bias: bool = False,
        order: Sequence[Tensor | None] = (),
    ) -> None:
        super().__init__()
        spec = LinearSpec(
            name=name,
            in_features=in_features,
            out_features=tuple(out_features),
            bias=bias,
            dtype=build.config.dtype,
            device=build.device,
            stored_names=build.stored_names(name),
            orders=tuple(order),
        )
        self._method: LinearMethod | None = build.quantization.create(spec, build.ops)
        self._linear: Linear
        self._gated: Mapping[str, GatedLinear] = {}
        self._fuse: Callable[[Mapping[str, Any]], None] | None = None

    def forward(self, x_TK: Tensor) -> Tensor:
        return self._linear(x_TK)

    def activated(self, x_TK: Tensor, act: ActAndMul) -> Any:
        """`act` of the product, [T, N / 2], in one kernel where one suits so many tokens.

        What an act that is not plain gives is for the linear after it, as `fused` has it.
        """
        gated = self._gated.get(act.name)
        if gated is None or not act.is_plain or not gated.suits(len(x_TK)):
            return act(self(x_TK))
        return self.in_one(x_TK, gated)

    def in_one(self, x_TK: Tensor, gated: GatedLinear) -> Tensor:
        """A method, so that `inferd bench roofline` can time it, as it does `forward`."""
        return gated.multiply(x_TK)

    def load_weight(self, suffix: str, part: int, tensor: RawTensor) -> None:
        self._loading().load(suffix, part, tensor)

    def expected(self) -> dict[tuple[str, int], tuple[int, ...]]:
        return self._loading().expected()

    def draw(self, suffix: str, part: int, generator: torch.Generator) -> Drawn | None:
        return self._loading().draw(suffix, part, generator)

    def missing(self) -> list[str]:
        return self._loading().missing()

    def finish(self) -> None:
        method = self._loading()
        self._linear, self._method = method.finish(), None
        self._gated = getattr(self._linear, "gated", {})
        self.num_bytes = method.num_bytes
        if self._fuse is not None:
            self._fuse(getattr(self._linear, "fused", {}))

    def fed_by(self, layer: Layer) -> None:
        self._fuse = layer.fuse

    def _loading(self) -> LinearMethod:
        assert self._method is not None, "weights were finished before"
        return self._method
