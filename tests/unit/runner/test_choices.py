"""What backends are asked about a model."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from inferd.contracts.model import CausalLM, ModelConfig
from inferd.errors import UnsupportedModel

HEADS = {"num_attention_heads": 8, "hidden_size": 512}


@pytest.mark.parametrize(
    ("hf", "window"),
    [
        ({}, None),
        ({"sliding_window": 64}, 64),
        ({"sliding_window": 64, "use_sliding_window": True}, 64),
        ({"sliding_window": 64, "use_sliding_window": False}, None),
    ],
)
def test_a_window_that_is_switched_off_is_not_asked_for(
    hf: dict[str, Any], window: int | None
) -> None:
    config = ModelConfig("Qwen2ForCausalLM", HEADS | hf, torch.float32, 128, 100)
    request = CausalLM.attention_request(config, "cpu", 16)
    assert request.window == window
    assert (request.num_kv_heads, request.head_dim) == (8, 64)


@pytest.mark.parametrize(
    ("hf", "message"),
    [
        ({"hidden_size": None}, "hidden_size is None, expected a number"),
        ({"num_attention_heads": True}, "num_attention_heads is True"),
    ],
)
def test_heads_that_are_not_said_are_named(hf: dict[str, Any], message: str) -> None:
    config = ModelConfig("Qwen2ForCausalLM", HEADS | hf, torch.float32, 128, 100)
    with pytest.raises(UnsupportedModel, match=message):
        CausalLM.attention_request(config, "cpu", 16)
