"""config.json of published checkpoints, as far as it is read: the shapes that must come out."""

from __future__ import annotations

import pytest

from inferd_models_phi.phi import PhiForCausalLM
from inferd_models_phi.phi3 import Phi3ForCausalLM

SIZES = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"),
    *("num_attention_heads", "num_key_value_heads"),
)


def config(*numbers, **fields):
    return dict(zip(SIZES, numbers, strict=False)) | fields


PUBLISHED = {
    "phi-2": (
        PhiForCausalLM,
        config(
            *(51200, 2560, 10240, 32, 32, 32),
            hidden_act="gelu_new",
            partial_rotary_factor=0.4,
            qk_layernorm=False,
        ),
        {"head_dim": 80, "rotated": 32, "qkv_bias": True, "head_bias": True, "tied": False},
    ),
    "Phi-3-mini-4k": (
        Phi3ForCausalLM,
        config(32064, 3072, 8192, 32, 32, 32, sliding_window=2047, rope_scaling=None),
        {"head_dim": 96, "rotated": 96, "windows": (2047,) * 32, "qkv_bias": False},
    ),
    "Phi-4-mini": (
        Phi3ForCausalLM,
        config(
            *(200064, 3072, 8192, 32, 24, 8),
            partial_rotary_factor=0.75,
            sliding_window=262144,
            tie_word_embeddings=True,
        ),
        {"head_dim": 128, "rotated": 96, "num_kv_heads": 8, "tied": True},
    ),
    "phi-4": (
        Phi3ForCausalLM,
        config(100352, 5120, 17920, 40, 40, 10, sliding_window=None),
        {"head_dim": 128, "windows": (None,) * 40},
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_shape_is_the_published_one(name):
    kind, hf, expected = PUBLISHED[name]
    shape = kind.read_shape(hf)
    assert {field: getattr(shape, field) for field in expected} == expected
