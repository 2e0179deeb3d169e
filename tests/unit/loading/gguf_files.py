"""GGUF files written as llama.cpp's convert_hf_to_gguf.py writes them, with the gguf package.

Names of tensors are the gguf package's own; `permute` is the converter's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from inferd.loading.gguf_tokenizer import build_tokenizer

ARCHITECTURES = {"llama": "LLAMA", "qwen2": "QWEN2", "qwen3": "QWEN3"}
GEMMA3 = gguf.MODEL_ARCH.GEMMA3
Tensors = Mapping[str, np.ndarray]
SUFFIXES = (".weight", ".bias")
UNREACHABLE = "Ġqwxzv"  # a token that no merge gives


def permute(weights: np.ndarray, heads: int) -> np.ndarray:
    half = weights.shape[0] // heads // 2
    paired = weights.reshape(heads, 2, half, *weights.shape[1:])
    return paired.swapaxes(1, 2).reshape(weights.shape)


def gguf_tensors(config: Mapping[str, Any], tensors: Tensors) -> dict[str, np.ndarray]:
    """Hugging Face's tensors under GGUF's names, rows in llama.cpp's order."""
    arch = gguf.MODEL_ARCH[ARCHITECTURES[config["model_type"]]]
    names = gguf.get_tensor_name_map(arch, config["num_hidden_layers"])
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    found = {}
    for name, weights in tensors.items():
        part = name.split(".")[-2]
        moved = config["model_type"] == "llama" and part in heads
        value = permute(weights, heads[part]) if moved else weights
        found[names.get_name(name, try_suffixes=SUFFIXES)] = value
    return found


def add_shape(writer: gguf.GGUFWriter, config: Mapping[str, Any]) -> None:
    head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_rope_dimension_count(head_dim)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)


def write(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def convert(
    folder: Path,
    config: Mapping[str, Any],
    target: Path,
    *,
    extra: Tensors | None = None,
    dtype: gguf.GGMLQuantizationType | None = None,
) -> Path:
    """The checkpoint in `folder` as a GGUF file; matrices in `dtype` where it is given."""
    tensors = {n: t.numpy() for n, t in load_file(folder / "model.safetensors").items()}
    writer = gguf.GGUFWriter(target, config["model_type"])
    add_shape(writer, config)
    for name, weights in {**(extra or {}), **gguf_tensors(config, tensors)}.items():
        if dtype is None or weights.ndim == 1:
            writer.add_tensor(name, weights)
        else:
            writer.add_tensor(name, gguf.quantize(weights, dtype), raw_dtype=dtype)
    write(writer)
    return target


def write_blocks(target: Path, data: np.ndarray, dtype: gguf.GGMLQuantizationType) -> Path:
    """A file around one tensor, blk.0.ffn_down.weight, whose bytes are `data`."""
    writer = gguf.GGUFWriter(target, "llama")
    config = {
        "num_hidden_layers": 1,
        "max_position_embeddings": 32,
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1e4,
    }
    add_shape(writer, config)
    writer.add_tensor("token_embd.weight", np.ones((8, 32), np.float32))
    writer.add_tensor("blk.0.ffn_down.weight", data, raw_dtype=dtype)
    write(writer)
    return target


def add_vocabulary(
    writer: gguf.GGUFWriter,
    kind: str,
    tokens: list[str],
    *,
    pre: str | None = None,
    merges: list[str] | None = None,
    scores: list[float] | None = None,
    types: list[int] | None = None,
    bos: int = 0,
    eos: int = 1,
) -> None:
    writer.add_tokenizer_model(kind)
    writer.add_token_list(tokens)
    if pre is not None:
        writer.add_tokenizer_pre(pre)
    if merges is not None:
        writer.add_token_merges(merges)
    if scores is not None:
        writer.add_token_scores(scores)
    writer.add_token_types(types or [gguf.TokenType.NORMAL] * len(tokens))
    writer.add_bos_token_id(bos)
    writer.add_eos_token_id(eos)


def as_split(metadata: dict[str, Any], name: str) -> tuple[Tokenizer, dict[str, int], list[Any]]:
    """SmolLM2's vocabulary and one more token, split as another family does."""
    tokens = [*metadata["tokenizer.ggml.tokens"], UNREACHABLE]
    kinds = [*metadata["tokenizer.ggml.token_type"], 1]
    changed = {
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.pre": name,
    }
    merges = [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"]]
    inherited = {k: v for k, v in metadata.items() if k != "tokenizer.ggml.add_bos_token"}
    return build_tokenizer({**inherited, **changed}), {t: i for i, t in enumerate(tokens)}, merges


def all_tensors(loader: Any) -> dict[str, torch.Tensor]:
    """What a loader yields, in float32."""
    return {tensor.name: tensor.unpack(torch.float32) for tensor in loader.tensors()}
