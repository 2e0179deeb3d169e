"""config.json of published checkpoints, as far as it is read: the shapes that must come out."""

from __future__ import annotations

import math

import pytest
import torch

from inferd.contracts.model import ModelConfig
from inferd.errors import UnsupportedModel
from inferd_models_deepseek.deepseek_v2 import DeepseekV2ForCausalLM
from inferd_models_deepseek.deepseek_v3 import DeepseekV3ForCausalLM

SIZES = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"),
    *("num_attention_heads", "num_key_value_heads", "moe_intermediate_size"),
    *("n_routed_experts", "n_shared_experts", "num_experts_per_tok", "first_k_dense_replace"),
)
HEADS = {
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
}
YARN = {
    "type": "yarn",
    "factor": 40,
    "original_max_position_embeddings": 4096,
    "beta_fast": 32,
    "beta_slow": 1,
}


def config(*numbers, **fields):
    return dict(zip(SIZES, numbers, strict=True)) | HEADS | fields


PUBLISHED = {
    "DeepSeek-V2-Lite": (
        DeepseekV2ForCausalLM,
        config(
            *(102400, 2048, 10944, 27, 16, 16, 1408, 64, 2, 6, 1),
            q_lora_rank=None,
            n_group=1,
            topk_group=1,
            topk_method="greedy",
            routed_scaling_factor=1.0,
            rope_scaling={**YARN, "mscale": 0.707, "mscale_all_dim": 0.707},
        ),
        {"query_rank": None, "num_groups": 1, "shared_size": 2816, "expert_size": 1408},
    ),
    "DeepSeek-V2": (
        DeepseekV2ForCausalLM,
        config(
            *(102400, 5120, 12288, 60, 128, 128, 1536, 160, 2, 6, 1),
            q_lora_rank=1536,
            n_group=8,
            topk_group=3,
            topk_method="group_limited_greedy",
            routed_scaling_factor=16.0,
            rope_scaling={**YARN, "mscale": 0.707, "mscale_all_dim": 0.707},
        ),
        {"query_rank": 1536, "num_groups": 8, "num_chosen_groups": 3, "routed_scale": 16.0},
    ),
    "DeepSeek-V3": (
        DeepseekV3ForCausalLM,
        config(
            *(129280, 7168, 18432, 61, 128, 128, 2048, 256, 1, 8, 3),
            q_lora_rank=1536,
            n_group=8,
            topk_group=4,
            topk_method="noaux_tc",
            norm_topk_prob=True,
            routed_scaling_factor=2.5,
            num_nextn_predict_layers=1,
            rope_scaling={**YARN, "mscale": 1.0, "mscale_all_dim": 1.0},
        ),
        {"shared_size": 2048, "num_groups": 8, "renormalized": True, "dense_layers": 3},
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_shape_is_the_published_one(name):
    kind, hf, expected = PUBLISHED[name]
    shape = kind.read_shape(hf)
    assert {field: getattr(shape, field) for field in expected} == expected


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_cache_has_the_bytes_of_the_papers_formula(name):
    """(d_c + d_h^R) l elements per token, table 1 of arXiv:2405.04434: 9/2 of a head's size."""
    kind, hf, _ = PUBLISHED[name]
    layers, head = hf["num_hidden_layers"], hf["v_head_dim"]
    spec = kind.read_shape(hf).kv_spec(torch.bfloat16)
    assert spec.bytes_per_token * layers == 9 / 2 * head * layers * 2


def test_v3_takes_70_kilobytes_per_token():
    """As its report's successors count: 61 layers of 576 numbers of two bytes."""
    kind, hf, _ = PUBLISHED["DeepSeek-V3"]
    assert 61 * kind.read_shape(hf).kv_spec(torch.bfloat16).bytes_per_token == 70_272


def test_attention_is_asked_for_one_head_of_latents():
    kind, hf, _ = PUBLISHED["DeepSeek-V2-Lite"]
    asked = kind.attention_request(ModelConfig("V2", hf, torch.bfloat16, 64, 102400), "cpu", 16)
    assert (asked.num_heads, asked.num_kv_heads) == (16, 1)
    assert (asked.head_dim, asked.value_dim) == (576, 512)


def test_yarn_scales_scores_too():
    """V3's own code: mscale = 0.1 * mscale_all_dim * ln(factor) + 1, squared."""
    kind, hf, _ = PUBLISHED["DeepSeek-V3"]
    expected = 192**-0.5 * (0.1 * math.log(40) + 1) ** 2
    assert kind.read_shape(hf).score_scale == pytest.approx(expected)


@pytest.mark.parametrize(
    ("kind", "layers"), [(DeepseekV3ForCausalLM, 61), (DeepseekV2ForCausalLM, 60)]
)
def test_layers_that_draft_tokens_are_left_out(kind, layers):
    """V3's come after its last layer; in V2 such a layer is a surplus one."""
    model = kind.__new__(kind)
    model.__dict__["_num_layers"] = layers
    assert model.ignores("model.layers.61.eh_proj.weight") == (layers == 61)
    assert not model.ignores(f"model.layers.{layers - 1}.eh_proj.weight")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_group": 7}, "n_group is 7, expected a divisor of the 256 experts"),
        ({"n_group": 256}, "two or more in each"),
        ({"topk_group": 9}, "topk_group is 9, expected at most 8 groups"),
        ({"num_key_value_heads": 8}, "num_key_value_heads is 8, expected 128"),
        ({"num_experts_per_tok": 300}, "num_experts_per_tok is 300"),
    ],
)
def test_what_does_not_fit_is_refused(fields, message):
    kind, hf, _ = PUBLISHED["DeepSeek-V3"]
    with pytest.raises(UnsupportedModel, match=message):
        kind.read_shape(hf | fields)


def test_an_unknown_choice_of_experts_is_refused():
    kind, hf, _ = PUBLISHED["DeepSeek-V2"]
    with pytest.raises(UnsupportedModel, match="topk_method is 'noaux_tc', expected greedy or"):
        kind.read_shape(hf | {"topk_method": "noaux_tc"})
