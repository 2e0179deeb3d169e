"""What DeepSeek's GGUF files say of themselves."""

from __future__ import annotations

from typing import Any

import pytest

from inferd.errors import CheckpointError
from inferd.loading.gguf_names import end_ids, hf_config, hf_name

LITE = {  # DeepSeek-V2-Lite, as converted in 2024
    "block_count": 27,
    "context_length": 163840,
    "embedding_length": 2048,
    "feed_forward_length": 10944,
    "attention.head_count": 16,
    "attention.head_count_kv": 16,
    "attention.key_length": 192,
    "attention.value_length": 128,
    "attention.kv_lora_rank": 512,
    "attention.layer_norm_rms_epsilon": 9.999999974752427e-07,
    "leading_dense_block_count": 1,
    "expert_count": 64,
    "expert_used_count": 6,
    "expert_shared_count": 2,
    "expert_feed_forward_length": 1408,
    "expert_weights_scale": 1.0,
    "rope.dimension_count": 64,
    "rope.freq_base": 10000.0,
    "rope.scaling.type": "yarn",
    "rope.scaling.factor": 40.0,
    "rope.scaling.original_context_length": 4096,
    "rope.scaling.yarn_log_multiplier": 0.07069999724626541,
}
V2 = LITE | {
    "block_count": 60,
    "attention.q_lora_rank": 1536,
    "expert_count": 160,
    "expert_weights_scale": 16.0,
}
V3 = V2 | {  # of January 2025, before groups had keys
    "block_count": 61,
    "expert_count": 256,
    "expert_weights_scale": 2.5,
    "expert_weights_norm": True,
    "expert_gating_func": 2,
    "rope.scaling.yarn_log_multiplier": 0.10000000149011612,
}
KIMI = V3 | {  # of July 2025
    "expert_count": 384,
    "attention.head_count_kv": 1,
    "attention.key_length": 576,
    "attention.value_length": 512,
    "attention.key_length_mla": 192,
    "attention.value_length_mla": 128,
    "rope.scaling.yarn_beta_fast": 1.0,
}


def metadata(fields: dict[str, Any]) -> dict[str, Any]:
    return {"general.architecture": "deepseek2"} | {f"deepseek2.{k}": v for k, v in fields.items()}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            LITE,
            {
                "architectures": ["DeepseekV2ForCausalLM"],
                "num_key_value_heads": 16,
                "q_lora_rank": None,
                "qk_nope_head_dim": 128,
                "qk_rope_head_dim": 64,
                "v_head_dim": 128,
                "topk_method": "greedy",
                "n_group": 1,
                "moe_intermediate_size": 1408,
                "first_k_dense_replace": 1,
            },
        ),
        (V2, {"topk_method": "group_limited_greedy", "n_group": 8, "topk_group": 3}),
        (
            V3,
            {
                "architectures": ["DeepseekV3ForCausalLM"],
                "model_type": "deepseek_v3",
                "norm_topk_prob": True,
                "routed_scaling_factor": 2.5,
                "n_group": 8,
                "topk_group": 4,
            },
        ),
        (V3 | {"expert_group_count": 4, "expert_group_used_count": 2}, {"n_group": 4}),
        (
            KIMI,
            {
                "num_key_value_heads": 16,
                "q_lora_rank": 1536,
                "qk_nope_head_dim": 128,
                "v_head_dim": 128,
                "n_group": 1,
                "topk_group": 1,
            },
        ),
    ],
)
def test_configuration(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    config = hf_config(metadata(fields), 100, tied=False)
    assert {key: config.get(key) for key in expected} == expected


@pytest.mark.parametrize(("fields", "scale"), [(LITE, 0.707), (KIMI, 1.0)])
def test_rope_scaling_is_as_published(fields: dict[str, Any], scale: float) -> None:
    assert hf_config(metadata(fields), 100, tied=False)["rope_scaling"] == {
        "rope_type": "yarn",
        "factor": 40.0,
        "original_max_position_embeddings": 4096,
        "mscale": scale,
        "mscale_all_dim": scale,
    } | ({"beta_fast": 1.0} if fields is KIMI else {})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"expert_gating_func": 3}, "expert_gating_func is 3, expected 1, a softmax, or 2, a"),
        (
            {"expert_weights_norm": True},
            "expert_weights_norm is True, expected false for .*softmax",
        ),
        ({"rope.scaling.yarn_log_multiplier": None}, "yarn_log_multiplier is missing, expected"),
        (KIMI | {"rope.scaling.yarn_beta_fast": None}, "yarn_beta_fast is missing, .*K2's 1 or"),
        ({"rope.scaling.yarn_attn_factor": 0.5}, "yarn_attn_factor is 0.5, expected none, or 1"),
        ({"attention.temperature_scale": 0.1}, "temperature_scale is 0.1, expected none, or 1"),
        ({"rope.dimension_count": 192}, "dimension_count is 192, expected a number from 1 to 191"),
        ({"attention.kv_lora_rank": None}, "kv_lora_rank is missing"),
        ({"expert_count": None}, "expert_count is missing"),
        ({"leading_dense_block_count": 28}, "block_count is 28, expected a number from 0 to 27"),
    ],
)
def test_what_cannot_be_computed_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        hf_config(metadata(LITE | fields), 8, tied=True)


def test_answers_of_kimi_end_with_their_turn() -> None:
    tokens = {"tokenizer.ggml.tokens": ["[EOS]", "<|im_end|>"], "tokenizer.ggml.eos_token_id": 0}
    assert end_ids(metadata({}) | tokens) == [0, 1]


def test_the_routers_bias_is_a_tensor_of_its_own() -> None:
    name = hf_name("blk.1.exp_probs_b.bias", "deepseek_v3")
    assert name == "model.layers.1.mlp.gate.e_score_correction_bias"
