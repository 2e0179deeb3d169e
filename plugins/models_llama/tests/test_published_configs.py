"""config.json of published checkpoints, as far as it is read: the shapes that must come out."""

from __future__ import annotations

import pytest

from inferd.errors import UnsupportedModel
from inferd_models_llama.llama import LlamaForCausalLM
from inferd_models_llama.mistral import MistralForCausalLM
from inferd_models_llama.qwen2 import Qwen2ForCausalLM
from inferd_models_llama.qwen3 import Qwen3ForCausalLM

SIZES = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers")
HEADS = ("num_attention_heads", "num_key_value_heads")


def config(*numbers, **fields):
    return dict(zip(SIZES + HEADS, numbers, strict=False)) | fields


PUBLISHED = {
    "Llama-2-7b": (
        LlamaForCausalLM,
        config(32000, 4096, 11008, 32, 32, 32, rms_norm_eps=1e-5, rope_scaling=None),
        {"head_dim": 128, "num_kv_heads": 32, "tied": False, "qkv_bias": False, "mlp_bias": False},
    ),
    "a Llama from before GQA": (
        LlamaForCausalLM,
        config(32000, 4096, 11008, 32, 32, num_key_value_heads=None),
        {"num_kv_heads": 32},
    ),
    "Llama-3.2-1B": (
        LlamaForCausalLM,
        config(128256, 2048, 8192, 16, 32, 8, head_dim=64, tie_word_embeddings=True),
        {"head_dim": 64, "num_kv_heads": 8, "tied": True},
    ),
    "Mistral-7B-v0.1": (
        MistralForCausalLM,
        config(32000, 4096, 14336, 32, 32, 8, sliding_window=4096),
        {"windows": (4096,) * 32, "head_dim": 128},
    ),
    "Mistral-7B-v0.3": (
        MistralForCausalLM,
        config(32768, 4096, 14336, 32, 32, 8, sliding_window=None),
        {"windows": (None,) * 32},
    ),
    "Mistral-Nemo": (
        MistralForCausalLM,
        config(131072, 5120, 14336, 40, 32, 8, head_dim=128, sliding_window=None),
        {"head_dim": 128},
    ),
    "Qwen2.5-7B": (
        Qwen2ForCausalLM,
        config(
            *(152064, 3584, 18944, 28, 28, 4),
            use_sliding_window=False,
            sliding_window=131072,
            max_window_layers=28,
        ),
        {"windows": (None,) * 28, "qkv_bias": True, "o_bias": False, "head_dim": 128},
    ),
    "Qwen3-0.6B": (
        Qwen3ForCausalLM,
        config(
            *(151936, 1024, 3072, 28, 16, 8),
            head_dim=128,
            attention_bias=False,
            tie_word_embeddings=True,
            use_sliding_window=False,
            sliding_window=None,
            max_window_layers=28,
        ),
        {"head_dim": 128, "qkv_bias": False, "tied": True, "windows": (None,) * 28},
    ),
}


def shape_of(kind, hf):
    return kind.read_shape(hf)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_shape_is_the_published_one(name):
    kind, hf, expected = PUBLISHED[name]
    shape = shape_of(kind, hf)
    assert {field: getattr(shape, field) for field in expected} == expected


@pytest.mark.parametrize(
    ("kind", "default", "null"),
    [(LlamaForCausalLM, 32, 32), (MistralForCausalLM, 8, 32), (Qwen2ForCausalLM, 32, 32)],
)
def test_kv_heads_that_are_absent_or_null_are_what_transformers_takes(kind, default, null):
    hf = config(100, 4096, 64, 1, 32)
    assert shape_of(kind, hf).num_kv_heads == default
    assert shape_of(kind, hf | {"num_key_value_heads": None}).num_kv_heads == null


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"num_key_value_heads": 5}, r"num_attention_heads \(32\) is not a multiple .* \(5\)"),
        ({"hidden_size": None}, "hidden_size is None, expected a whole number"),
        ({"head_dim": True}, "head_dim is True"),
        ({"rms_norm_eps": "1e-5"}, "rms_norm_eps is '1e-5', expected a number"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings is 'no', expected true or false"),
        ({"use_sliding_window": True, "sliding_window": 0}, "sliding_window is 0"),
        ({"use_sliding_window": True, "layer_types": ["full_attention"]}, "layer_types must name"),
        ({"use_sliding_window": True, "layer_types": [["a"]] * 2}, "layer_types must name"),
    ],
)
def test_what_does_not_fit_is_named(fields, named):
    with pytest.raises(UnsupportedModel, match=named):
        shape_of(Qwen2ForCausalLM, config(100, 64, 64, 2, 32, 4) | fields)
