"""The Phi family against transformers: every architecture and every field."""

from __future__ import annotations

from inferd.testing import ModelContract

LONG = [1.0 + 0.5 * i for i in range(6)]


def longrope(original, **parameters):
    return {
        "original_max_position_embeddings": original,
        "rope_scaling": {"type": "longrope", "long_factor": LONG, "short_factor": LONG[::-1]}
        | parameters,
    }


MSCALES = {
    "rope_type": "longrope",
    "rope_theta": 500.0,
    "long_factor": [1.0 + 0.5 * i for i in range(8)],
    "short_factor": [4.0 - 0.3 * i for i in range(8)],
    "long_mscale": 1.3,
    "short_mscale": 0.8,
}


class TestPhi(ModelContract):
    plugin = "models_phi"
    architecture = "PhiForCausalLM"
    config = {
        "model_type": "phi",
        "rms_norm_eps": None,
        "layer_norm_eps": 1e-2,
        "hidden_act": "gelu_new",
        "partial_rotary_factor": 0.75,
    }
    variants = {
        "silu, tied": {"hidden_act": "silu", "tie_word_embeddings": True},
        "QK-norm": {"qk_layernorm": True, "head_dim": None, "hidden_size": 96},
        "half a head, as many KV heads": {
            "partial_rotary_factor": None,
            "num_key_value_heads": None,
            "hidden_act": None,
        },
    }


class TestPhi3(ModelContract):
    plugin = "models_phi"
    architecture = "Phi3ForCausalLM"
    config = {
        "model_type": "phi3",
        "head_dim": None,
        "hidden_size": 96,
        "partial_rotary_factor": 0.75,
        "sliding_window": 24,
    }
    variants = {
        "a window": {},
        "longrope": {"sliding_window": None, **longrope(48)},
        "longrope, short": {"tie_word_embeddings": True, **longrope(200)},
        "whole heads, gelu": {"partial_rotary_factor": None, "hidden_act": "gelu"},
    }


class TestPhimoe(ModelContract):
    plugin = "models_phi"
    architecture = "PhimoeForCausalLM"
    config = {
        "model_type": "phimoe",
        "num_hidden_layers": 2,
        "num_local_experts": 5,
        "num_experts_per_tok": 2,
        "router_jitter_noise": 0.3,
        "attention_bias": True,
        "lm_head_bias": True,
        "sliding_window": 24,
    }
    variants = {
        "a window": {},
        "longrope, tied, gelu": {
            "sliding_window": None,
            "attention_bias": False,
            "lm_head_bias": False,
            "tie_word_embeddings": True,
            "hidden_act": "gelu",
            "rope_parameters": MSCALES | {"original_max_position_embeddings": 48},
        },
        "longrope, short": {"rope_parameters": MSCALES | {"original_max_position_embeddings": 200}},
    }
    cannot = {"num_experts_per_tok"}
    inert = {"output_router_logits", "router_aux_loss_coef", "num_experts", "input_jitter_noise"}
