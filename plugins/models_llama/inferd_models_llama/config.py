"""LlamaShape: what the family reads of a config.json, with the names' defaults in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from inferd.errors import UnsupportedModel


@dataclass(frozen=True, slots=True)
class LlamaShape:
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

    @classmethod
    def read(
        cls, hf: Mapping[str, Any], *, kv_heads: int | None = None, head_dim: int | None = None
    ) -> Self:
        """`kv_heads` and `head_dim` are the family's own defaults, where it has any.

        Raises UnsupportedModel for numbers that are missing or do not fit each other.
        """
        heads, layers = _count(hf, "num_attention_heads"), _count(hf, "num_hidden_layers")
        hidden = _count(hf, "hidden_size")
        shape = cls(
            vocab_size=_count(hf, "vocab_size"),
            hidden_size=hidden,
            intermediate_size=_count(hf, "intermediate_size"),
            num_layers=layers,
            num_heads=heads,
            num_kv_heads=_count(hf, "num_key_value_heads", kv_heads or heads),
            head_dim=_count(hf, "head_dim", head_dim or hidden // heads),
            hidden_act=str(hf.get("hidden_act") or "silu"),
            norm_eps=float(hf.get("rms_norm_eps", 1e-6)),
            tied=bool(hf.get("tie_word_embeddings", False)),
            windows=(None,) * layers,
        )
        if heads % shape.num_kv_heads:
            raise UnsupportedModel(
                f"config.json: num_attention_heads ({heads}) is not a multiple of "
                f"num_key_value_heads ({shape.num_kv_heads})"
            )
        return shape

    def with_window(self, window: int | None, windowed: Sequence[bool]) -> Self:
        """Layer `i` sees only the last `window` tokens where `windowed[i]`."""
        return replace(self, windows=tuple(window if narrow else None for narrow in windowed))


def _count(hf: Mapping[str, Any], key: str, default: int | None = None) -> int:
    value = hf.get(key)
    value = default if value is None else value
    if not isinstance(value, int) or value < 1:
        raise UnsupportedModel(f"config.json: {key} is {value!r}, expected a positive number")
    return value
