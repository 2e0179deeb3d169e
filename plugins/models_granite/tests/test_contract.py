"""Granite against transformers: every field."""

from __future__ import annotations

from inferd.testing import ModelContract


class TestGranite(ModelContract):
    plugin = "models_granite"
    architecture = "GraniteForCausalLM"
    config = {
        "model_type": "granite",
        "attention_bias": True,
        "mlp_bias": True,
        "attention_multiplier": 0.3,
        "embedding_multiplier": 1.5,
        "residual_multiplier": 0.7,
        "logits_scaling": 0.5,
    }
    variants = {
        "untied": {},
        "tied": {"tie_word_embeddings": True, "attention_bias": False, "mlp_bias": False},
        "gelu": {"hidden_act": "gelu"},
    }
