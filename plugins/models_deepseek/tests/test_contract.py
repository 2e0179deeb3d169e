"""DeepSeek V2 and V3 against transformers: every architecture and every field."""

from __future__ import annotations

from inferd.testing import ModelContract
from inferd.testing.model_variants import NULL

SIZES = {
    "num_hidden_layers": 2,
    "head_dim": None,
    "num_key_value_heads": 6,
    "q_lora_rank": 40,
    "kv_lora_rank": 48,
    "qk_nope_head_dim": 24,
    "qk_rope_head_dim": 16,
    "v_head_dim": 20,
    "n_routed_experts": 8,
    "num_experts_per_tok": 3,
    "moe_intermediate_size": 40,
    "routed_scaling_factor": 1.7,
    "first_k_dense_replace": 1,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 500.0,
    "factor": 4.0,
    "original_max_position_embeddings": 32,
    "beta_fast": 8.0,
    "beta_slow": 2.0,
    "mscale": 0.7,
    "mscale_all_dim": 1.2,
}
INERT = {"output_router_logits", "head_dim", "num_experts", "num_local_experts"}


class TestDeepseekV2(ModelContract):
    plugin = "models_deepseek"
    architecture = "DeepseekV2ForCausalLM"
    config = {"model_type": "deepseek_v2", "n_shared_experts": 3, **SIZES}
    variants = {
        "plain queries, tied, gelu": {
            "q_lora_rank": NULL,
            "first_k_dense_replace": 0,
            "tie_word_embeddings": True,
            "hidden_act": "gelu",
        },
        "groups of experts": {
            "topk_method": "group_limited_greedy",
            "n_group": 4,
            "topk_group": 2,
        },
        "yarn, biases": {"rope_parameters": YARN, "attention_bias": True, "mlp_bias": True},
    }
    cannot = {"num_key_value_heads"}
    inert = INERT


class TestDeepseekV3(ModelContract):
    plugin = "models_deepseek"
    architecture = "DeepseekV3ForCausalLM"
    config = {
        "model_type": "deepseek_v3",
        "n_shared_experts": 2,
        "n_group": 4,
        "topk_group": 2,
        **SIZES,
    }
    variants = {
        "plain queries, experts everywhere, tied, gelu": {
            "q_lora_rank": NULL,
            "first_k_dense_replace": 0,
            "tie_word_embeddings": True,
            "hidden_act": "gelu",
        },
        "weights as they are, halves": {"norm_topk_prob": False, "rope_interleave": False},
        "yarn, biases": {"rope_parameters": YARN, "attention_bias": True},
    }
    cannot = {"num_key_value_heads"}
    inert = INERT
