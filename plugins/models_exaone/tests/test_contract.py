"""EXAONE 4 against transformers: every field."""

from __future__ import annotations

from inferd.testing import ModelContract
from inferd.testing.model_variants import NULL

TYPES = ["full_attention", "sliding_attention", "sliding_attention", "sliding_attention"]


class TestExaone4(ModelContract):
    plugin = "models_exaone"
    architecture = "Exaone4ForCausalLM"
    config = {"model_type": "exaone4", "sliding_window": 24}
    variants = {
        "windows by a pattern": {"sliding_window_pattern": 3, "hidden_act": "gelu"},
        "windows named by layer, tied": {"layer_types": TYPES, "tie_word_embeddings": True},
        "without windows": {"sliding_window": NULL, "layer_types": ["full_attention"] * 4},
    }
