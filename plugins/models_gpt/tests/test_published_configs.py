"""config.json of published checkpoints, as far as it is read: the shapes that must come out."""

from __future__ import annotations

import pytest

from inferd_models_gpt.gpt2 import GPT2LMHeadModel
from inferd_models_gpt.gpt_neox import GPTNeoXForCausalLM
from inferd_models_gpt.gptj import GPTJForCausalLM
from inferd_models_gpt.opt import OPTForCausalLM
from inferd_models_gpt.starcoder2 import Starcoder2ForCausalLM

SIZES = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"),
    *("num_attention_heads", "num_key_value_heads"),
)


def config(*numbers, **fields):
    return dict(zip(SIZES, numbers, strict=False)) | fields


GPT2 = {"vocab_size": 50257, "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024}
GPTJ = {"vocab_size": 50400, "n_embd": 4096, "n_layer": 28, "n_head": 16, "n_inner": None}
PUBLISHED = {
    "gpt2": (
        GPT2LMHeadModel,
        GPT2 | {"activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "n_ctx": 1024},
        {"intermediate_size": 3072, "head_dim": 64, "num_kv_heads": 12, "tied": True},
    ),
    "gpt-j-6b": (
        GPTJForCausalLM,
        GPTJ | {"rotary_dim": 64, "tie_word_embeddings": False},
        {"intermediate_size": 16384, "head_dim": 256, "rotated": 64, "head_bias": True},
    ),
    "pythia-1.4b": (
        GPTNeoXForCausalLM,
        config(
            *(50304, 2048, 8192, 24, 16),
            hidden_act="gelu",
            rotary_pct=0.25,
            rotary_emb_base=10000,
            use_parallel_residual=True,
        ),
        {"head_dim": 128, "rotated": 32, "qkv_bias": True, "tied": False},
    ),
    "opt-1.3b": (
        OPTForCausalLM,
        config(
            *(50272, 2048),
            num_hidden_layers=24,
            num_attention_heads=32,
            ffn_dim=8192,
            activation_function="relu",
            word_embed_proj_dim=2048,
            do_layer_norm_before=True,
            _remove_final_layer_norm=False,
        ),
        {"intermediate_size": 8192, "head_dim": 64, "tied": True, "mlp_bias": True},
    ),
    "starcoder2-3b": (
        Starcoder2ForCausalLM,
        config(49152, 3072, 12288, 30, 24, 2, use_bias=True, sliding_window=4096),
        {"num_kv_heads": 2, "windows": (4096,) * 30, "tied": True, "o_bias": True},
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_shape_is_the_published_one(name):
    kind, hf, expected = PUBLISHED[name]
    shape = kind.read_shape(hf)
    assert {field: getattr(shape, field) for field in expected} == expected
