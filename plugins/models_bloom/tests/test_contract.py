"""BLOOM against transformers: every field."""

from __future__ import annotations

from inferd.testing import ModelContract


class TestBloom(ModelContract):
    plugin = "models_bloom"
    architecture = "BloomForCausalLM"
    config = {
        "model_type": "bloom",
        "hidden_size": 96,
        "n_layer": 3,
        "n_head": 6,
        "layer_norm_epsilon": 1e-2,
        "seq_length": 200,
        **dict.fromkeys(
            (
                "num_hidden_layers",
                "num_attention_heads",
                "num_key_value_heads",
                "intermediate_size",
                "head_dim",
                "hidden_act",
                "rms_norm_eps",
                "rope_theta",
            )
        ),
    }
    variants = {
        "untied": {},
        "tied, a power of two heads": {"tie_word_embeddings": None, "n_head": 4},
        "the other names": {
            "hidden_size": None,
            "n_embed": 96,
            "n_layer": None,
            "num_hidden_layers": 3,
            "n_head": None,
            "num_attention_heads": 6,
        },
    }
    cannot = {"apply_residual_connection_post_layernorm"}
    mutations = {"apply_residual_connection_post_layernorm": True}
    inert = {"pretraining_tp", "slow_but_exact"}
