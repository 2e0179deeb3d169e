"""config.json of published checkpoints, as far as it is read: the shapes that must come out."""

from __future__ import annotations

import pytest

from inferd_models_bloom.bloom import BloomForCausalLM, alibi_slopes

PUBLISHED = {
    "bloom-560m": (
        BloomForCausalLM,
        {
            "vocab_size": 250880,
            "n_embed": 1024,
            "n_layer": 24,
            "num_attention_heads": 16,
            "layer_norm_epsilon": 1e-5,
            "apply_residual_connection_post_layernorm": False,
            "seq_length": 2048,
        },
        {"hidden_size": 1024, "intermediate_size": 4096, "head_dim": 64, "tied": True},
    ),
    "bloom": (
        BloomForCausalLM,
        {"vocab_size": 250880, "hidden_size": 14336, "n_layer": 70, "num_attention_heads": 112},
        {"head_dim": 128, "num_layers": 70, "num_kv_heads": 112},
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_shape_is_the_published_one(name):
    kind, hf, expected = PUBLISHED[name]
    shape = kind.read_shape(hf)
    assert {field: getattr(shape, field) for field in expected} == expected


def test_slopes_are_those_of_the_paper():
    assert alibi_slopes(8) == tuple(2.0**-step for step in range(1, 9))
    assert alibi_slopes(3) == (2.0**-4, 2.0**-8, 2.0**-2)
