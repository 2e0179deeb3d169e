"""What backends are asked about a model."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from inferd.config.engine import EngineConfig
from inferd.contracts.model import CausalLM, ModelConfig
from inferd.errors import UnsupportedModel
from inferd.host.host import Host
from inferd.host.selection import Selection
from inferd.runner.choices import quantization_method

HEADS = {"num_attention_heads": 8, "hidden_size": 512}


@pytest.mark.parametrize(
    ("method", "line"),
    [
        ("nothing", "known: .*unquantized\n.*pip install inferd-quant-nothing\n"),
        ("odd-one", r"pip install -e \./plugins/quant_odd_one"),
    ],
)
def test_a_method_that_no_plugin_has_names_what_to_install(method: str, line: str) -> None:
    hf = {"quantization_config": {"quant_method": method}}
    with pytest.raises(UnsupportedModel, match=line):
        quantization_method(Host(), EngineConfig.of("m"), "cpu", hf)


def test_a_method_whose_plugin_is_left_out_says_so() -> None:
    host = Host(Selection.parse("none"))
    host.installed["odd"] = host.installed["builtin"]
    hf = {"compression_config": {"quant_method": "odd"}}
    with pytest.raises(UnsupportedModel, match="'odd' is installed and left out; add it"):
        quantization_method(host, EngineConfig.of("m"), "cpu", hf)


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
