"""The GPT family against transformers: every architecture and every field."""

from __future__ import annotations

from typing import Any

from inferd.testing import ModelContract

NOT_LLAMA: dict[str, Any] = {
    "head_dim": None,
    "rms_norm_eps": None,
    "rope_theta": None,
    "num_key_value_heads": None,
}
GPT: dict[str, Any] = {
    **NOT_LLAMA,
    "hidden_size": None,
    "num_hidden_layers": None,
    "num_attention_heads": None,
    "intermediate_size": None,
    "hidden_act": None,
    "max_position_embeddings": None,
    "n_embd": 96,
    "n_layer": 4,
    "n_head": 6,
    "n_inner": 120,
    "n_positions": 200,
    "layer_norm_epsilon": 1e-2,
    "activation_function": "silu",
}


class TestGPT2(ModelContract):
    plugin = "models_gpt"
    architecture = "GPT2LMHeadModel"
    config = {"model_type": "gpt2", **GPT}
    variants = {
        "untied": {},
        "tied": {"tie_word_embeddings": None, "activation_function": None, "n_inner": None},
        "scaled by layer": {"scale_attn_by_inverse_layer_idx": True, "scale_attn_weights": False},
        "not scaled": {"scale_attn_weights": False},
    }
    mutations = {"n_positions": 100}
    inert = {"add_cross_attention", "reorder_and_upcast_attn", "max_position_embeddings"}


class TestGPTJ(ModelContract):
    plugin = "models_gpt"
    architecture = "GPTJForCausalLM"
    config = {"model_type": "gptj", "rotary_dim": 8, **GPT}
    variants = {
        "untied": {},
        "tied, whole heads": {"tie_word_embeddings": True, "rotary_dim": 16, "n_inner": None},
    }
    inert = {"max_position_embeddings", "n_positions"}


class TestGPTNeoX(ModelContract):
    plugin = "models_gpt"
    architecture = "GPTNeoXForCausalLM"
    config = {
        "model_type": "gpt_neox",
        **NOT_LLAMA,
        "hidden_size": 96,
        "layer_norm_eps": 1e-2,
        "rotary_emb_base": 500,
        "rotary_pct": 0.75,
    }
    variants = {
        "parallel": {},
        "one after the other, tied": {
            "use_parallel_residual": False,
            "attention_bias": False,
            "tie_word_embeddings": True,
            "hidden_act": "relu",
        },
        "a quarter of a head": {
            "rotary_pct": None,
            "hidden_act": None,
            "rope_scaling": {"type": "linear", "factor": 2.5},
        },
        "rope_parameters": {
            "rotary_pct": None,
            "rotary_emb_base": None,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 700.0,
                "partial_rotary_factor": 0.5,
            },
        },
    }


class TestOPT(ModelContract):
    plugin = "models_gpt"
    architecture = "OPTForCausalLM"
    config = {
        "model_type": "opt",
        **NOT_LLAMA,
        "hidden_size": 96,
        "intermediate_size": None,
        "hidden_act": None,
        "ffn_dim": 120,
        "activation_function": "gelu",
        "word_embed_proj_dim": 96,
    }
    variants = {
        "untied, without biases": {"enable_bias": False},
        "tied": {"tie_word_embeddings": None, "activation_function": None},
    }
    cannot = {
        "do_layer_norm_before",
        "_remove_final_layer_norm",
        "layer_norm_elementwise_affine",
        "word_embed_proj_dim",
    }
    mutations = {
        "do_layer_norm_before": False,
        "_remove_final_layer_norm": True,
        "layer_norm_elementwise_affine": False,
    }
    inert = {"k_proj.bias"}  # the same for every key, where heads are not rotated


class TestStarcoder2(ModelContract):
    plugin = "models_gpt"
    architecture = "Starcoder2ForCausalLM"
    config = {
        "model_type": "starcoder2",
        "rms_norm_eps": None,
        "norm_epsilon": 1e-2,
        "num_key_value_heads": 3,
        "sliding_window": 24,
    }
    variants = {
        "untied": {},
        "tied, without biases": {
            "tie_word_embeddings": None,
            "hidden_act": None,
            "use_bias": False,
            "sliding_window": None,
        },
    }


class TestGptOss(ModelContract):
    plugin = "models_gpt"
    architecture = "GptOssForCausalLM"
    config = {
        "model_type": "gpt_oss",
        "rope_theta": None,
        "swiglu_alpha": 1.702,
        "swiglu_limit": 7.0,
        "num_local_experts": 5,
        "num_experts_per_tok": 3,
        "sliding_window": 24,
        "rope_parameters": {
            "rope_type": "yarn",
            "rope_theta": 500.0,
            "factor": 4.0,
            "original_max_position_embeddings": 32,
            "truncate": False,
        },
    }
    variants = {
        "a window in every other layer": {},
        "windows named by layer, tied": {
            "layer_types": ["full_attention", "sliding_attention"] * 2,
            "attention_bias": False,
            "tie_word_embeddings": True,
        },
    }
    cannot = {"swiglu_alpha", "swiglu_limit"}
    inert = {"output_router_logits", "router_aux_loss_coef", "num_experts"}
