"""DecoderShape: the numbers a decoder is built from, as most config.json files say them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

from inferd.errors import UnsupportedModel
from inferd.layers.fields import Fields

WINDOW = 4096  # where a configuration that has windows does not say how wide
LAYER_TYPES = ("full_attention", "sliding_attention")


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderShape:
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    hidden_act: str
    norm_eps: float
    tied: bool
    windows: tuple[int | None, ...]  # per layer, None: sees everything
    qkv_bias: bool = False
    o_bias: bool = False
    mlp_bias: bool = False
    head_bias: bool = False  # of the output head
    scale: float | None = None  # of attention scores; None: 1 / sqrt(head_dim)
    soft_cap: float | None = None  # of attention scores
    alibi_slopes: tuple[float, ...] | None = None  # per head: of scores with the distance
    sinks: bool = False  # heads have a score for what is no key
    embedding_scale: float = 1.0
    logit_scale: float = 1.0
    logit_cap: float | None = None
    rotated: int | None = None  # elements of a head that are rotated, the first ones; None: all
    theta: float = 10000.0  # of the rotation, where the configuration says none
    interleaved: bool = False  # pairs are neighbours in the checkpoint, not halves
    # how the checkpoint stores q, k and v: apart, one after the other, or by KV head
    stored: Literal["apart", "fused", "grouped"] = "apart"
    gate_up_fused: bool = False  # gate and up are one tensor in the checkpoint

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Raises UnsupportedModel for numbers that are missing or do not fit each other."""
        heads, layers = fields.count("num_attention_heads"), fields.count("num_hidden_layers")
        hidden = fields.count("hidden_size")
        shape = cls(
            vocab_size=fields.count("vocab_size"),
            hidden_size=hidden,
            intermediate_size=fields.count("intermediate_size"),
            num_layers=layers,
            num_heads=heads,
            num_kv_heads=fields.count("num_key_value_heads", heads, null=heads),
            head_dim=fields.count("head_dim", hidden // heads),
            hidden_act=fields.word("hidden_act", "silu"),
            norm_eps=fields.number("rms_norm_eps", 1e-6, above=0.0),
            tied=fields.flag("tie_word_embeddings"),
            windows=(None,) * layers,
        )
        if heads % shape.num_kv_heads:
            raise UnsupportedModel(
                f"config.json: num_attention_heads ({heads}) is not a multiple of "
                f"num_key_value_heads ({shape.num_kv_heads})"
            )
        return shape

    def with_window(self, fields: Fields, windowed: Sequence[bool]) -> Self:
        """Layer `i` sees only the last `sliding_window` tokens where `windowed[i]`."""
        narrow = None
        if fields.get("sliding_window", WINDOW) is not None:
            narrow = fields.count("sliding_window", WINDOW)
        return replace(self, windows=tuple(narrow if there else None for there in windowed))

    @property
    def qkv_sizes(self) -> tuple[int, int, int]:
        kv = self.num_kv_heads * self.head_dim
        return self.num_heads * self.head_dim, kv, kv
