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


class TestMiniCPM(ModelContract):
    """transformers has no MiniCPM 1, 2 or 4: a Granite with its numbers is the oracle."""

    plugin = "models_granite"
    architecture = "MiniCPMForCausalLM"
    oracle_architecture = "GraniteForCausalLM"
    config = {
        "model_type": "granite",
        "attention_bias": True,
        "attention_multiplier": 0.25,  # 1 / sqrt(head_dim), which is 16
        "scale_emb": 3.0,
        "embedding_multiplier": 3.0,
        "scale_depth": 1.4,
        "residual_multiplier": 0.7,  # by sqrt(num_hidden_layers), which is 2
        "dim_model_base": 144,
        "logits_scaling": 0.5,  # hidden_size, which is 72, by that
    }
    variants = {
        "untied": {"tie_word_embeddings": False, "num_experts": 0},
        "tied, gelu": {"hidden_act": "gelu", "tie_word_embeddings": True, "attention_bias": False},
    }
    cannot = {"num_experts"}
    mutations = {"num_experts": 8}
    inert = {*MULTIPLIERS, "mlp_bias"}  # of the Granite


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
