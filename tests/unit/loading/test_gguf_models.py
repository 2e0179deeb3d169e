"""A GGUF file and the Hugging Face directory it was made from are the same model."""

from __future__ import annotations

import math
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from gguf_files import GEMMA3, SUFFIXES, add_shape, all_tensors, convert, write
from safetensors.torch import load_file
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from inferd.config.model import ModelOptions
from inferd.errors import CheckpointError
from inferd.layers.rope_config import Rope
from inferd.layers.rope_scaling import frequencies
from inferd.loading.checkpoint import resolve_model_config
from inferd.loading.gguf import GgufLoader
from inferd.loading.gguf_config import open_config
from inferd.testing.tiny import write_checkpoint

PLAIN = {"use_sliding_window": False, "sliding_window": None}
MODELS = {
    "llama": ("LlamaForCausalLM", {}),
    "llama without biases": ("LlamaForCausalLM", {"attention_bias": False, "mlp_bias": False}),
    "llama tied": ("LlamaForCausalLM", {"tie_word_embeddings": True}),
    "llama without groups": ("LlamaForCausalLM", {"num_key_value_heads": 6}),
    "qwen2": ("Qwen2ForCausalLM", PLAIN),
    "qwen2 tied": ("Qwen2ForCausalLM", {**PLAIN, "tie_word_embeddings": True}),
    "qwen3": ("Qwen3ForCausalLM", {**PLAIN, "attention_bias": False}),
}
COMPARED = (
    *("architectures", "model_type", "vocab_size", "hidden_size", "intermediate_size"),
    *("num_hidden_layers", "num_attention_heads", "num_key_value_heads", "hidden_act"),
    *("max_position_embeddings", "rms_norm_eps", "rope_theta", "tie_word_embeddings"),
)


@pytest.mark.parametrize("model", MODELS)
def test_tensors_and_configuration_are_those_of_the_directory(tmp_path: Path, model: str) -> None:
    architecture, fields = MODELS[model]
    config = write_checkpoint(tmp_path, architecture, **fields)
    loader = GgufLoader(convert(tmp_path, config, tmp_path / "m.gguf"))
    expected = load_file(tmp_path / "model.safetensors")
    found = all_tensors(loader)
    assert found.keys() == expected.keys()
    for name, weights in expected.items():
        assert torch.equal(found[name], weights), name
    assert {key: loader.config[key] for key in COMPARED} == {key: config[key] for key in COMPARED}
    assert loader.config["torch_dtype"] == "float32"
    head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    assert loader.config["head_dim"] == head_dim
    if config["model_type"] == "llama":
        assert loader.config["attention_bias"] == bool(config["attention_bias"])
        assert loader.config["mlp_bias"] == bool(config["mlp_bias"])
    assert loader.num_bytes == sum(t.numel() * 4 for t in expected.values())


@pytest.mark.parametrize("kind", ["F16", "BF16", "Q8_0", "Q4_1", "Q5_0"])
def test_packed_rows_are_put_in_order_as_they_are(tmp_path: Path, kind: str) -> None:
    """Rows are quantized one by one, so the order of rows does not change their values."""
    config = write_checkpoint(tmp_path, hidden_size=96, num_hidden_layers=2)
    dtype = gguf.GGMLQuantizationType[kind]
    found = all_tensors(GgufLoader(convert(tmp_path, config, tmp_path / "m.gguf", dtype=dtype)))
    for name, weights in load_file(tmp_path / "model.safetensors").items():
        expected = weights.numpy()
        if expected.ndim > 1:
            expected = gguf.dequantize(gguf.quantize(expected, dtype), dtype)
        assert np.array_equal(found[name].numpy(), expected), name


def llama3_factors(theta: float, size: int, rope: dict[str, float]) -> np.ndarray:
    """rope_freqs.weight as convert_hf_to_gguf.py computes it."""
    freqs = 1.0 / (theta ** (torch.arange(0, size, 2, dtype=torch.float32) / size))
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    original = rope["original_max_position_embeddings"]
    factors = []
    for freq in freqs:
        wavelength = 2 * math.pi / freq
        if wavelength < original / high:
            factors.append(1)
        elif wavelength > original / low:
            factors.append(rope["factor"])
        else:
            smooth = (original / wavelength - low) / (high - low)
            factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(factors, dtype=np.float32)


