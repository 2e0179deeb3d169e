"""The Gemma family against transformers: every architecture and every field."""

from __future__ import annotations

from inferd.testing import ModelContract

TYPES = ["full_attention", "sliding_attention", "sliding_attention", "sliding_attention"]
ROPES = {
    "sliding_attention": {"rope_type": "default", "rope_theta": 300.0},
    "full_attention": {"rope_type": "linear", "rope_theta": 900.0, "factor": 2.5},
}
GEMMA2 = {
    "hidden_act": None,
    "hidden_activation": "silu",
    "query_pre_attn_scalar": 11,
    "sliding_window": 24,
    "final_logit_softcapping": 4.0,
    "attention_bias": True,
}


class TestGemma(ModelContract):
    plugin = "models_gemma"
    architecture = "GemmaForCausalLM"
    config = {"model_type": "gemma", "attention_bias": True, "hidden_act": "silu"}
    variants = {
        "untied": {},
        "tied, gelu": {"tie_word_embeddings": None, "hidden_act": "gelu"},
        "defaults": {"hidden_act": None, "attention_bias": False},
    }
    cannot = {"use_bidirectional_attention"}
    mutations = {"use_bidirectional_attention": True}


class TestGemma2(ModelContract):
    plugin = "models_gemma"
    architecture = "Gemma2ForCausalLM"
    config = {"model_type": "gemma2", "attn_logit_softcapping": 4.0, **GEMMA2}
    variants = {
        "windows named by layer": {"layer_types": TYPES},
        "tied, without caps": {
            "tie_word_embeddings": None,
            "attn_logit_softcapping": None,
            "final_logit_softcapping": None,
            "attention_bias": False,
            "hidden_activation": None,
        },
    }
    cannot = {"use_bidirectional_attention"}
    mutations = {"use_bidirectional_attention": True}


class TestGemma3(ModelContract):
    plugin = "models_gemma"
    architecture = "Gemma3ForCausalLM"
    config = {"model_type": "gemma3_text", **GEMMA2}
    variants = {
        "windows by a pattern": {"sliding_window_pattern": 3},
        "windows named by layer": {
            "layer_types": TYPES,
            "rope_theta": None,
            "rope_parameters": ROPES,
        },
        "older spelling": {
            "rope_theta": 900.0,
            "rope_local_base_freq": 300.0,
            "rope_scaling": {"rope_type": "linear", "factor": 2.5},
            "sliding_window_pattern": 2,
            "tie_word_embeddings": None,
            "final_logit_softcapping": None,
        },
    }
    cannot = {"use_bidirectional_attention", "attn_logit_softcapping"}
    mutations = {"use_bidirectional_attention": True, "attn_logit_softcapping": 2.0}
