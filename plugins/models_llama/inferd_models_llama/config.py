"""LlamaShape: what the family reads of a config.json, with the names' defaults in one place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from inferd.errors import UnsupportedModel

WINDOW = 4096  # where a configuration that has windows does not say how wide


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
        heads, layers = count(hf, "num_attention_heads"), count(hf, "num_hidden_layers")
        hidden = count(hf, "hidden_size")
        shape = cls(
            vocab_size=count(hf, "vocab_size"),
            hidden_size=hidden,
            intermediate_size=count(hf, "intermediate_size"),
            num_layers=layers,
            num_heads=heads,
            num_kv_heads=count(hf, "num_key_value_heads", kv_heads or heads, null=heads),
            head_dim=count(hf, "head_dim", head_dim or hidden // heads),
            hidden_act=str(hf.get("hidden_act") or "silu"),
            norm_eps=_number(hf, "rms_norm_eps", 1e-6),
            tied=flag(hf, "tie_word_embeddings"),
            windows=(None,) * layers,
        )
        if heads % shape.num_kv_heads:
            raise UnsupportedModel(
                f"config.json: num_attention_heads ({heads}) is not a multiple of "
                f"num_key_value_heads ({shape.num_kv_heads})"
            )
        return shape

    def with_window(self, hf: Mapping[str, Any], windowed: Sequence[bool]) -> Self:
        """Layer `i` sees only the last `sliding_window` tokens where `windowed[i]`."""
        narrow = None
        if hf.get("sliding_window", WINDOW) is not None:
            narrow = count(hf, "sliding_window", WINDOW)
        return replace(self, windows=tuple(narrow if there else None for there in windowed))


def count(
    hf: Mapping[str, Any],
    key: str,
    default: int | None = None,
    *,
    null: int | None = None,
    least: int = 1,
) -> int:
    """`default` where the key is absent, `null` (else the default) where it is null.

    Raises UnsupportedModel for anything but a whole number of at least `least`.
    """
    value = hf.get(key, default)
    if value is None:
        value = default if null is None else null
    if type(value) is not int or value < least:
        raise UnsupportedModel(
            f"config.json: {key} is {value!r}, expected a whole number of at least {least}"
        )
    return value


def flag(hf: Mapping[str, Any], key: str) -> bool:
    """False where absent or null; raises UnsupportedModel for anything but true and false."""
    value = hf.get(key)
    if value is not None and not isinstance(value, bool):
        raise UnsupportedModel(f"config.json: {key} is {value!r}, expected true or false")
    return bool(value)


def _number(hf: Mapping[str, Any], key: str, default: float) -> float:
    value = hf.get(key, default)
    if type(value) not in (int, float) or not 0 <= value < math.inf:
        raise UnsupportedModel(f"config.json: {key} is {value!r}, expected a number")
    return float(value)
