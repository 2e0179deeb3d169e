"""Whether a DeepSeek GGUF file has the tensors that its metadata promises, before any is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inferd.errors import CheckpointError
from inferd.loading.gguf_deepseek import ARCH, has_halves
from inferd.loading.gguf_header import GgufHeader
from inferd.loading.gguf_keys import Reader

Shapes = dict[str, tuple[int, ...]]


def check_layers(header: GgufHeader, config: Mapping[str, Any], path: Path) -> None:
    """Raises CheckpointError for a layer's tensor that is missing, misshapen or one too many."""
    halves = has_halves(Reader(header.metadata, ARCH))
    expected = {
        f"blk.{layer}.{name}.{'bias' if name == 'exp_probs_b' else 'weight'}": shape
        for layer in range(config["num_hidden_layers"])
        for name, shape in _layer(config, layer, halves).items()
    }
    found = {name: info.shape for name, info in header.tensors.items() if name.startswith("blk.")}
    for name in {**expected, **found}:
        if expected.get(name) != found.get(name):
            raise CheckpointError(
                f"{path}: tensor {name!r} {_has(found.get(name))}, expected "
                f"{_shown(expected.get(name))} by the file's metadata"
            )


def _has(shape: tuple[int, ...] | None) -> str:
    return "is missing" if shape is None else f"has shape {list(shape)}"


def _shown(shape: tuple[int, ...] | None) -> str:
    return "no such tensor" if shape is None else str(list(shape))


def _layer(config: Mapping[str, Any], layer: int, halves: bool) -> Shapes:
    """By GGUF's names, in Hugging Face's order: [out, in]."""
    hidden, heads, rank = (
        config[key] for key in ("hidden_size", "num_attention_heads", "kv_lora_rank")
    )
    mlp = _mlp if layer < config["first_k_dense_replace"] else _mixture
    return {
        "attn_norm": (hidden,),
        **_queries(config),
        "attn_kv_a_mqa": (rank + config["qk_rope_head_dim"], hidden),
        "attn_kv_a_norm": (rank,),
        **_keys_and_values(config, halves),
        "attn_output": (hidden, heads * config["v_head_dim"]),
        "ffn_norm": (hidden,),
        **mlp(config),
    }


def _queries(config: Mapping[str, Any]) -> Shapes:
    hidden, rank = config["hidden_size"], config["q_lora_rank"]
    size = config["qk_nope_head_dim"] + config["qk_rope_head_dim"]
    rows = config["num_attention_heads"] * size
    if rank is None:
        return {"attn_q": (rows, hidden)}
    return {"attn_q_a": (rank, hidden), "attn_q_a_norm": (rank,), "attn_q_b": (rows, rank)}


def _keys_and_values(config: Mapping[str, Any], halves: bool) -> Shapes:
    heads, rank = config["num_attention_heads"], config["kv_lora_rank"]
    keys, values = config["qk_nope_head_dim"], config["v_head_dim"]
    if halves:
        return {"attn_k_b": (heads, rank, keys), "attn_v_b": (heads, values, rank)}
    return {"attn_kv_b": (heads * (keys + values), rank)}


def _mlp(config: Mapping[str, Any]) -> Shapes:
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    return {"ffn_gate": (inner, hidden), "ffn_up": (inner, hidden), "ffn_down": (hidden, inner)}


def _mixture(config: Mapping[str, Any]) -> Shapes:
    hidden, inner = config["hidden_size"], config["moe_intermediate_size"]
    experts, shared = config["n_routed_experts"], inner * config["n_shared_experts"]
    bias = {"exp_probs_b": (experts,)} if config["model_type"] == "deepseek_v3" else {}
    return {
        "ffn_gate_inp": (experts, hidden),
        **bias,
        "ffn_gate_exps": (experts, inner, hidden),
        "ffn_up_exps": (experts, inner, hidden),
        "ffn_down_exps": (experts, hidden, inner),
        "ffn_gate_shexp": (shared, hidden),
        "ffn_up_shexp": (shared, hidden),
        "ffn_down_shexp": (hidden, shared),
    }
