"""Which loader opens what, and what the configuration makes of dtype and context length."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from inferd.config.model import ModelOptions
from inferd.contracts.model import ModelConfig
from inferd.errors import UnsupportedModel, UsageError
from inferd.host.host import Host
from inferd.loading.checkpoint import derived_length, open_checkpoint, resolve_model_config
from inferd.loading.safetensors import SafetensorsLoader
from inferd.runner.choices import model_class
from inferd.testing.tiny import tiny_config, write_checkpoint


@pytest.fixture(scope="module")
def loaders() -> Any:
    return Host.from_selection("none").catalog.loaders


def resolve(tmp_path: Path, options: ModelOptions | None = None, **fields: Any) -> Any:
    """The tiny Llama's configuration with some fields changed; None removes one."""
    config = write_checkpoint(tmp_path, num_hidden_layers=1)
    changed = {key: value for key, value in {**config, **fields}.items() if value is not None}
    (tmp_path / "config.json").write_text(json.dumps(changed))
    loader = SafetensorsLoader(tmp_path)
    return resolve_model_config(loader, options or ModelOptions(), lambda dtype: dtype)


@pytest.mark.parametrize(
    ("stored", "asked", "expected"),
    [
        ({"torch_dtype": "bfloat16"}, "auto", torch.bfloat16),
        ({"torch_dtype": "float16"}, "auto", torch.float16),
        ({"torch_dtype": None, "dtype": "bfloat16"}, "auto", torch.bfloat16),
        ({"torch_dtype": "float16", "dtype": "bfloat16"}, "auto", torch.bfloat16),
        ({"torch_dtype": None}, "auto", torch.float32),
        ({"torch_dtype": "float64"}, "auto", torch.float32),
        ({"torch_dtype": "bfloat16"}, "float32", torch.float32),
        ({"torch_dtype": "float32"}, "float16", torch.float16),
    ],
)
def test_dtype(tmp_path: Path, stored: Any, asked: Any, expected: torch.dtype) -> None:
    assert resolve(tmp_path, ModelOptions(dtype=asked), **stored).dtype == expected


def test_the_platform_may_prefer_another_dtype(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, torch_dtype="float16")
    loader = SafetensorsLoader(tmp_path)
    asked: list[torch.dtype] = []

    def preferred(dtype: torch.dtype) -> torch.dtype:
        asked.append(dtype)
        return torch.bfloat16

    assert resolve_model_config(loader, ModelOptions(), preferred).dtype == torch.bfloat16
    assert asked == [torch.float16]


@pytest.mark.parametrize(
    ("fields", "length"),
    [
        ({"max_position_embeddings": 4096}, 4096),
        ({"n_positions": 1024}, 1024),
        ({"max_position_embeddings": 4096, "seq_length": 2048}, 2048),
        ({}, 2048),
        ({"max_position_embeddings": True}, 2048),
        ({"max_position_embeddings": 8192, "rope_scaling": None}, 8192),
        # https://huggingface.co/meta-llama/Llama-3.1-8B: the length is the stretched one
        (
            {
                "max_position_embeddings": 131072,
                "rope_scaling": {
                    "rope_type": "llama3",
                    "factor": 8.0,
                    "original_max_position_embeddings": 8192,
                },
            },
            131072,
        ),
        # https://huggingface.co/Qwen/Qwen2.5-7B-Instruct#processing-long-texts
        (
            {
                "max_position_embeddings": 32768,
                "rope_scaling": {
                    "type": "yarn",
                    "factor": 4.0,
                    "original_max_position_embeddings": 32768,
                },
            },
            131072,
        ),
        # https://huggingface.co/NousResearch/Yarn-Llama-2-7b-128k: stretched already
        (
            {
                "max_position_embeddings": 131072,
                "rope_scaling": {
                    "type": "yarn",
                    "factor": 32.0,
                    "original_max_position_embeddings": 4096,
                },
            },
            131072,
        ),
        (
            {
                "max_position_embeddings": 2048,
                "rope_scaling": {"type": "linear", "factor": 2.5},
            },
            5120,
        ),
        (
            {
                "max_position_embeddings": 2048,
                "rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4},
            },
            4096,
        ),
    ],
)
def test_derived_length(fields: dict[str, Any], length: int) -> None:
    assert derived_length(fields) == length


