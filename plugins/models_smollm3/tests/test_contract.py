"""SmolLM3 against transformers: every field."""

from __future__ import annotations

from inferd.testing import ModelContract

TYPES = ["full_attention", "sliding_attention", "sliding_attention", "sliding_attention"]


class TestSmolLM3(ModelContract):
    plugin = "models_smollm3"
    architecture = "SmolLM3ForCausalLM"
    config = {"model_type": "smollm3", "attention_bias": True, "mlp_bias": True}
    variants = {
        "one of two, gelu": {"no_rope_layer_interval": 2, "hidden_act": "gelu"},
        "named, tied, with windows": {
            "no_rope_layers": [1, 0, 0, 1],
            "tie_word_embeddings": None,
            "attention_bias": False,
            "mlp_bias": False,
            "use_sliding_window": True,
            "sliding_window": 24,
        },
        "windows named by layer": {
            "layer_types": TYPES,
            "use_sliding_window": True,
            "sliding_window": 24,
        },
    }
