"""config.json of published checkpoints, as far as it is read: the shapes that must come out."""

from __future__ import annotations

import pytest

from inferd_models_falcon.falcon import FalconForCausalLM

SIZES = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"),
    *("num_attention_heads", "num_key_value_heads"),
)


def config(*numbers, **fields):
    return dict(zip(SIZES, numbers, strict=False)) | fields


PUBLISHED = {
    "falcon-7b": (
        FalconForCausalLM,
        config(
            *(65024, 4544),
            num_hidden_layers=32,
            num_attention_heads=71,
            alibi=False,
            bias=False,
            multi_query=True,
            new_decoder_architecture=False,
            parallel_attn=True,
        ),
        {"num_kv_heads": 1, "head_dim": 64, "intermediate_size": 18176, "tied": True},
    ),
    "falcon-40b": (
        FalconForCausalLM,
        config(
            *(65024, 8192),
            num_hidden_layers=60,
            num_attention_heads=128,
            num_kv_heads=8,
            multi_query=True,
            new_decoder_architecture=True,
        ),
        {"num_kv_heads": 8, "head_dim": 64, "qkv_bias": False},
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_shape_is_the_published_one(name):
    kind, hf, expected = PUBLISHED[name]
    shape = kind.read_shape(hf)
    assert {field: getattr(shape, field) for field in expected} == expected
