"""Falcon against transformers: every layout and every field."""

from __future__ import annotations

from inferd.testing import ModelContract

# with 12 heads some slopes are no powers of two; transformers' eager attention adds them twice
ALIBI = {"alibi": True, "num_attention_heads": 12, "attn_implementation": "sdpa"}


class TestFalcon(ModelContract):
    plugin = "models_falcon"
    architecture = "FalconForCausalLM"
    config = {
        "model_type": "falcon",
        "hidden_size": 96,
        "ffn_hidden_size": 120,
        "activation": "silu",
        "layer_norm_epsilon": 1e-2,
        "bias": True,
        **dict.fromkeys(
            (
                "num_key_value_heads",
                "intermediate_size",
                "head_dim",
                "hidden_act",
                "rms_norm_eps",
            )
        ),
    }
    variants = {
        "one KV head": {"activation": None, "ffn_hidden_size": None},
        "as many KV heads as heads, one after the other": {
            "multi_query": False,
            "parallel_attn": False,
        },
        "alibi": {**ALIBI, "multi_query": False, "parallel_attn": False},
        "alibi, one KV head": ALIBI,
        "new": {"new_decoder_architecture": True, "num_kv_heads": 3, "tie_word_embeddings": None},
        "new, one norm": {
            "new_decoder_architecture": True,
            "num_kv_heads": 2,
            "num_ln_in_parallel_attn": 1,
            "bias": False,
        },
    }
    mutations = {"num_ln_in_parallel_attn": 2}
