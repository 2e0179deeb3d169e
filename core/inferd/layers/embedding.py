"""Token embedding and the output head, which may share their weight.

Shape suffixes: T tokens, N positions, V vocabulary, D hidden.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from inferd.contracts.loader import RawTensor
from inferd.contracts.model import BuildContext
from inferd.contracts.ops import Linear
from inferd.contracts.quantization import LinearMethod, LinearSpec
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
        self._also: Callable[[RawTensor], None] | None = None

    def shared_with(self, load: Callable[[RawTensor], None]) -> None:
        """`load` gets the weight as it is stored."""
        self._also = load

    def forward(self, ids_T: Tensor) -> Tensor:
        return self._op(ids_T, self.weight_VD)

    def load_weight(self, suffix: str, part: int, tensor: RawTensor) -> None:  # noqa: ARG002
        check_suffix(suffix, tensor)
        shape = tuple(self.weight_VD.shape)
        self.weight_VD.copy_(unpack_checked(tensor, shape, self.weight_VD.dtype))
        if self._also is not None:
            self._also(tensor)
        self._loaded = True

    def expected(self) -> dict[tuple[str, int], tuple[int, ...]]:
        return {("weight", 0): tuple(self.weight_VD.shape)}

    def missing(self) -> list[str]:
        return [] if self._loaded else ["weight"]

    def finish(self) -> None:
        """Rows are gathered from the weight as it is."""


class LMHead(Layer):
    """Logits as the product gives them. With `tied` it packs the embedding's weight for that.

    A bias is loaded in either case. Dense, unless the quantization method says that it packs it.
    """

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int,
        build: BuildContext,
        *,
        tied: Embedding | None = None,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self._shape = (vocab_size, hidden_size)
        self._build = build
        self._tied = [tied] if tied is not None else []  # in a list: not a submodule of the head
        self._takes = ("weight", "bias") if bias else ("weight",)
        self._values: dict[str, Tensor] = {}
        packs = build.quantization.packs_head(build.ops)
        self._method = self._packing(bias) if packs else None
        if tied is not None and self._method is not None:
            tied.shared_with(partial(self._method.load, "weight", 0))
        self._linear: Linear

    def _packing(self, bias: bool) -> LinearMethod:
        (vocab_size, hidden_size), build = self._shape, self._build
        spec = LinearSpec(
            "lm_head", hidden_size, (vocab_size,), bias, build.config.dtype, build.device
        )
        return build.quantization.create(spec, build.ops)

    def forward(self, hidden_ND: Tensor) -> Tensor:
        return self._linear(hidden_ND)

    def load_weight(self, suffix: str, part: int, tensor: RawTensor) -> None:  # noqa: ARG002
        check_suffix(suffix, tensor, self._takes)
        if suffix == "weight" and self._tied:  # a tied checkpoint may store it twice
            return
        if self._method is not None:
            self._method.load(suffix, 0, tensor)
            return
        shape = self._shape if suffix == "weight" else self._shape[:1]
        value = unpack_checked(tensor, shape, self._build.config.dtype)
        self._values[suffix] = value.to(self._build.device)

    def expected(self) -> dict[tuple[str, int], tuple[int, ...]]:
        shapes = {("weight", 0): self._shape, ("bias", 0): self._shape[:1]}
        return {(suffix, 0): shapes[suffix, 0] for suffix in self._needed()}

    def missing(self) -> list[str]:
        """A tied head also waits for its embedding: it packs that weight."""
        if self._method is not None:
            return self._method.missing()
        own = [suffix for suffix in self._needed() if suffix not in self._values]
        return [
            *own,
            *(f"{word} of the embedding" for tied in self._tied for word in tied.missing()),
        ]

    def finish(self) -> None:
        if self._method is not None:
            self._linear, self.num_bytes = self._method.finish(), self._method.num_bytes
            self._method = None
            return
        weight_VD = self._tied[0].weight_VD if self._tied else self._values["weight"]
        self._linear = self._build.ops.linear["dense"](weight_VD, self._values.get("bias"))
        self._values = {}

    def _needed(self) -> list[str]:
        return [suffix for suffix in self._takes if suffix != "weight" or not self._tied]
