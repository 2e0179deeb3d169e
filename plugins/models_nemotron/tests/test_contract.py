"""Nemotron against transformers: every field."""

from __future__ import annotations

from inferd.testing import ModelContract


class TestNemotron(ModelContract):
    plugin = "models_nemotron"
    architecture = "NemotronForCausalLM"
    config = {
        "model_type": "nemotron",
        "rms_norm_eps": None,
        "norm_eps": 1e-2,
        "hidden_act": None,
        "partial_rotary_factor": 0.75,
        "attention_bias": True,
        "mlp_bias": True,
    }
    variants = {
        "untied": {},
        "silu": {"hidden_act": "silu"},
        "half a head, tied, without biases": {
            "partial_rotary_factor": None,
            "tie_word_embeddings": True,
            "attention_bias": False,
            "mlp_bias": False,
        },
    }
