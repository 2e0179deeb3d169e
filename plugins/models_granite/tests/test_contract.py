"""Granite against transformers: every field."""

from __future__ import annotations

from inferd.testing import ModelContract

MULTIPLIERS = {
    "attention_multiplier": 0.3,
    "embedding_multiplier": 1.5,
    "residual_multiplier": 0.7,
    "logits_scaling": 0.5,
}


class TestGranite(ModelContract):
    plugin = "models_granite"
    architecture = "GraniteForCausalLM"
    config = {"model_type": "granite", "attention_bias": True, "mlp_bias": True, **MULTIPLIERS}
    variants = {
        "untied": {},
        "tied": {"tie_word_embeddings": True, "attention_bias": False, "mlp_bias": False},
        "gelu": {"hidden_act": "gelu"},
    }


class TestGraniteMoe(ModelContract):
    plugin = "models_granite"
    architecture = "GraniteMoeForCausalLM"
    config = {
        "model_type": "granitemoe",
        "num_hidden_layers": 2,
        "num_local_experts": 5,
        "num_experts_per_tok": 3,
        **MULTIPLIERS,
    }
    variants = {
        "biases": {"attention_bias": True},
        "tied, gelu": {"tie_word_embeddings": True, "hidden_act": "gelu"},
    }
    inert = {"output_router_logits", "router_aux_loss_coef", "num_experts"}
