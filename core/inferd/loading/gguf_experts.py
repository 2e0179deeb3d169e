"""Mixtures of experts in GGUF files: names, metadata keys, and tensors of a layer's experts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from inferd.contracts.loader import RawTensor
from inferd.loading.gguf_keys import Reader

EACH = ".experts.*."  # in the name of a tensor [M, rows, columns] of all experts
MIXTRAL = {
    "ffn_gate_inp": "block_sparse_moe.gate",
    "ffn_gate_exps": "block_sparse_moe.experts.*.w1",
    "ffn_up_exps": "block_sparse_moe.experts.*.w3",
    "ffn_down_exps": "block_sparse_moe.experts.*.w2",
}
QWEN = {
    "ffn_gate_inp": "mlp.gate",
    "ffn_gate_exps": "mlp.experts.*.gate_proj",
    "ffn_up_exps": "mlp.experts.*.up_proj",
    "ffn_down_exps": "mlp.experts.*.down_proj",
}
QWEN2 = {  # the expert that every token uses
    "ffn_gate_inp_shexp": "mlp.shared_expert_gate",
    "ffn_gate_shexp": "mlp.shared_expert.gate_proj",
    "ffn_up_shexp": "mlp.shared_expert.up_proj",
    "ffn_down_shexp": "mlp.shared_expert.down_proj",
}
GPT_OSS = QWEN | {
    "ffn_gate_inp": "mlp.router",
    "post_attention_norm": "post_attention_layernorm",
    "attn_sinks": "self_attn.sinks",
}
EXPERTS = {
    "mixtral": MIXTRAL,
    "qwen2_moe": QWEN | QWEN2,
    "qwen3_moe": QWEN,
    "gpt_oss": GPT_OSS,
}
"""By model type, what a layer has beside a dense one's."""


def expert_fields(read: Reader, size: int) -> dict[str, Any]:
    """config.json's, none for a dense model; `size` is what the file calls its MLP's.

    Whether the weights of chosen experts sum to one files do not say: llama.cpp knows it by name.
    """
    if read.arch == "llama" and read.get("expert_count"):
        return {
            "architectures": ["MixtralForCausalLM"],
            "model_type": "mixtral",
            "num_local_experts": read.count("expert_count"),
            "num_experts_per_tok": read.count("expert_used_count"),
        }
    if read.arch == "gpt-oss":
        return _gpt_oss(read, size)
    if read.arch not in ("qwen2moe", "qwen3moe"):
        return {}
    chosen = read.count("expert_used_count")
    fields = {
        "model_type": read.arch.replace("moe", "_moe"),
        "num_experts": read.count("expert_count"),
        "num_experts_per_tok": chosen,
        "moe_intermediate_size": read.count("expert_feed_forward_length", max(1, size // chosen)),
        "norm_topk_prob": read.arch == "qwen3moe",
    }
    if read.arch == "qwen2moe":
        shared = read.count("expert_shared_feed_forward_length", size)
        fields["shared_expert_intermediate_size"] = shared
    return fields


def _gpt_oss(read: Reader, size: int) -> dict[str, Any]:
    """Its directories have gate and up in one tensor of all experts, files have them apart."""
    return {
        "num_local_experts": read.count("expert_count"),
        "num_experts_per_tok": read.count("expert_used_count"),
        "intermediate_size": read.count("expert_feed_forward_length", size),
        "sliding_window": read.count("attention.sliding_window"),
        "attention_bias": True,
        "experts_apart": True,
    }


def each_expert(tensor: RawTensor) -> Iterator[RawTensor]:
    """One for each, where it has those of all; any other as it is."""
    bias = tensor.name.endswith(".bias")
    if EACH not in tensor.name or len(tensor.shape) != (2 if bias else 3):
        yield tensor
        return
    num, *shape = tensor.shape
    of_each = tensor.data if bias else tensor.data.view(num, -1, tensor.data.shape[-1])
    for expert, rows in enumerate(of_each):
        name = tensor.name.replace("*", str(expert))
        yield replace(tensor, name=name, shape=tuple(shape), data=rows)
