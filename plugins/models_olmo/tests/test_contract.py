"""The OLMo family against transformers: every architecture and every field."""

from __future__ import annotations

from inferd.testing import ModelContract

TYPES = ["full_attention", "sliding_attention", "sliding_attention", "sliding_attention"]
ROPES = {
    "sliding_attention": {"rope_type": "default", "rope_theta": 300.0},
    "full_attention": {"rope_type": "linear", "rope_theta": 900.0, "factor": 2.5},
}


class TestOlmo(ModelContract):
    plugin = "models_olmo"
    architecture = "OlmoForCausalLM"
    config = {"model_type": "olmo", "rms_norm_eps": None, "attention_bias": True}
    variants = {
        "clipped": {"clip_qkv": 1.5, "hidden_act": "gelu"},
        "tied": {"tie_word_embeddings": True, "attention_bias": False},
        "a head size from the hidden size": {"head_dim": None, "num_key_value_heads": None},
    }


class TestOlmo2(ModelContract):
    plugin = "models_olmo"
    architecture = "Olmo2ForCausalLM"
    config = {"model_type": "olmo2", "attention_bias": True}
    variants = {
        "untied, gelu": {"hidden_act": "gelu"},
        "tied": {"tie_word_embeddings": True, "attention_bias": False},
    }


class TestOlmo3(ModelContract):
    plugin = "models_olmo"
    architecture = "Olmo3ForCausalLM"
    config = {"model_type": "olmo3", "attention_bias": True, "sliding_window": 24}
    variants = {
        "windows named by layer": {
            "layer_types": TYPES,
            "rope_theta": None,
            "rope_parameters": ROPES,
            "tie_word_embeddings": True,
        },
        "older spelling, gelu": {
            "rope_scaling": {"rope_type": "linear", "factor": 2.5},
            "hidden_act": "gelu",
        },
    }


class TestOlmoe(ModelContract):
    plugin = "models_olmo"
    architecture = "OlmoeForCausalLM"
    config = {
        "model_type": "olmoe",
        "head_dim": None,
        "hidden_size": 96,
        "attention_bias": True,
        "num_experts": 6,
        "num_experts_per_tok": 3,
    }
    variants = {
        "clipped, gelu": {"clip_qkv": 1.5, "hidden_act": "gelu"},
        "tied": {
            "tie_word_embeddings": True,
            "attention_bias": False,
            "norm_topk_prob": True,
        },
    }
    inert = {"output_router_logits", "router_aux_loss_coef", "head_dim"}
