"""DeepSeek's GGUF files (`deepseek2`): names, metadata keys, and what the keys leave unsaid.

Files of DeepSeek V2, V2-Lite, V3 and R1, of Moonlight and of Kimi K2, which are all of this
architecture. Rows are in the checkpoint's order: llama.cpp rotates neighbours here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferd.loading.gguf_experts import QWEN
from inferd.loading.gguf_keys import Reader

ARCH = "deepseek2"
KEYS, VALUES = "k_b_proj", "v_b_proj"  # newer files have kv_b_proj in these two
NAMES = QWEN | {
    "attn_q_a": "self_attn.q_a_proj",
    "attn_q_a_norm": "self_attn.q_a_layernorm",
    "attn_q_b": "self_attn.q_b_proj",
    "attn_kv_a_mqa": "self_attn.kv_a_proj_with_mqa",
    "attn_kv_a_norm": "self_attn.kv_a_layernorm",
    "attn_kv_b": "self_attn.kv_b_proj",
    "attn_k_b": f"self_attn.{KEYS}",
    "attn_v_b": f"self_attn.{VALUES}",
    "exp_probs_b": "mlp.gate.e_score_correction_bias",
    "ffn_gate_shexp": "mlp.shared_experts.gate_proj",
    "ffn_up_shexp": "mlp.shared_experts.up_proj",
    "ffn_down_shexp": "mlp.shared_experts.down_proj",
}
LATENT = ("deepseek_v2", "deepseek_v3")  # their model types
LAYERS = dict.fromkeys(LATENT, NAMES)
"""What a layer has beside a dense Llama's."""
SOFTMAX, SIGMOID = 1, 2  # expert_gating_func
GROUPS = {  # of files older than their keys: layers and experts -> groups, and those of a token
    (60, 160): (8, 3),  # DeepSeek-V2, V2.5, Coder-V2
    (61, 256): (8, 4),  # DeepSeek-V3, V3.1, R1
}
KIMI = (61, 384)  # layers and experts of K2 and K2.5
NEUTRAL = (  # factors on scores and rotations that transformers' models do not have
    "attention.temperature_scale",
    "rope.scaling.attn_factor",
    "rope.scaling.yarn_attn_factor",
    "rope.scaling.yarn_ext_factor",
)


def latent_fields(read: Reader, config: Mapping[str, Any]) -> dict[str, Any]:
    """config.json's, in place of those in `config`, which are any architecture's; {} for another.

    Since April 2025 `key_length` and `value_length` are the latent's, as of a single KV head, and
    those of heads end in `_mla`. Raises CheckpointError, naming the key, for what is missing or
    cannot be computed.
    """
    if read.arch != ARCH:
        return {}
    for key in NEUTRAL:
        if (factor := read.get(key)) not in (None, 1.0):
            raise read.wrong(key, factor, "none, or 1: models with other factors are not supported")
    own = "_mla" if has_halves(read) else ""
    size = read.count(f"attention.key_length{own}", least=2)
    rotated = read.count("rope.dimension_count", most=size - 1)
    compressed = read.get("attention.q_lora_rank") is not None
    return {
        "num_key_value_heads": config["num_attention_heads"],
        "head_dim": rotated,
        "partial_rotary_factor": 1.0,
        "q_lora_rank": read.count("attention.q_lora_rank") if compressed else None,
        "kv_lora_rank": read.count("attention.kv_lora_rank"),
        "qk_rope_head_dim": rotated,
        "qk_nope_head_dim": size - rotated,
        "v_head_dim": read.count(f"attention.value_length{own}"),
        **_experts(read, config["num_hidden_layers"]),
        "rope_scaling": _scaling(read, config),
    }


def has_halves(read: Reader) -> bool:
    """Whether kv_b_proj is in two tensors; before April 2025 it was in one."""
    return read.get("attention.key_length_mla") is not None


def _scaling(read: Reader, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """With YaRN's factor on scores.

    A file has 0.1 * mscale_all_dim. llama.cpp takes mscale to be the same, as in all published
    checkpoints, and then rotations have no factor.
    """
    scaling: dict[str, Any] | None = config["rope_scaling"]
    if scaling is None or scaling["rope_type"] != "yarn":
        return scaling
    sizes = config["num_hidden_layers"], read.get("expert_count")
    if sizes == KIMI and "beta_fast" not in scaling:
        key, wanted = "rope.scaling.yarn_beta_fast", "Kimi K2's 1 or K2.5's 32: convert it again"
        raise read.wrong(key, None, wanted)
    # stored as float32: 0.07069999724626541 means 0.707
    scale = float(f"{10 * read.number('rope.scaling.yarn_log_multiplier'):.6g}")
    return scaling | {"mscale": scale, "mscale_all_dim": scale}


def _experts(read: Reader, layers: int) -> dict[str, Any]:
    experts = read.count("expert_count")
    groups, among = GROUPS.get((layers, experts), (1, 1))
    groups = read.count("expert_group_count", groups)
    fields = {
        "n_routed_experts": experts,
        "num_experts_per_tok": read.count("expert_used_count"),
        "n_shared_experts": read.count("expert_shared_count"),
        "moe_intermediate_size": read.count("expert_feed_forward_length"),
        "first_k_dense_replace": read.count("leading_dense_block_count", 0, least=0, most=layers),
        "routed_scaling_factor": float(f"{read.number('expert_weights_scale', 1.0):.6g}"),
        "n_group": groups,
        "topk_group": read.count("expert_group_used_count", among),
    }
    return fields | _scoring(read, groups)


def _scoring(read: Reader, groups: int) -> dict[str, Any]:
    """V2's softmax, which files before V3's do not name, or V3's sigmoid."""
    gating, renormalized = read.get("expert_gating_func"), read.get("expert_weights_norm") or False
    if gating == SIGMOID:
        return {
            "architectures": ["DeepseekV3ForCausalLM"],
            "model_type": "deepseek_v3",
            "topk_method": "noaux_tc",
            "norm_topk_prob": renormalized,
        }
    if gating not in (None, SOFTMAX):
        raise read.wrong("expert_gating_func", gating, "1, a softmax, or 2, a sigmoid")
    if renormalized:
        raise read.wrong("expert_weights_norm", renormalized, "false for experts by a softmax")
    return {
        "architectures": ["DeepseekV2ForCausalLM"],
        "model_type": "deepseek_v2",
        "topk_method": "group_limited_greedy" if groups > 1 else "greedy",
    }
