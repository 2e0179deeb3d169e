"""What backends are asked about a model."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from inferd.contracts.model import ModelConfig
from inferd.runner.choices import attention_request

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
    request = attention_request("cpu", config, 16)
    assert request.window == window
    assert (request.num_kv_heads, request.head_dim) == (8, 64)
