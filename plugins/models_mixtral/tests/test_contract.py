"""Mixtures of experts against transformers: every architecture and every field."""

from __future__ import annotations

from inferd.testing import ModelContract

TYPES = ["full_attention", "sliding_attention", "sliding_attention", "sliding_attention"]
ROUTING = {"output_router_logits", "router_aux_loss_coef", "router_jitter_noise"}
QWEN = {
    "num_experts": 6,
    "num_experts_per_tok": 3,
    "moe_intermediate_size": 40,
    "decoder_sparse_step": 2,
}


class TestMixtral(ModelContract):
    plugin = "models_mixtral"
    architecture = "MixtralForCausalLM"
    config = {
        "model_type": "mixtral",
        "num_local_experts": 5,
        "num_experts_per_tok": 3,
        "sliding_window": 24,
    }
    variants = {
        "a window": {},
        "tied, gelu": {
            "sliding_window": None,
            "tie_word_embeddings": True,
            "hidden_act": "gelu",
        },
    }
    inert = ROUTING | {"num_experts"}


class TestQwen2Moe(ModelContract):
    plugin = "models_mixtral"
    architecture = "Qwen2MoeForCausalLM"
    config = {"model_type": "qwen2_moe", "shared_expert_intermediate_size": 56, **QWEN}
    variants = {
        "windows below a layer": {
            "use_sliding_window": True,
            "sliding_window": 24,
            "max_window_layers": 2,
            "norm_topk_prob": True,
        },
        "windows named by layer": {
            "use_sliding_window": True,
            "sliding_window": 24,
            "layer_types": TYPES,
            "qkv_bias": False,
        },
        "layers without experts, tied, gelu": {
            "mlp_only_layers": [1],
            "tie_word_embeddings": True,
            "hidden_act": "gelu",
        },
    }
    inert = ROUTING


class TestQwen3Moe(ModelContract):
    plugin = "models_mixtral"
    architecture = "Qwen3MoeForCausalLM"
    config = {"model_type": "qwen3_moe", "attention_bias": True, **QWEN}
    variants = {
        "windows": {"use_sliding_window": True, "sliding_window": 24, "norm_topk_prob": True},
        "layers without experts, tied, gelu": {
            "mlp_only_layers": [1],
            "attention_bias": False,
            "tie_word_embeddings": True,
            "hidden_act": "gelu",
        },
    }
    inert = ROUTING | {"num_local_experts"}
