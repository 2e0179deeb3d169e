"""Tiny random checkpoints that can fail a test: safetensors, config.json and a tokenizer.

Weights are drawn so that a mistake shows: logits spread by more than one, attention that is visibly
not uniform, norm weights away from one, biases away from zero. The file names and tensor names are
Hugging Face's, so transformers reads the same directory.

    config = write_checkpoint(tmp_path, "Qwen2ForCausalLM", num_hidden_layers=3)
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from inferd.testing.tiny_tokenizer import write_tokenizer

BASE: dict[str, Any] = {
    "vocab_size": 320,
    "hidden_size": 72,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "hidden_act": "silu",
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-2,
    "rope_theta": 500.0,
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
    "bos_token_id": 256,
    "eos_token_id": 257,
    "pad_token_id": 258,
}
QUERIES_AND_KEYS = ("q_proj", "k_proj", "qkv_proj", "query_key_value", "c_attn", "wqkv")
VOCABULARY = ("embed_tokens", "lm_head", "wte", "embed_in", "embed_out", "word_embeddings")
FAMILIES: dict[str, dict[str, Any]] = {
    "LlamaForCausalLM": {"model_type": "llama", "attention_bias": True, "mlp_bias": True},
    "MistralForCausalLM": {"model_type": "mistral", "sliding_window": 24},
    "Qwen2ForCausalLM": {
        "model_type": "qwen2",
        "head_dim": None,
        "hidden_size": 96,  # its head size is hidden_size / num_attention_heads
        "use_sliding_window": True,
        "sliding_window": 24,
        "max_window_layers": 2,
    },
    "Qwen3ForCausalLM": {
        "model_type": "qwen3",
        "attention_bias": True,
        "use_sliding_window": True,
        "sliding_window": 24,
        "max_window_layers": 2,
    },
}


def tiny_config(architecture: str, **fields: Any) -> dict[str, Any]:
    """config.json with no field at its default; a field given as None is left out."""
    merged = BASE | FAMILIES[architecture] | fields | {"architectures": [architecture]}
    return {name: value for name, value in merged.items() if value is not None}


def write_checkpoint(
    path: Path, architecture: str = "LlamaForCausalLM", *, seed: int = 0, **fields: Any
) -> dict[str, Any]:
    """Write all files of a checkpoint into `path` and return its config.json."""
    config = tiny_config(architecture, **fields)
    path.mkdir(parents=True, exist_ok=True)
    write_weights(path, tensor_shapes(config), seed=seed)
    (path / "config.json").write_text(json.dumps(config, indent=2))
    write_tokenizer(path)
    return config


def write_weights(path: Path, shapes: Mapping[str, tuple[int, ...]], *, seed: int = 0) -> None:
    """model.safetensors with every tensor drawn by what its name says it is."""
    tensors = {name: draw(name, shape, seed) for name, shape in shapes.items()}
    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})


def draw(name: str, shape: tuple[int, ...], seed: int) -> Tensor:
    """One tensor, whatever else is drawn: norms from 0.5 to 2, matrices that keep the variance."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()) + seed)
    if name.endswith("bias"):
        return torch.randn(shape, generator=generator) * 0.5
    if "norm" in name or len(shape) < 2:
        return torch.rand(shape, generator=generator) * 1.5 + 0.5
    noise = torch.randn(shape, generator=generator)
    return noise * (_gain(name) / math.sqrt(shape[-1]))


def _gain(name: str) -> float:
    if any(word in name for word in QUERIES_AND_KEYS):
        return 1.3  # scores then spread by about two: attention has favourites
    if any(word in name for word in VOCABULARY):
        return 2.0
    return 1.0


def tensor_shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor that transformers stores for a model of the Llama family."""
    hidden, vocab = config["hidden_size"], config["vocab_size"]
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (vocab, hidden),
        "model.norm.weight": (hidden,),
    }
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (vocab, hidden)
    for layer in range(config["num_hidden_layers"]):
        for name, shape in _layer_shapes(config).items():
            shapes[f"model.layers.{layer}.{name}"] = shape
    return shapes


def _layer_shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or hidden // heads
    q, kv = heads * head_dim, config.get("num_key_value_heads", heads) * head_dim
    shapes: dict[str, tuple[int, ...]] = {
        "input_layernorm.weight": (hidden,),
        "post_attention_layernorm.weight": (hidden,),
    }
    if config["model_type"] == "qwen3":
        shapes |= {f"self_attn.{which}_norm.weight": (head_dim,) for which in "qk"}
    attention_bias = bool(config.get("attention_bias"))
    qkv_bias = attention_bias or config["model_type"] == "qwen2"
    mlp_bias = bool(config.get("mlp_bias"))
    for name, size, width, bias in (
        ("self_attn.q_proj", q, hidden, qkv_bias),
        ("self_attn.k_proj", kv, hidden, qkv_bias),
        ("self_attn.v_proj", kv, hidden, qkv_bias),
        ("self_attn.o_proj", hidden, q, attention_bias),
        ("mlp.gate_proj", inner, hidden, mlp_bias),
        ("mlp.up_proj", inner, hidden, mlp_bias),
        ("mlp.down_proj", hidden, inner, mlp_bias),
    ):
        shapes[f"{name}.weight"] = (size, width)
        if bias:
            shapes[f"{name}.bias"] = (size,)
    return shapes
