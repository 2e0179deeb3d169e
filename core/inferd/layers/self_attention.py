"""Self-attention of a decoder layer, with its projections.

Shape suffixes: T tokens, D hidden, H query heads, G KV heads, E head size, X = H + 2 G.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from inferd.contracts.attention import KVSpec
from inferd.contracts.loader import RawTensor
from inferd.contracts.model import BuildContext, KVCache
from inferd.errors import CheckpointError
from inferd.layers.attention import Attention
from inferd.layers.head_order import head_order, qkv_order
from inferd.layers.layer import Layer
from inferd.layers.linear import LinearLayer
from inferd.layers.norm import RMSNorm
from inferd.layers.shape import DecoderShape
from inferd.layers.weight import check_suffix
from inferd.types import Batch

KV_SCALES = ("k_scale", "v_scale")


class SelfAttention(Layer):
    """A family that does something to q and k before the rotation overrides `project`."""

    linear: ClassVar[type[LinearLayer]] = LinearLayer

    def __init__(self, shape: DecoderShape, layer: int, build: BuildContext) -> None:
        super().__init__()
        name = f"model.layers.{layer}.self_attn"
        self._kv_scales: dict[str, float] = {}
        self._device = build.device
        self.sizes = sizes = shape.qkv_sizes
        self.qkv_proj = self.linear(
            f"{name}.qkv_proj",
            shape.hidden_size,
            sizes if shape.stored == "apart" else [sum(sizes)],
            build,
            bias=shape.qkv_bias,
            order=qkv_order(shape),
        )
        self.o_proj = self.linear(
            f"{name}.o_proj", sizes[0], [shape.hidden_size], build, bias=shape.o_bias
        )
        window = shape.windows[layer]
        spec = KVSpec(
            num_kv_heads=shape.num_kv_heads,
            head_dim=shape.head_dim,
            dtype=build.kv_dtype,
            kind="full" if window is None else "window",
            window=window,
        )
        self.attn = Attention(
            shape.num_heads,
            spec,
            build,
            scale=self.scale(shape, layer),
            soft_cap=shape.soft_cap,
            alibi_slopes=shape.alibi_slopes,
        )

    def load_weight(self, suffix: str, part: int, tensor: RawTensor) -> None:  # noqa: ARG002
        """The scales of keys and values in a cache of 8 bits, which calibrated checkpoints have."""
        check_suffix(suffix, tensor, KV_SCALES)
        scale = float(tensor.unpack(torch.float32))
        if not 0 < scale < math.inf:
            raise CheckpointError(f"{tensor.name} is {scale}, which is no scale")
        self._kv_scales[suffix] = scale

    def expected(self) -> dict[tuple[str, int], tuple[int, ...]]:
        return {}

    def missing(self) -> list[str]:
        return []

    def finish(self) -> None:
        if self._kv_scales:
            scales = (self._kv_scales.get(name, 1.0) for name in KV_SCALES)
            heads, device = self.attn.spec.num_kv_heads, self._device
            self.attn.set_scales(*(torch.full((heads,), scale, device=device) for scale in scales))

    def fed_by(self, layer: Layer) -> None:
        self.qkv_proj.fed_by(layer)

    def scale(self, shape: DecoderShape, layer: int) -> float | None:  # noqa: ARG002
        """Of the scores of this layer; None: 1 / sqrt(head_dim)."""
        return shape.scale

    def project(self, x_TD: Tensor) -> Tensor:
        """q, k and v [T, X * E]."""
        qkv: Tensor = self.qkv_proj(x_TD)
        return qkv

    def forward(self, x_TD: Tensor, batch: Batch, cache: KVCache) -> Tensor:
        out_TD: Tensor = self.o_proj(self.attn(self.project(x_TD), batch, cache))
        return out_TD


class QKNormAttention(SelfAttention):
    """With RMS norms on the heads of q and k before the rotation (QK-norm)."""

    norm = RMSNorm

    def __init__(self, shape: DecoderShape, layer: int, build: BuildContext) -> None:
        super().__init__(shape, layer, build)
        order = head_order(shape)
        self.q_norm = self.norm(shape.head_dim, shape.norm_eps, build, order=order)
        self.k_norm = self.norm(shape.head_dim, shape.norm_eps, build, order=order)

    def forward(self, x_TD: Tensor, batch: Batch, cache: KVCache) -> Tensor:
        norms = (self.q_norm.weight, self.k_norm.weight, self.q_norm.eps)
        out_TD: Tensor = self.o_proj(self.attn(self.project(x_TD), batch, cache, *norms))
        return out_TD


class NormedAttention(SelfAttention):
    """With norms on q and k that the rotation's op does not have.

    A family makes `q_norm` and `k_norm`; `normed` is for each of them the shape that it norms: one
    head, each head by weights of its own, or all heads as one.
    """

    q_norm: Layer
    k_norm: Layer
    normed: tuple[tuple[int, ...], tuple[int, ...]]

    def project(self, x_TD: Tensor) -> Tensor:
        q, k, v = self.qkv_proj(x_TD).split(self.sizes, dim=-1)
        q, k = (
            norm(x.reshape(-1, *shape))[0].view(len(v), -1)
            for norm, x, shape in zip((self.q_norm, self.k_norm), (q, k), self.normed, strict=True)
        )
        return torch.cat((q, k, v), dim=-1)
