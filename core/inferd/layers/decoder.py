"""A decoder-only model: embedding, blocks, norm and output head. A family says what differs.

Shape suffixes: T tokens, N positions that need logits, D hidden, V vocabulary.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from inferd.contracts.attention import AttentionRequest, KVSpec
from inferd.contracts.model import BuildContext, CausalLM, KVCache, ModelConfig
from inferd.layers.attention import PagedAttention
from inferd.layers.blocks import Parts
from inferd.layers.embedding import Embedding, LMHead
from inferd.layers.layer import Layer
from inferd.layers.rotary import NoRotary, Rotary
from inferd.layers.shape import DecoderShape
from inferd.types import Batch

Packed = Mapping[str, tuple[str, ...]]
QKV: Packed = {"qkv_proj": ("q_proj", "k_proj", "v_proj")}
GATE_UP: Packed = {"gate_up_proj": ("gate_proj", "up_proj")}


class Decoder(Layer):
    """From token ids to hidden states after the last norm."""

    def __init__(self, parts: Parts, shape: DecoderShape, build: BuildContext) -> None:
        super().__init__()
        self.embed_tokens = Embedding(shape.vocab_size, shape.hidden_size, build)
        rotaries = self.rotaries(shape, build)
        self.rotary = nn.ModuleList(dict.fromkeys(rotaries))
        self._rotary_of = [list(self.rotary).index(rotary) for rotary in rotaries]
        self.layers = nn.ModuleList(
            parts.block(parts, shape, layer, build) for layer in range(shape.num_layers)
        )
        self.norm = parts.norm(shape.hidden_size, shape.norm_eps, build)
        self._embedding_scale = shape.embedding_scale

    def rotaries(self, shape: DecoderShape, build: BuildContext) -> Sequence[Rotary | NoRotary]:
        """One for each layer; layers that rotate alike share theirs."""
        rotary = Rotary(shape.head_dim, build, rotated=shape.rotated, theta=shape.theta)
        return [rotary] * shape.num_layers

    def embed(self, batch: Batch) -> Tensor:
        x_TD: Tensor = self.embed_tokens(batch.ids_T)
        return x_TD if self._embedding_scale == 1.0 else x_TD * self._embedding_scale

    def forward(self, batch: Batch, caches: Sequence[KVCache]) -> Tensor:
        x_TD = self.embed(batch)
        ropes = [rotary(batch.positions_T) for rotary in self.rotary]
        residual_TD: Tensor | None = None
        for layer, rope, cache in zip(self.layers, self._rotary_of, caches, strict=True):
            batch.rope = ropes[rope]
            x_TD, residual_TD = layer(x_TD, residual_TD, batch, cache)
        out_TD: Tensor = self.norm(x_TD, residual_TD)[0]
        return out_TD


class DecoderLM(CausalLM):
    """Raises UnsupportedModel for values of its config that it does not implement."""

    packed: ClassVar[Packed] = {**QKV, **GATE_UP}
    parts: ClassVar[Parts] = Parts()
    decoder: ClassVar[type[Decoder]] = Decoder
    drafts_follow: ClassVar[bool] = False
    """Whether layers after the last one only draft tokens (MTP), so that they are left out."""

    def __init__(self, build: BuildContext) -> None:
        super().__init__(build)
        shape = self.read_shape(build.config.hf)
        self.model = self.decoder(self.choose_parts(build.config.hf), shape, build)
        self._attentions = [m for m in self.model.modules() if isinstance(m, PagedAttention)]
        self.lm_head = LMHead(
            shape.vocab_size,
            shape.hidden_size,
            build,
            tied=self.model.embed_tokens if shape.tied else None,
            bias=shape.head_bias,
        )
        self._num_layers = shape.num_layers
        self._logit_scale, self._logit_cap = shape.logit_scale, shape.logit_cap

    @classmethod
    @abstractmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        """Raises UnsupportedModel."""

    def choose_parts(self, hf: Mapping[str, Any]) -> Parts:  # noqa: ARG002
        """For families whose configuration chooses among them."""
        return self.parts

    def ignores(self, name: str) -> bool:
        layer = re.match(r"model\.layers\.(\d+)\.", name) if self.drafts_follow else None
        return super().ignores(name) or (layer is not None and int(layer[1]) >= self._num_layers)

    @classmethod
    def attention_request(
        cls, config: ModelConfig, platform: str, block_size: int
    ) -> AttentionRequest:
        shape = cls.read_shape(config.hf)
        return AttentionRequest(
            platform=platform,
            num_heads=shape.num_heads,
            num_kv_heads=shape.num_kv_heads,
            head_dim=shape.head_dim,
            dtype=config.dtype,
            block_size=block_size,
            window=next((window for window in shape.windows if window), None),
            soft_cap=shape.soft_cap,
            alibi=shape.alibi_slopes is not None,
            sinks=shape.sinks,
        )

    def kv_specs(self) -> list[KVSpec]:
        return [attention.spec for attention in self._attentions]

    def set_groups(self, groups: Sequence[int]) -> None:
        for attention, group in zip(self._attentions, groups, strict=True):
            attention.set_group(group)

    def forward(self, batch: Batch, caches: Sequence[KVCache]) -> Tensor:
        hidden_TD: Tensor = self.model(batch, caches)
        return hidden_TD

    def compute_logits(self, hidden_ND: Tensor) -> Tensor:
        logits_NV: Tensor = self.lm_head(hidden_ND)
        if self._logit_scale != 1.0:
            logits_NV = logits_NV * self._logit_scale
        if self._logit_cap is not None:
            logits_NV = (logits_NV / self._logit_cap).tanh() * self._logit_cap
        return logits_NV
