"""The layers of one decode step without attention, as tensors and calls.

Shape suffixes: M tokens (the batch), N out features, K in features, D hidden, I intermediate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from inferd.contracts.ops import Linear

BLOCK = 16  # slots per block of the caches


@dataclass(frozen=True)
class Shape:
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head: int
    inner: int
    vocab: int

    def linears(self) -> dict[str, tuple[int, int, int]]:
        """(N, K, how many in a step)."""
        fused = (self.heads + 2 * self.kv_heads) * self.head
        return {
            "qkv": (fused, self.hidden, self.layers),
            "o": (self.hidden, self.heads * self.head, self.layers),
            "gate_up": (2 * self.inner, self.hidden, self.layers),
            "down": (self.hidden, self.inner, self.layers),
            "lm_head": (self.vocab, self.hidden, 1),
        }


SHAPES = {
    "8b": Shape(4096, 32, 32, 8, 128, 14336, 128256),
    "1b": Shape(2048, 16, 32, 8, 64, 8192, 128256),
    "135m": Shape(576, 30, 9, 3, 64, 1536, 49152),
}


def weights(shape: Shape) -> dict[str, list[Tensor]]:
    """Every matrix of a step, so that none is in the L2 when its turn comes."""
    return {
        name: [normal(size, inner, scale=inner**-0.5) for _ in range(count)]
        for name, (size, inner, count) in shape.linears().items()
    }


def normal(*shape: int, scale: float = 1.0) -> Tensor:
    return torch.randn(shape, device="cuda", dtype=torch.bfloat16).mul_(scale)


class Step:
    """Calls the ops of `ops` in the order of a Llama's layers; attention's output is given."""

    def __init__(self, shape: Shape, ops: dict, linears: dict[str, list[Linear]], rows: int):
        self._shape, self._ops, self._linears = shape, ops, linears
        draw = {"device": "cuda", "dtype": torch.bfloat16}
        self._ids = torch.randint(0, 1000, (rows,), device="cuda")
        self._table = normal(1000, shape.hidden)
        self._norm = torch.ones(shape.hidden, **draw)
        self._attention = normal(rows, shape.heads * shape.head)
        self._angles = torch.randn(2048, shape.head, device="cuda")
        self._positions = torch.arange(rows, device="cuda")
        self._slots = torch.arange(rows, device="cuda") + BLOCK
        blocks = rows // BLOCK + 2
        cache = (blocks, 2, shape.kv_heads, BLOCK, shape.head)
        pools = [torch.zeros(cache, **draw) for _ in range(shape.layers)]
        self._caches = [(p[:, 0].transpose(1, 2), p[:, 1].transpose(1, 2)) for p in pools]

    def __call__(self) -> Tensor:
        ops, shape = self._ops, self._shape
        x = ops["embedding"](self._ids, self._table)
        rope = ops["prepare_rope"](self._positions, self._angles, x.dtype)
        residual = x
        normed = ops["rms_norm"](x, self._norm, 1e-5)
        for layer, caches in enumerate(self._caches):
            qkv = self._linears["qkv"][layer](normed).view(len(x), -1, shape.head)
            ops["rope_kv_write"](qkv, shape.heads, rope, *caches, self._slots, None, None, 1e-5)
            o = self._linears["o"][layer](self.attend(layer))
            normed, residual = ops["add_rms_norm"](o, residual, self._norm, 1e-5)
            down = self._linears["down"][layer](self._activated(layer, normed))
            normed, residual = ops["add_rms_norm"](down, residual, self._norm, 1e-5)
        return self._linears["lm_head"][0](normed)

    def attend(self, layer: int) -> Tensor:  # noqa: ARG002
        """For those that compute it."""
        return self._attention

    def _activated(self, layer: int, x_MD: Tensor) -> Tensor:
        linear = self._linears["gate_up"][layer]
        gated = getattr(linear, "gated", {}).get("silu")
        if gated is not None and gated.suits(len(x_MD)):
            return gated.multiply(x_MD)
        return self._ops["act_and_mul"]["silu"](linear(x_MD))


def linears_alone(
    shape: Shape, linears: dict[str, list[Linear]], rows: int
) -> Callable[[], object]:
    """The matrix products of a step, in its order, and nothing else."""
    inputs = {n: normal(rows, inner) for n, (_, inner, _) in shape.linears().items()}

    def run() -> None:
        for name, layer in order(shape):
            linears[name][layer](inputs[name])

    return run


def order(shape: Shape) -> Iterator[tuple[str, int]]:
    for layer in range(shape.layers):
        for name in ("qkv", "o", "gate_up", "down"):
            yield name, layer
    yield "lm_head", 0