@pytest.mark.parametrize("factor", ["x", [1], {"a": 1}])
def test_a_factor_that_is_no_number(factor: Any) -> None:
    with pytest.raises(UnsupportedModel, match=r"rope_scaling .* is not usable"):
        derived_length({"rope_scaling": {"type": "linear", "factor": factor}})


def test_a_shorter_context_can_be_asked_for_and_a_longer_one_not(tmp_path: Path) -> None:
    assert resolve(tmp_path, ModelOptions(max_model_len=100)).max_model_len == 100
    assert resolve(tmp_path, ModelOptions(max_model_len=256)).max_model_len == 256
    with pytest.raises(UsageError, match=r"--max-model-len 257 is more than the 256 .*at most 256"):
        resolve(tmp_path, ModelOptions(max_model_len=257))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"architectures": None}, "names no architecture"),
        ({"architectures": []}, "names no architecture"),
        ({"architectures": "LlamaForCausalLM"}, "names no architecture"),
        ({"vocab_size": "many"}, "vocab_size is 'many', expected a number"),
    ],
)
def test_a_configuration_that_says_too_little(tmp_path: Path, fields: Any, message: str) -> None:
    with pytest.raises(UnsupportedModel, match=rf"config.json.* {message}|config.json {message}"):
        resolve(tmp_path, **fields)


def test_the_text_part_of_a_multimodal_model(tmp_path: Path) -> None:
    inner = tiny_config("LlamaForCausalLM", vocab_size=77)
    del inner["architectures"]
    outer = {"text_config": inner, "vocab_size": None, "vision_config": {"hidden_size": 3}}
    config = resolve(tmp_path, hidden_size=9, **outer)
    assert (config.architecture, config.vocab_size) == ("LlamaForCausalLM", 77)
    assert config.hf["hidden_size"] == 72
    assert "vision_config" not in config.hf


def test_each_kind_of_place_has_its_loader(
    tmp_path: Path, loaders: Any, smollm2_file: Path
) -> None:
    write_checkpoint(tmp_path)
    assert open_checkpoint(tmp_path, loaders).name == "safetensors"
    assert open_checkpoint(smollm2_file, loaders).name == "gguf"
    assert open_checkpoint(tmp_path, loaders, "dummy").name == "dummy"
    dummy = open_checkpoint(smollm2_file, loaders, "dummy")
    assert dummy.config == open_checkpoint(smollm2_file, loaders).config
    assert list(dummy.tensors()) == []


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ([], "there is no .safetensors file in"),
        (["pytorch_model.bin"], "pickled weights only; convert them to safetensors"),
        (["model.pth"], "pickled weights only"),
        (["b.gguf", "a.gguf"], "give the file itself: .*a.gguf"),
    ],
)
def test_a_directory_that_nothing_reads(
    tmp_path: Path, loaders: Any, files: list[str], reason: str
) -> None:
    (tmp_path / "config.json").write_text("{}")
    for name in files:
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UnsupportedModel, match="no loader reads") as caught:
        open_checkpoint(tmp_path, loaders)
    lines = str(caught.value).splitlines()
    assert len(lines) == 1 + len(list(loaders))
    assert any(re.search(reason, line) for line in lines if "safetensors:" in line), lines
    assert caught.value.exit_code == 5


def test_an_architecture_that_no_plugin_has() -> None:
    host = Host.from_selection("all")
    host.catalog.models.add("TinyForCausalLM", "tiny:Tiny")
    with pytest.raises(UnsupportedModel) as caught:
        model_class(host, ModelConfig("MambaForCausalLM", {}, torch.float32, 64, 320))
    what, known, other, *cure = str(caught.value).splitlines()
    assert what == "no plugin implements the architecture 'MambaForCausalLM'"
    assert "TinyForCausalLM" in known.split(": ")[1].split(", ")
    assert other.startswith("  models_transformers, for any other: ")
    assert "pip install inferd-models-" in cure[-1]
    assert caught.value.exit_code == 5
