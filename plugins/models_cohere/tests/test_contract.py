"""The Cohere family against transformers: every architecture and every field."""

from __future__ import annotations

from inferd.testing import ModelContract

TYPES = ["full_attention", "sliding_attention", "sliding_attention", "sliding_attention"]
COHERE = {
    "rms_norm_eps": None,
    "layer_norm_eps": 1e-2,
    "attention_bias": True,
    "logit_scale": 0.5,
}


class TestCohere(ModelContract):
    plugin = "models_cohere"
    architecture = "CohereForCausalLM"
    config = {"model_type": "cohere", **COHERE}
    variants = {
        "untied": {},
        "QK-norm": {"use_qk_norm": True, "hidden_act": "gelu"},
        "tied": {"tie_word_embeddings": None, "attention_bias": False, "logit_scale": 3.0},
    }


class TestCohere2(ModelContract):
    plugin = "models_cohere"
    architecture = "Cohere2ForCausalLM"
    config = {
        "model_type": "cohere2",
        "head_dim": None,
        "hidden_size": 96,
        "sliding_window": 24,
        **COHERE,
    }
    variants = {
        "windows by a pattern": {"sliding_window_pattern": 3, "hidden_act": "gelu"},
        "windows named by layer, tied": {
            "layer_types": TYPES,
            "tie_word_embeddings": None,
            "attention_bias": False,
        },
    }
    inert = {"head_dim"}  # its configuration sets it to hidden_size / num_attention_heads
