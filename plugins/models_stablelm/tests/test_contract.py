"""StableLM against transformers: every field."""

from __future__ import annotations

from inferd.testing import ModelContract


class TestStableLm(ModelContract):
    plugin = "models_stablelm"
    architecture = "StableLmForCausalLM"
    config = {
        "model_type": "stablelm",
        "head_dim": None,
        "hidden_size": 96,
        "rms_norm_eps": None,
        "layer_norm_eps": 1e-2,
        "partial_rotary_factor": 0.75,
        "use_qkv_bias": True,
    }
    variants = {
        "one after the other": {},
        "parallel, QK-norm": {"use_parallel_residual": True, "qk_layernorm": True},
        "a quarter of a head, tied": {
            "partial_rotary_factor": None,
            "use_qkv_bias": False,
            "tie_word_embeddings": True,
            "hidden_act": "gelu",
        },
    }
