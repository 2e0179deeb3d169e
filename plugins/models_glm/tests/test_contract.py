"""The GLM-4 family against transformers: every architecture and every field."""

from __future__ import annotations

from inferd.testing import ModelContract

VARIANTS = {
    "untied, without biases": {"attention_bias": False, "num_key_value_heads": 3},
    "half a head, tied, gelu": {
        "partial_rotary_factor": None,
        "tie_word_embeddings": True,
        "hidden_act": "gelu",
    },
}


class TestGlm(ModelContract):
    plugin = "models_glm"
    architecture = "GlmForCausalLM"
    config = {"model_type": "glm", "partial_rotary_factor": 0.75}
    variants = VARIANTS


class TestGlm4(ModelContract):
    plugin = "models_glm"
    architecture = "Glm4ForCausalLM"
    config = {"model_type": "glm4", "partial_rotary_factor": 0.75}
    variants = VARIANTS


class TestGlm4Moe(ModelContract):
    plugin = "models_glm"
    architecture = "Glm4MoeForCausalLM"
    config = {
        "model_type": "glm4_moe",
        "num_hidden_layers": 2,
        "n_routed_experts": 8,
        "num_experts_per_tok": 3,
        "n_shared_experts": 2,
        "moe_intermediate_size": 40,
        "routed_scaling_factor": 1.7,
        "n_group": 4,
        "topk_group": 2,
    }
    variants = {
        "QK-norm, three quarters of a head": {
            "use_qk_norm": True,
            "partial_rotary_factor": 0.75,
            "norm_topk_prob": False,
            "first_k_dense_replace": 0,
        },
        "biases, tied, gelu": {
            "attention_bias": True,
            "tie_word_embeddings": True,
            "hidden_act": "gelu",
        },
    }
    inert = {"output_router_logits", "num_experts", "num_local_experts"}
