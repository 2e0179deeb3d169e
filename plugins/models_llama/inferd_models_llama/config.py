"""LlamaShape: what the family reads of a config.json, with the names' defaults in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self


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
    qkv_bias: bool
    o_bias: bool
    mlp_bias: bool
    tied: bool
    windows: tuple[int | None, ...]  # per layer, None: sees everything

    @classmethod
    def read(cls, hf: Mapping[str, Any]) -> Self:
        heads = int(hf["num_attention_heads"])
        layers = int(hf["num_hidden_layers"])
        hidden = int(hf["hidden_size"])
        bias = bool(hf.get("attention_bias", False))
        return cls(
            vocab_size=int(hf["vocab_size"]),
            hidden_size=hidden,
            intermediate_size=int(hf["intermediate_size"]),
            num_layers=layers,
            num_heads=heads,
            num_kv_heads=int(hf.get("num_key_value_heads") or heads),
            head_dim=int(hf.get("head_dim") or hidden // heads),
            hidden_act=str(hf.get("hidden_act", "silu")),
            norm_eps=float(hf.get("rms_norm_eps", 1e-6)),
            qkv_bias=bias,
            o_bias=bias,
            mlp_bias=bool(hf.get("mlp_bias", False)),
            tied=bool(hf.get("tie_word_embeddings", False)),
            windows=(None,) * layers,
        )

    def with_window(self, window: int | None, windowed: Mapping[int, bool]) -> Self:
        """Layer `i` sees only the last `window` tokens where `windowed[i]`."""
        windows = tuple(window if windowed[i] else None for i in range(self.num_layers))
        return replace(self, windows=windows)
