"""RMSNorm, alone or with the residual added first.

Shape suffixes: T tokens, D hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor

from inferd.contracts.loader import RawTensor
from inferd.contracts.model import BuildContext
from inferd.layers.layer import Layer
from inferd.layers.weight import check_suffix, unpack_checked


class RMSNorm(Layer):
    """Blocks pass (x, residual) on, so that add and norm are one op."""

    def __init__(self, size: int, eps: float, build: BuildContext) -> None:
        super().__init__()
        self.eps = eps
        self.weight = torch.ones(size, dtype=build.config.dtype, device=build.device)
        self._norm = build.ops.rms_norm
        self._add_norm = build.ops.add_rms_norm
        self._loaded = False

    def forward(self, x_TD: Tensor, residual_TD: Tensor | None) -> tuple[Tensor, Tensor]:
        """(normed, residual): the residual is x itself where none came in."""
        if residual_TD is None:
            return self._norm(x_TD, self.weight, self.eps), x_TD
        return self._add_norm(x_TD, residual_TD, self.weight, self.eps)

    def load_weight(self, suffix: str, part: int, tensor: RawTensor) -> None:  # noqa: ARG002
        check_suffix(suffix, tensor)
        value = unpack_checked(tensor, tuple(self.weight.shape), self.weight.dtype)
        self.weight.copy_(value)
        self._loaded = True

    def expected(self) -> dict[tuple[str, int], tuple[int, ...]]:
        return {("weight", 0): tuple(self.weight.shape)}

    def missing(self) -> list[str]:
        return [] if self._loaded else ["weight"]

    def finish(self) -> None:
        """Nothing to repack."""
