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
