"""Norms, alone or with the residual added first. Blocks pass (x, residual) on.

Shape suffixes: T tokens, D hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from inferd.contracts.loader import RawTensor
from inferd.contracts.model import BuildContext
from inferd.layers.layer import Layer
from inferd.layers.weight import check_suffix, unpack_checked


class RMSNorm(Layer):
    """Add and norm are one op."""

    offset: ClassVar[float] = 0.0  # what the checkpoint's weights are relative to

    def __init__(
        self, size: int, eps: float, build: BuildContext, *, order: Tensor | None = None
    ) -> None:
        """`order` names the stored element that each element is."""
        super().__init__()
        self.eps, self._order = eps, order
        self.weight = torch.ones(size, dtype=build.config.dtype, device=build.device)
        self._norm = build.ops.rms_norm
        self._add_norm = build.ops.add_rms_norm
        self._loaded = False

    def forward(self, x_TD: Tensor, residual_TD: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(normed, residual): the residual is x itself where none came in."""
        if residual_TD is None:
            return self._norm(x_TD, self.weight, self.eps), x_TD
        return self._add_norm(x_TD, residual_TD, self.weight, self.eps)

    def fuse(self, fused: Mapping[str, Callable[..., Any]]) -> None:
        self._norm = fused.get("rms_norm", self._norm)
        self._add_norm = fused.get("add_rms_norm", self._add_norm)

    def load_weight(self, suffix: str, part: int, tensor: RawTensor) -> None:  # noqa: ARG002
        check_suffix(suffix, tensor)
        value = unpack_checked(tensor, tuple(self.weight.shape), torch.float32)
        if self._order is not None:
            value = value[self._order]
        self.weight.copy_(value + self.offset)
        self._loaded = True

    def expected(self) -> dict[tuple[str, int], tuple[int, ...]]:
        return {("weight", 0): tuple(self.weight.shape)}

    def missing(self) -> list[str]:
        return [] if self._loaded else ["weight"]

    def finish(self) -> None:
        """Nothing to repack."""


class LayerNorm(Layer):
    """Over the last dimension, in float32 inside; `size` may have more before it."""

    offset: ClassVar[float] = 0.0  # what the checkpoint's weights are relative to
    suffixes: ClassVar[tuple[str, ...]] = ("weight", "bias")

    def __init__(
        self,
        size: int | tuple[int, ...],
        eps: float,
        build: BuildContext,
        *,
        order: Tensor | None = None,
    ) -> None:
        """`order` names the stored element that each element of the last dimension is."""
        super().__init__()
        self._shape = (size,) if isinstance(size, int) else size
        self._eps, self._order = eps, order
        self._values: dict[str, Tensor | None] = {"weight": None, "bias": None}
        self._dtype, self._device = build.config.dtype, build.device

    @property
    def weight(self) -> Tensor:
        value = self._values["weight"]
        assert value is not None, "it has no weight, or none was loaded"
        return value

    def forward(self, x_TD: Tensor, residual_TD: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(normed, residual): the residual is x itself where none came in."""
        if residual_TD is not None:
            x_TD = x_TD + residual_TD
        weight, bias = self._values["weight"], self._values["bias"]
        if len(self._shape) == 1:
            return F.layer_norm(x_TD, self._shape, weight, bias, self._eps), x_TD
        normed = F.layer_norm(x_TD, self._shape[-1:], eps=self._eps)
        for value, apply in ((weight, torch.mul), (bias, torch.add)):
            normed = normed if value is None else apply(normed, value)
        return normed, x_TD

    def load_weight(self, suffix: str, part: int, tensor: RawTensor) -> None:  # noqa: ARG002
        check_suffix(suffix, tensor, self.suffixes)
        value = unpack_checked(tensor, self._shape, torch.float32)
        if self._order is not None:
            value = value[..., self._order]
        if suffix == "weight":
            value = value + self.offset
        self._values[suffix] = value.to(self._dtype).to(self._device)

    def expected(self) -> dict[tuple[str, int], tuple[int, ...]]:
        return {(suffix, 0): self._shape for suffix in self.suffixes}

    def missing(self) -> list[str]:
        return [suffix for suffix in self.suffixes if self._values[suffix] is None]

    def finish(self) -> None:
        """Nothing to repack."""
