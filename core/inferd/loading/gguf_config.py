"""config.json's keys from a GGUF file: from its metadata, and what only its tensors tell."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any

from inferd.errors import CheckpointError
from inferd.loading.gguf_header import GgufHeader, TensorInfo
from inferd.loading.gguf_names import hf_config
from inferd.loading.gguf_rope import llama3_scaling

FLOAT32, FLOAT16 = 0, 1  # ggml types


def read_config(header: GgufHeader, data: mmap.mmap, path: Path) -> dict[str, Any]:
    """Raises UnsupportedModel for what has no mapping, CheckpointError for missing keys."""
    tensors = header.tensors
    embedding = tensors.get("token_embd.weight")
    if embedding is None:
        raise CheckpointError(f"{path}: tensor 'token_embd.weight' is missing")
    tied = "output.weight" not in tensors
    try:
        config = hf_config(header.metadata, embedding.shape[0], tied)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    config["torch_dtype"] = {FLOAT32: "float32", FLOAT16: "float16"}.get(embedding.kind, "bfloat16")
    if config["model_type"] == "llama":  # the others' biases belong to the architecture
        config["attention_bias"] = "blk.0.attn_q.bias" in tensors
        config["mlp_bias"] = "blk.0.ffn_gate.bias" in tensors
    factors = tensors.get("rope_freqs.weight")
    if factors is not None:
        values = _float32_values(factors, data, path)
        config["rope_scaling"] = llama3_scaling(values, config, path)
    return config


def _float32_values(info: TensorInfo, data: mmap.mmap, path: Path) -> list[float]:
    count = info.shape[-1]
    if info.kind != FLOAT32 or info.offset + 4 * count > len(data):
        raise CheckpointError(f"{path}: tensor {info.name!r} is not whole or not float32")
    return list(struct.unpack_from(f"<{count}f", data, info.offset))
