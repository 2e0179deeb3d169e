"""config.json of published checkpoints, as far as it is read: the shapes that must come out."""

from __future__ import annotations

import pytest

from inferd.errors import UnsupportedModel
from inferd_models_mixtral.mixtral import MixtralForCausalLM
from inferd_models_mixtral.qwen2_moe import Qwen2MoeForCausalLM
from inferd_models_mixtral.qwen3_moe import Qwen3MoeForCausalLM

SIZES = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"),
    *("num_attention_heads", "num_key_value_heads"),
)


def config(*numbers, **fields):
    return dict(zip(SIZES, numbers, strict=False)) | fields


PUBLISHED = {
    "Mixtral-8x7B": (
        MixtralForCausalLM,
        config(
            *(32000, 4096, 14336, 32, 32, 8),
            num_local_experts=8,
            num_experts_per_tok=2,
            sliding_window=None,
        ),
        {"num_experts": 8, "num_chosen": 2, "expert_size": 14336, "windows": (None,) * 32},
    ),
    "Qwen1.5-MoE-A2.7B": (
        Qwen2MoeForCausalLM,
        config(
            *(151936, 2048, 5632, 24, 16, 16),
            num_experts=60,
            num_experts_per_tok=4,
            moe_intermediate_size=1408,
            shared_expert_intermediate_size=5632,
            norm_topk_prob=False,
            use_sliding_window=False,
            sliding_window=32768,
        ),
        {"num_chosen": 4, "shared_size": 5632, "renormalized": False, "qkv_bias": True},
    ),
    "Qwen3-30B-A3B": (
        Qwen3MoeForCausalLM,
        config(
            *(151936, 2048, 6144, 48, 32, 4),
            head_dim=128,
            num_experts=128,
            num_experts_per_tok=8,
            moe_intermediate_size=768,
            norm_topk_prob=True,
            mlp_only_layers=[],
            use_sliding_window=False,
        ),
        {"expert_size": 768, "renormalized": True, "dense_layers": frozenset(), "head_dim": 128},
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_shape_is_the_published_one(name):
    kind, hf, expected = PUBLISHED[name]
    shape = kind.read_shape(hf)
    assert {field: getattr(shape, field) for field in expected} == expected


def test_more_experts_for_a_token_than_there_are_is_refused():
    kind, hf, _ = PUBLISHED["Mixtral-8x7B"]
    with pytest.raises(UnsupportedModel, match="num_experts_per_tok is 9, expected at most"):
        kind.read_shape(hf | {"num_experts_per_tok": 9})