@pytest.mark.parametrize(
    ("theta", "head_dim", "rope"),
    [
        (500000.0, 128, (8.0, 1.0, 4.0, 8192)),  # Llama 3.1
        (500000.0, 64, (32.0, 1.0, 4.0, 8192)),  # Llama 3.2 1B
        (500.0, 16, (4.0, 2.0, 9.0, 600)),
        (1000.0, 32, (16.0, 1.5, 8.0, 1024)),
    ],
)
def test_llama3_rope_comes_back_from_its_factors(
    tmp_path: Path, theta: float, head_dim: int, rope: tuple[float, ...]
) -> None:
    names = ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
    scaling = dict(zip(names, rope, strict=True))
    config = write_checkpoint(tmp_path, num_hidden_layers=1, head_dim=head_dim, rope_theta=theta)
    extra = {"rope_freqs.weight": llama3_factors(theta, head_dim, scaling)}
    found = open_config(convert(tmp_path, config, tmp_path / "m.gguf", extra=extra))
    reference = LlamaConfig(
        head_dim=head_dim,
        max_position_embeddings=4096,
        rope_parameters={"rope_type": "llama3", "rope_theta": theta, **scaling},
    )
    expected, _ = ROPE_INIT_FUNCTIONS["llama3"](reference, torch.device("cpu"))
    got, factor = frequencies(Rope.read(found, head_dim, 256))
    assert factor == 1.0
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=0)


def test_rope_factors_that_are_none_are_refused(tmp_path: Path) -> None:
    config = write_checkpoint(tmp_path, num_hidden_layers=1)
    for values in (np.ones(3), np.array([1, 0, 1, 2, 3, 1, 1, 1]), np.full(8, np.nan)):
        extra = {"rope_freqs.weight": values.astype(np.float32)}
        path = convert(tmp_path, config, tmp_path / "m.gguf", extra=extra)
        with pytest.raises(CheckpointError, match=r"numbers, expected 8 above 0"):
            open_config(path)


def test_the_real_model_is_read_as_published(smollm2_file: Path) -> None:
    """https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct/blob/main/config.json"""
    loader = GgufLoader(smollm2_file)
    config = resolve_model_config(loader, ModelOptions(), lambda dtype: dtype)
    assert config.architecture == "LlamaForCausalLM"
    assert (config.vocab_size, config.max_model_len) == (49152, 8192)
    assert config.dtype == torch.bfloat16
    published = {
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "rms_norm_eps": 1e-05,
        "rope_theta": 100000.0,
        "tie_word_embeddings": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "attention_bias": False,
    }
    assert {key: config.hf[key] for key in published} == published


def test_gemma3_has_its_norms_without_the_one_that_the_model_adds(tmp_path: Path) -> None:
    """Written as convert_hf_to_gguf.py writes them, with the one."""
    names = gguf.get_tensor_name_map(GEMMA3, 1)
    stored = {
        "model.embed_tokens.weight": torch.randn(50, 32),
        "model.norm.weight": torch.randn(32),
        "model.layers.0.self_attn.q_proj.weight": torch.randn(32, 32),
        "model.layers.0.self_attn.q_norm.weight": torch.randn(16),
        **{
            f"model.layers.0.{name}_layernorm.weight": torch.randn(32)
            for name in ("input", "post_attention", "pre_feedforward", "post_feedforward")
        },
    }
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "gemma3")
    add_shape(writer, GEMMA3_SHAPE)
    writer.add_sliding_window(24)
    for name, weights in stored.items():
        ours = weights + 1 if "norm" in name else weights
        writer.add_tensor(names.get_name(name, try_suffixes=SUFFIXES), ours.numpy())
    write(writer)
    loader = GgufLoader(tmp_path / "m.gguf")
    found = all_tensors(loader)
    assert found.keys() == stored.keys()
    for name, weights in stored.items():
        torch.testing.assert_close(found[name], weights, rtol=0, atol=1e-6)
    read = {"sliding_window": 24, "query_pre_attn_scalar": 16, "model_type": "gemma3_text"}
    assert {name: loader.config[name] for name in read} == read


GEMMA3_SHAPE = {
    "num_hidden_layers": 1,
    "max_position_embeddings": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
}
