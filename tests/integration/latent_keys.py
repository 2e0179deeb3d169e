"""Cases of a small DeepSeek, and what its config.json and its GGUF file say of them."""

from __future__ import annotations

from typing import Any, NamedTuple

from bench.mixture_gguf import Kind

HIDDEN, HEADS, KEYS, ROTATED, VALUES, LATENT, RANK = 256, 4, 32, 16, 64, 64, 96
LAYERS, DENSE, EXPERTS, CHOSEN, GROUPS, SHARED, INNER, VOCAB = 3, 1, 8, 3, 4, 2, 256, 96


class Case(NamedTuple):
    sigmoid: bool  # V3's scores, with a bias, or V2's softmax
    compressed: bool  # queries
    halves: bool  # kv_b_proj in two tensors, as in files since April 2025
    groups: bool
    yarn: bool
    kind: Kind  # of matrices, if it divides their rows, else Q8_0
    down: Kind | None = None  # of experts' last matrices


COMMON: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "moe_intermediate_size": INNER,
    "num_hidden_layers": LAYERS,
    "first_k_dense_replace": DENSE,
    "num_attention_heads": HEADS,
    "num_key_value_heads": HEADS,
    "kv_lora_rank": LATENT,
    "qk_nope_head_dim": KEYS,
    "qk_rope_head_dim": ROTATED,
    "v_head_dim": VALUES,
    "n_routed_experts": EXPERTS,
    "num_experts_per_tok": CHOSEN,
    "n_shared_experts": SHARED,
    "routed_scaling_factor": 1.7,
    "hidden_act": "silu",
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500.0,
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
    "bos_token_id": 1,
    "eos_token_id": 2,
}
SHAPE: dict[str, Any] = {
    "block_count": LAYERS,
    "leading_dense_block_count": DENSE,
    "context_length": 256,
    "embedding_length": HIDDEN,
    "feed_forward_length": INNER,
    "expert_feed_forward_length": INNER,
    "expert_count": EXPERTS,
    "expert_used_count": CHOSEN,
    "expert_shared_count": SHARED,
    "expert_weights_scale": 1.7,
    "attention.head_count": HEADS,
    "attention.kv_lora_rank": LATENT,
    "attention.layer_norm_rms_epsilon": 1e-5,
    "rope.freq_base": 500.0,
    "rope.dimension_count": ROTATED,
}
YARN = {
    "rope_type": "yarn",
    "factor": 4.0,
    "original_max_position_embeddings": 64,
    "beta_fast": 8.0,
    "beta_slow": 2.0,
    "mscale": 0.707,
    "mscale_all_dim": 0.707,
}
YARN_KEYS = {
    "rope.scaling.type": "yarn",
    "rope.scaling.factor": 4.0,
    "rope.scaling.original_context_length": 64,
    "rope.scaling.yarn_beta_fast": 8.0,
    "rope.scaling.yarn_beta_slow": 2.0,
    "rope.scaling.yarn_log_multiplier": 0.0707,
}
HEAD_KEYS = {  # in older files, and in newer ones, which speak of the latent
    False: {
        "attention.head_count_kv": HEADS,
        "attention.key_length": KEYS + ROTATED,
        "attention.value_length": VALUES,
    },
    True: {
        "attention.head_count_kv": 1,
        "attention.key_length": LATENT + ROTATED,
        "attention.value_length": LATENT,
        "attention.key_length_mla": KEYS + ROTATED,
        "attention.value_length_mla": VALUES,
    },
}


def config(case: Case) -> dict[str, Any]:
    groups, among = (GROUPS, 2) if case.groups else (1, 1)
    v2 = {"topk_method": "group_limited_greedy" if case.groups else "greedy"}
    version = "3" if case.sigmoid else "2"
    return {
        **COMMON,
        "architectures": [f"DeepseekV{version}ForCausalLM"],
        "model_type": f"deepseek_v{version}",
        "q_lora_rank": RANK if case.compressed else None,
        "rope_scaling": YARN if case.yarn else None,
        "n_group": groups,
        "topk_group": among,
        **({"norm_topk_prob": True} if case.sigmoid else v2),
    }


def metadata(case: Case) -> dict[str, Any]:
    """Without the keys of groups where there is one, as in older files."""
    found = SHAPE | HEAD_KEYS[case.halves] | (YARN_KEYS if case.yarn else {})
    if case.compressed:
        found |= {"attention.q_lora_rank": RANK}
    if case.groups:
        found |= {"expert_group_count": GROUPS, "expert_group_used_count": 2}
    if case.sigmoid:
        found |= {"expert_gating_func": 2, "expert_weights_norm": True}
    return found
