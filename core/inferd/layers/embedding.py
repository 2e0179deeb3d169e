"""Token embedding and the output head, which may share their weight.

Shape suffixes: T tokens, N positions, V vocabulary, D hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor

from inferd.contracts.loader import RawTensor
from inferd.contracts.model import BuildContext
from inferd.contracts.ops import Linear
from inferd.layers.layer import Layer
from inferd.layers.weight import check_suffix, unpack_checked


class Embedding(Layer):
    def __init__(self, vocab_size: int, hidden_size: int, build: BuildContext) -> None:
        super().__init__()
        self.weight_VD = torch.empty(
            vocab_size, hidden_size, dtype=build.config.dtype, device=build.device
        )
        self._op = build.ops.embedding
        self._loaded = False

    def forward(self, ids_T: Tensor) -> Tensor:
        return self._op(ids_T, self.weight_VD)

    def load_weight(self, suffix: str, part: int, tensor: RawTensor) -> None:  # noqa: ARG002
        check_suffix(suffix, tensor)
        shape = tuple(self.weight_VD.shape)
        self.weight_VD.copy_(unpack_checked(tensor, shape, self.weight_VD.dtype))
        self._loaded = True

    def expected(self) -> dict[tuple[str, int], tuple[int, ...]]:
        return {("weight", 0): tuple(self.weight_VD.shape)}

    def missing(self) -> list[str]:
        return [] if self._loaded else ["weight"]

    def finish(self) -> None:
        """Rows are gathered from the weight as it is."""


class LMHead(Layer):
    """Logits as the product gives them. With `tied` it packs the embedding's weight for that."""

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int,
        build: BuildContext,
        *,
        tied: Embedding | None = None,
    ) -> None:
        super().__init__()
        self._shape = (vocab_size, hidden_size)
        self._build = build
        self._tied = [tied] if tied is not None else []  # in a list: not a submodule of the head
        self._weight_VD: Tensor | None = None
        self._linear: Linear

    def forward(self, hidden_ND: Tensor) -> Tensor:
        return self._linear(hidden_ND)

    def load_weight(self, suffix: str, part: int, tensor: RawTensor) -> None:  # noqa: ARG002
        check_suffix(suffix, tensor)
        if not self._tied:  # a tied checkpoint may store the shared weight twice
            value = unpack_checked(tensor, self._shape, self._build.config.dtype)
            self._weight_VD = value.to(self._build.device)

    def expected(self) -> dict[tuple[str, int], tuple[int, ...]]:
        return {} if self._tied else {("weight", 0): self._shape}

    def missing(self) -> list[str]:
        return [] if self._tied or self._weight_VD is not None else ["weight"]

    def finish(self) -> None:
        weight_VD = self._tied[0].weight_VD if self._tied else self._weight_VD
        assert weight_VD is not None
        self._linear = self._build.ops.linear["dense"](weight_VD, None)
        self._weight_VD = None
