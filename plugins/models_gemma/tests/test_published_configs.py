"""config.json of published checkpoints, as far as it is read: the shapes that must come out."""

from __future__ import annotations

import pytest

from inferd_models_gemma.gemma import GemmaForCausalLM
from inferd_models_gemma.gemma2 import Gemma2ForCausalLM
from inferd_models_gemma.gemma3 import Gemma3ForCausalLM

SIZES = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"),
    *("num_attention_heads", "num_key_value_heads"),
)


def config(*numbers, **fields):
    return dict(zip(SIZES, numbers, strict=False)) | fields


PUBLISHED = {
    "gemma-2b": (
        GemmaForCausalLM,
        config(256000, 2048, 16384, 18, 8, 1, head_dim=256, hidden_act="gelu"),
        {"hidden_act": "gelu_pytorch_tanh", "num_kv_heads": 1, "head_dim": 256, "tied": True},
    ),
    "gemma-2-27b": (
        Gemma2ForCausalLM,
        config(
            *(256000, 4608, 36864, 46, 32, 16),
            head_dim=128,
            hidden_activation="gelu_pytorch_tanh",
            query_pre_attn_scalar=144,
            sliding_window=4096,
            attn_logit_softcapping=50.0,
            final_logit_softcapping=30.0,
        ),
        {
            "scale": 1 / 12,
            "soft_cap": 50.0,
            "logit_cap": 30.0,
            "windows": (4096, None) * 23,
        },
    ),
    "gemma-3-1b": (
        Gemma3ForCausalLM,
        config(
            *(262144, 1152, 6912, 26, 4, 1),
            head_dim=256,
            hidden_activation="gelu_pytorch_tanh",
            query_pre_attn_scalar=256,
            sliding_window=512,
            sliding_window_pattern=6,
            attn_logit_softcapping=None,
            final_logit_softcapping=None,
        ),
        {
            "scale": 1 / 16,
            "soft_cap": None,
            "logit_cap": None,
            "windows": ((512,) * 5 + (None,)) * 4 + (512,) * 2,
        },
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_shape_is_the_published_one(name):
    kind, hf, expected = PUBLISHED[name]
    shape = kind.read_shape(hf)
    assert {field: getattr(shape, field) for field in expected} == expected
