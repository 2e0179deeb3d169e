"""inferd plan: counts from config.json alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from inferd.cli import main
from inferd.cli.plan_devices import Device
from inferd.cli.plan_sizes import plan
from inferd.config.engine import EngineConfig
from inferd.host.host import Host
from inferd.runner.outline import outline

LLAMA_8B = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-5,
    "torch_dtype": "bfloat16",
}
GIB = 1 << 30


@pytest.fixture
def place(monkeypatch, tmp_path) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("INFERD_PLUGINS", raising=False)
    return tmp_path


def write(place: Path, **changes) -> str:
    (place / "config.json").write_text(json.dumps(LLAMA_8B | changes))
    return str(place)


def outlined(place: Path, **changes):
    config = EngineConfig.of(write(place, **changes))
    return outline(config, Host(), LLAMA_8B | changes, lambda stored: stored)


def device(free: int) -> Device:
    return Device("a box", free, lambda left: left, {}, lambda stored: stored, False)


def planned(capsys, *words: str) -> dict:
    assert main(["plan", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", ["llama", "mixtral"])
def test_weights_are_counted_as_transformers_has_them(place, name):
    sizes = {"num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 96, "vocab_size": 500}
    hf = {"num_attention_heads": 4, "num_key_value_heads": 2, "num_local_experts": 4, **sizes}
    config = AutoConfig.for_model(name, **hf)
    with torch.device("meta"):
        expected = AutoModelForCausalLM.from_config(config).num_parameters()
    own = {**config.to_dict(), "architectures": [f"{name.title()}ForCausalLM"]}
    found = outline(EngineConfig.of("m"), Host(), own, lambda stored: stored)
    assert found.num_weights == expected


def test_gguf_stays_packed(place, capsys):
    pytest.importorskip("inferd_quant_gguf")
    stored = {"quant_method": "gguf", "storage": "gguf_q4_k"}
    (place / "config.json").write_text(json.dumps(LLAMA_8B | {"quantization_config": stored}))
    found = planned(capsys, str(place), "--gpu", "h100")
    assert found["bits"] == 4
    assert found["weight_bytes"] < found["num_weights"]


def test_eight_billion_on_a_gpu(place, capsys):
    found = planned(capsys, write(place), "--gpu", "h100")
    assert found["num_weights"] == 8_030_261_248
    assert found["weight_bytes"] == 2 * found["num_weights"]
    assert found["kv_bytes_per_token"] == 2 * 32 * 8 * 128 * 2
    assert found["flags"] == []
    for length, count in found["at_once"].items():
        assert count == found["kv_tokens"] // int(length)


def test_a_context_that_does_not_fit_is_shortened(place, capsys):
    found = planned(capsys, write(place), "--gpu", "l4")
    assert found["max_model_len"] < 131072
    assert found["flags"] == ["--max-model-len", str(found["max_model_len"])]
    assert found["at_once"][str(found["max_model_len"])] == 1
    assert main(["plan", str(place), "--gpu", "l4"]) == 0
    text = capsys.readouterr().out
    assert f"inferd serve {place} --max-model-len {found['max_model_len']}" in text


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--gpu", "t4"], 4, "GPUs that have the room: a10"),
        (["--gpu", "l4", "--max-model-len", "131072"], 4, "accept shorter sequences"),
        (["--gpu", "h1000"], 2, "did you mean h100?"),
    ],
)
def test_what_does_not_fit_says_what_would(place, capsys, words, code, message):
    assert main(["plan", write(place), *words]) == code
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(("group_size", "bits"), [(128, 4.1875), (-1, 4.006)])
def test_quantized_layers_take_their_bits(place, group_size, bits):
    """And 24 for the scale and the zero point of a group."""
    pytest.importorskip("inferd_quant_awq")
    whole = outlined(place)
    stored = {"quant_method": "awq", "bits": 4, "group_size": group_size}
    quantized = outlined(place, quantization_config=stored)
    embeddings = 2 * 128256 * 4096 * 2
    layers = whole.weight_bytes - embeddings
    assert quantized.bits == 4
    assert quantized.weight_bytes - embeddings == pytest.approx(layers * bits / 16, rel=1e-3)


def test_windows_keep_only_what_they_see(place):
    """Mistral's window of 4,096 tokens: long contexts cost no more."""
    changes = {"architectures": ["MistralForCausalLM"], "sliding_window": 4096}
    config = EngineConfig.of(write(place, **changes))
    found = outline(config, Host(), LLAMA_8B | changes, lambda stored: stored)
    counts = plan(found, device(60 * GIB), config).at_once
    assert counts[131072] == counts[32768]


def test_here_it_is_what_a_start_finds(place, capsys):
    """SmolLM2's own file, and the memory of this machine."""
    found = planned(capsys, "smollm2", "--kv-cache-memory-bytes", "100000000")
    size = getattr(torch, found["dtype"]).itemsize
    assert found["num_weights"] == 134_515_008
    assert found["kv_bytes_per_token"] == 2 * 30 * 3 * 64 * size
    assert found["kv_bytes"] <= 100_000_000
